"""Lock policies: who gets a lock next, and when. One class each.

A holder's critical section runs at once, without a switch, so a lock that is free in the order of events may still be
held in virtual time: until `free_at`. Who comes before that waits as its policy says:

    fifo     a CPU's own lock: in the order of arrival, at the moment of the release
    mcs      the same for a shared lock: each spins on a line of its own, so that a hand-off takes as long for any
             number of spinners
    ticket   in the order of arrival; each further spinner delays a hand-off, since all fetch the line
    ttas     who looks first after the release: NetBSD's spin mutex with its exponential backoff
    sleep    who comes first; who waits long sleeps, and whoever wakes it pays: Python's lock

=> `wait()`: the running strand came at its clock and found the lock taken; returns when it is granted, the clock then
   being the moment of the grant. The transfer of the lock's line comes on top, for all policies (virtual/locks.py).
=> `released()`: the running strand has dropped the lock, and `crowd` strands wait off the heap.
=> Source: mutex_spin_retry in sys/kern/kern_mutex.c, SPINLOCK_BACKOFF in sys/sys/lock.h of NetBSD; Mellor-Crummey and
   Scott 1991; Boyd-Wickizer et al. 2012.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from heapq import heappop, heappush, heapreplace
from typing import Final, Literal

from uvmfree.errors import DeadlockError
from uvmfree.machine.costs import Costs
from uvmfree.machine.virtual.lines import Touched
from uvmfree.machine.virtual.scheduler import NEVER, Scheduler
from uvmfree.machine.virtual.strands import Strand

CLOSED: Final = -2
"""Of `open_to`: nobody may take the lock the short way."""


class Fifo:
    """A lock that is granted in the order of arrival.

    => `holder`: who has it. `free_at`: when it was, or will be, dropped last. `crowd`: how many wait off the heap.
    => `cpu`: who took it last, or -1: where its line is. `move`: what its last transfer took.
    => `open_to`: the CPU that may take it without a look at the heap, or CLOSED. `guarded`: the list that it guards.
    """

    spins: bool = False
    handed_lines: int = 0  # transfers of a hand-off to who has waited, beside that of the lock's line

    __slots__ = (
        "cpu",
        "crowd",
        "free_at",
        "guarded",
        "holder",
        "move",
        "name",
        "open_to",
        "queue",
        "scheduler",
        "since",
    )

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        self.scheduler, self.name = scheduler, name
        self.holder: Strand | None = None
        self.free_at = self.move = self.crowd = self.since = 0
        self.cpu = -1
        self.open_to = CLOSED
        self.guarded: Touched | None = None
        self.queue: deque[Strand] = deque()

    @property
    def waited_for(self) -> str:
        """How a report of a deadlock names it."""
        return f"{self.name}, held by {self.holder.name}" if self.holder else self.name

    def wait(self) -> None:
        """Wait for the lock."""
        if self.holder is None:
            self.scheduler.now = self.free_at
        else:
            self._queue_up()

    def released(self) -> None:
        """Give the lock to who came first."""
        self.crowd -= 1
        self.holder = self.queue.popleft()
        self.scheduler.wake(self.holder, self.scheduler.now)

    def _queue_up(self) -> None:
        me = self.scheduler.current
        self.refuse_circle(me)
        self.queue.append(me)
        self.crowd += 1
        try:
            self.scheduler.park(self)
        except BaseException:
            self._give_up(me)
            raise

    def _give_up(self, me: Strand) -> None:
        if me in self.queue:
            self.queue.remove(me)
            self.crowd -= 1
        elif self.holder is me:
            self.drop()

    def drop(self) -> None:
        """Drop the lock at the running strand's clock, at no cost."""
        self.free_at = self.scheduler.now
        self.holder = None
        if self.crowd:
            self.released()

    def refuse_circle(self, me: Strand) -> None:
        """DeadlockError if the holder waits, through whatever locks, for the running strand."""
        said: list[str] = []
        waiter, lock = me, self
        while isinstance(lock, Fifo) and lock.holder is not None:
            said.append(f"{waiter.name} waits for {lock.waited_for}")
            waiter = lock.holder
            if waiter is me:
                raise DeadlockError(f"deadlock at {self.scheduler.now} ns: {'; '.join(said)}")
            lock = waiter.awaits


class Mcs(Fifo):
    """A queue of spinners, each on its own line.

    => A hand-off is three transfers, one after the other: the holder reads who comes next, which that one has stored
       into the holder's node; it stores into the node on which that one spins; that one reads it.
    """

    handed_lines = 2

    __slots__ = ()


class Ticket(Fifo):
    """A ticket lock: all spin on one line, which each of them fetches at each hand-off.

    => `_grants`: when those that came before are granted. They are as many as will have come after the running
       strand when it is granted, if the crowd is steady.
    """

    __slots__ = ("_grants", "_spinner_ns")

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        self._spinner_ns = costs.ns("ticket_spinner")
        self._grants: deque[int] = deque()

    def wait(self) -> None:
        """Wait for the turn."""
        scheduler, grants = self.scheduler, self._grants
        while grants and grants[0] <= scheduler.now:
            grants.popleft()
        others = len(grants) + self.crowd
        super().wait()
        scheduler.now += others * self._spinner_ns
        grants.append(scheduler.now)


class Ttas(Fifo):
    """Test and test-and-set: spinners look again and again, after 4, 8, ... 128 pauses, and the first look wins.

    A spinner's looks follow from when it came. So nobody is run to look: the lock finds whose look is the first
    after the release, and is on the heap with that time. Whoever comes earlier takes the lock before (barges in).

    => `_young`: a heap of (next look, number, pauses before the look after it, strand), as long as pauses double.
    => `_old`: (next look modulo the longest pause, number, strand), sorted: those look at even intervals.
    => `ticket`: the number of the one heap entry that counts, or 0. `_armed_ns`: its time.
    """

    __slots__ = ("_armed_ns", "_max_ns", "_min_ns", "_old", "_young", "ticket")

    spins: Literal[True] = True

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        pause_ns = costs.ns("spin_pause")
        self._min_ns = max(1, costs.count("backoff_min") * pause_ns)
        self._max_ns = max(self._min_ns, costs.count("backoff_max") * pause_ns)
        self._young: list[tuple[int, int, int, Strand]] = []
        self._old: list[tuple[int, int, Strand]] = []
        self.ticket, self._armed_ns = 0, NEVER

    def wait(self) -> None:
        """Spin."""
        scheduler, me = self.scheduler, self.scheduler.current
        self.refuse_circle(me)
        self._spin(me, scheduler.now)
        try:
            scheduler.park(self)
        except BaseException:
            self._give_up(me)
            raise

    def enlist(self, strand: Strand, clock: int) -> bool:
        """Let a strand that comes at that time spin, if the lock is held until later by nobody who is suspended."""
        if self.holder is not None or self.free_at <= clock:
            return False
        strand.arrives, strand.ticket = None, 0
        self._spin(strand, clock)
        return True

    def _spin(self, strand: Strand, clock: int) -> None:
        look, pauses_ns = clock + self._min_ns, self._min_ns
        if self.holder is None:
            while look < self.free_at:
                pauses_ns = min(2 * pauses_ns, self._max_ns)
                look += pauses_ns
            if look < self._armed_ns:
                self._armed_ns = look
                self.scheduler.push(look, self)
        heappush(self._young, (look, strand.number, pauses_ns, strand))
        self.crowd += 1

    def released(self) -> None:
        """Let the first look after the release have the lock; a look before it takes the line from the holder."""
        scheduler, old = self.scheduler, self._old
        now, since = scheduler.now, self.since
        looked = self._pass(now) >= since
        if old and not looked:
            looked = since + self._until_old(since) < now
        if looked and self.move:
            scheduler.now = self.free_at = now = now + self.move
            self._pass(now)
        look = self._young[0][0] if self._young else NEVER
        if old:
            look = min(look, now + self._until_old(now))
        self._armed_ns = look
        scheduler.push(look, self)

    def elect(self, clock: int) -> Strand | None:
        """Return who looks at this moment, and has the lock; None if somebody barged in and is suspended."""
        self.ticket, self._armed_ns = 0, NEVER
        if self.holder is not None or not self.crowd:
            return None  # its release comes back to it
        if self._young and self._young[0][0] == clock:
            winner = heappop(self._young)[3]
        else:
            winner = self._old.pop(bisect_left(self._old, (clock % self._max_ns, -1)))[2]
        self.crowd -= 1
        self.holder, winner.awaits = winner, None
        return winner

    def _pass(self, now: int) -> int:
        """Let all looks before a time pass; return the last of them of those whose pauses still double, or -1."""
        young, longest, last = self._young, self._max_ns, -1
        while young and young[0][0] < now:
            last, number, pauses_ns, strand = young[0]
            if pauses_ns >= longest:
                heappop(young)
                insort(self._old, (last % longest, number, strand))
            else:
                pauses_ns = min(2 * pauses_ns, longest)
                heapreplace(young, (last + pauses_ns, number, pauses_ns, strand))
        return last

    def _until_old(self, now: int) -> int:
        """Return how long it is until somebody looks whose pauses are the longest; there is somebody."""
        old, longest = self._old, self._max_ns
        at = bisect_left(old, (now % longest, -1))
        return (old[at if at < len(old) else 0][0] - now) % longest

    def _give_up(self, me: Strand) -> None:
        spinning = len(self._young) + len(self._old)
        self._young = sorted(entry for entry in self._young if entry[3] is not me)
        self._old = [entry for entry in self._old if entry[2] is not me]
        if len(self._young) + len(self._old) < spinning:
            self.crowd -= 1
        elif self.holder is me:
            self.drop()


class Sleep(Fifo):
    """Python's lock: a waiter that would wait long sleeps; waking it costs who drops the lock, and it may be late.

    => Who comes while a woken sleeper is on its way takes the lock before it.
    """

    __slots__ = ("_spin_ns", "_wake_ns", "_wakeup_ns")

    def __init__(self, scheduler: Scheduler, name: str, costs: Costs) -> None:
        super().__init__(scheduler, name, costs)
        self._spin_ns, self._wake_ns = costs.ns("sleep_spin"), costs.ns("sleep_wake")
        self._wakeup_ns = costs.ns("wakeup")

    def wait(self) -> None:
        """Spin for a while, then sleep, until the lock is free."""
        scheduler = self.scheduler
        while self.holder is not None or self.free_at > scheduler.now:
            if self.holder is not None:
                self._queue_up()
            elif self.free_at - scheduler.now <= self._spin_ns:
                scheduler.now = self.free_at
            else:
                scheduler.park(self, self.free_at + self._wakeup_ns)

    def released(self) -> None:
        """Wake who has slept longest."""
        self.crowd -= 1
        self.scheduler.wake(self.queue.popleft(), self.free_at + self._wakeup_ns)
        self.scheduler.now += self._wake_ns


POLICIES: Final[dict[str, type[Fifo]]] = {"ttas": Ttas, "ticket": Ticket, "mcs": Mcs, "sleep": Sleep}
"""What a shared lock may be."""
