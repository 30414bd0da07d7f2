"""NetBSD's spin mutex: test and test-and-set with exponential backoff; who looks first after the release has it.

=> Source: mutex_spin_retry in sys/kern/kern_mutex.c, SPINLOCK_BACKOFF in sys/sys/lock.h of NetBSD.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heappop, heappush, heapreplace
from typing import Final

from uvmfree.machine.costs import Costs
from uvmfree.machine.virtual.fifo import Fifo
from uvmfree.machine.virtual.scheduler import NEVER, Scheduler
from uvmfree.machine.virtual.strands import Strand

NUMBER_BITS: Final = 40
"""Of a strand's number, where it stands below a time in one integer."""
NUMBER_MAX: Final = (1 << NUMBER_BITS) - 1


class Ttas(Fifo):
    """Test and test-and-set: spinners look again and again, after 4, 8, ... 128 pauses, and the first look wins.

    A spinner's looks follow from when it came. So nobody is run to look: the lock finds whose look is the first
    after the release, and is on the heap with that time. Whoever comes earlier takes the lock before (barges in).

    => `_young`: a heap of (next look, number, pauses before the look after it, strand), as long as pauses double.
    => `_old`: those that look at even intervals, sorted: the next look modulo the longest pause, then the number, in
       one integer, which is found faster than a tuple. `_old_ns`: the first of these looks that has not passed.
    => `ticket`: the number of the one heap entry that counts, or 0. `_armed_ns`: its time. `_renewed`, if it is
       larger: the number that it would have if each release made it anew.
    """

    __slots__ = ("_armed_ns", "_max_ns", "_min_ns", "_old", "_old_ns", "_renewed", "_young", "ticket")

    spins = True

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        pause_ns = costs.ns("spin_pause")
        self._min_ns = max(1, costs.count("backoff_min") * pause_ns)
        self._max_ns = max(self._min_ns, costs.count("backoff_max") * pause_ns)
        self._young: list[tuple[int, int, int, Strand]] = []
        self._old: list[int] = []
        self.ticket = self._renewed = 0
        self._armed_ns = self._old_ns = NEVER

    def wait(self) -> None:
        """Spin."""
        scheduler, me = self.scheduler, self.scheduler.current
        self.refuse_circle(me)
        self.spin(me, scheduler.now)
        self.park(me)

    def spin(self, strand: Strand, clock: int) -> None:
        """Let a strand that came at that time spin."""
        strand.arrives, strand.ticket = None, 0
        pauses_ns = self._min_ns
        look = clock + pauses_ns
        if self.holder is None:
            free_at, longest = self.free_at, self._max_ns
            while look < free_at:
                pauses_ns += pauses_ns
                if pauses_ns > longest:
                    pauses_ns = longest
                look += pauses_ns
            if look < self._armed_ns:
                self._armed_ns = look
                self.scheduler.push(look, strand, self)
        else:
            self.ticket, self._armed_ns = 0, NEVER  # the release looks anew
        heappush(self._young, (look, strand.number, pauses_ns, strand))
        self.crowd += 1

    def released(self) -> None:
        """Let the first look after the release have the lock; a look before it takes the line from the holder."""
        scheduler = self.scheduler
        now = until = scheduler.now
        if self._armed_ns >= now and self.ticket:
            # Nobody has looked during the hold: the entry on the heap stays, as if it were made now.
            self.free_at = now
            scheduler.number = self._renewed = scheduler.number + 1
            return
        since, move, longest = self.since, self.move, self._max_ns
        young, old = self._young, self._old
        # All looks before the release pass. One of them that found the lock held delays it: then more of them do.
        while True:
            while young and (entry := young[0])[0] < until:
                seen, number, pauses_ns, strand = entry
                if pauses_ns >= longest:
                    heappop(young)
                    insort(old, (seen % longest << NUMBER_BITS) + number)
                    if seen + longest < self._old_ns:
                        self._old_ns = seen + longest
                else:
                    pauses_ns += pauses_ns
                    if pauses_ns > longest:
                        pauses_ns = longest
                    heapreplace(young, (seen + pauses_ns, number, pauses_ns, strand))
                if seen >= since and until == now:
                    until += move
            look = self._old_ns
            if look >= until:
                break
            # While nobody has delayed the release, looks are sought from the beginning of the hold on.
            look = self._old_ns = self._first_old(since if move and until == now else until)
            if look >= until:
                break
            until += move
        scheduler.now = self.free_at = until
        if young and (first := young[0][0]) < look:
            look = first
        self._armed_ns = look
        # As Scheduler.push() does: each release of a lock that others want comes this way.
        scheduler.number = self.ticket = number = scheduler.number + 1
        heappush(scheduler.heap, (look, number, scheduler.current, self))
        if look < scheduler.head:
            scheduler.head = look
            scheduler.limit = look + scheduler.quantum

    def elect(self, clock: int) -> Strand | None:
        """Return who looks at this moment, and has the lock; None if somebody barged in and is suspended."""
        if (renewed := self._renewed) > self.ticket and (heap := self.scheduler.heap) and heap[0] < (clock, renewed):
            # What came to the heap for the same time before the last release goes first.
            self.ticket = renewed
            heappush(heap, (clock, renewed, self.scheduler.current, self))
            return None
        self.ticket, self._armed_ns = 0, NEVER
        if self.holder is not None or not self.crowd:
            return None  # its release comes back to it
        young, old = self._young, self._old
        if young and young[0][0] == clock:
            winner = heappop(young)[3]
        else:
            number = old.pop(bisect_left(old, clock % self._max_ns << NUMBER_BITS)) & NUMBER_MAX
            winner = self.scheduler.strands[number]
            self._old_ns = self._first_old(clock)
        self.crowd -= 1
        self.holder, winner.awaits = winner, None
        return winner

    def _first_old(self, begins: int) -> int:
        """Return the first look from a time on of those that look at even intervals."""
        old, longest = self._old, self._max_ns
        if not old:
            return NEVER
        at = bisect_left(old, begins % longest << NUMBER_BITS)
        return begins + (((old[at] if at < len(old) else old[0]) >> NUMBER_BITS) - begins) % longest

    def give_up(self, me: Strand) -> None:
        """Let it spin no longer, nor have the lock."""
        spinning = len(self._young) + len(self._old)
        self._young = sorted(entry for entry in self._young if entry[3] is not me)
        self._old = [entry for entry in self._old if entry & NUMBER_MAX != me.number]
        if len(self._young) + len(self._old) < spinning:
            self.crowd -= 1
            self._old_ns = self._first_old(self.free_at)
            if self.ticket:  # for whose look it may be: for the first look of another one from then on
                self._armed_ns = min([self._first_old(self._armed_ns), *(seen for seen, *_ in self._young[:1])])
                self.scheduler.push(self._armed_ns, me, self)
        elif self.holder is me:
            self.drop()
