"""The scheduler: which strand runs, and what time it is for it.

Each strand has a clock. Work of its own only adds to the clock. Before a *shared step* (a lock, an update of a shared
word, a wakeup) a strand calls `sync()`, which lets every strand with a smaller clock go first. So shared steps happen
in the order of their virtual times, ties in the order in which strands came, and one seed gives one run.

Invariants; those marked (c) are asserted in a checked run (virtual/checked.py), the others follow from them:

=> At a shared step no strand that could run has a smaller clock; who is run next is never one of the past (c).
=> No strand's clock goes back (c).
=> The holds of one lock do not overlap in virtual time (c).
=> Strands of one CPU do not run at the same virtual time (c), so that no CPU is used more than 100 %.
=> A run in which nobody waits takes the sum of what was charged (tests/machine/test_virtual_system.py).

A strand whose CPU runs another one waits. One that was woken takes the CPU from the one that runs, and gives it
back when it waits again: so a kernel thread of a CPU stops that CPU's player. To spin for a lock is to wait, if the
strand has stopped another one; else two strands of a CPU could wait for each other for ever.

Prior art: the event heap of SimPy; the clock order of parallel discrete event simulation, done conservatively.
"""

from __future__ import annotations

from heapq import heappop, heappush, heappushpop
from typing import Any, Final, Protocol

from uvmfree.errors import DeadlockError
from uvmfree.machine.virtual.interrupt import Over, interruptible
from uvmfree.machine.virtual.strands import Kind, Strand

NEVER: Final = 1 << 62
"""A time that does not come: 146 years."""


class Spun(Protocol):
    """A lock whose spinners are off the heap: it is there for them, with the time of the first look that may win."""

    ticket: int
    holder: Strand | None
    free_at: int

    def spin(self, strand: Strand, clock: int) -> None:
        """Let a strand that comes at that time spin; the lock will be free later."""

    def elect(self, clock: int) -> Strand | None:
        """Return who gets the lock at that time, if anybody does."""

    def give_up(self, strand: Strand) -> None:
        """Let a strand spin no longer, nor have the lock."""


class Scheduler:
    """The strands of one virtual machine.

    => `now`, `current`, `cpu`: the clock of the strand that runs, the strand, its CPU's number or -1.
    => `head`: a time up to which the running strand goes first. `limit`: `head` and the quantum.
    => `heap`: entries; a lock that is released puts itself there, too (virtual/ttas.py). `number`: of the newest
       entry: it rises with each shared step.
    => `due`: the main strand, which stands by, is run at the first switch from that time on.
    => All of it is touched by the running strand only, but for what interrupt() sets: a signal's handler calls that.
    => `over` is set as long as there is no strand but the main one; for the watchdog's thread.
    """

    __slots__ = (
        "__weakref__",
        "cpu",
        "current",
        "due",
        "head",
        "heap",
        "interrupted",
        "limit",
        "main",
        "now",
        "number",
        "one_thread",
        "over",
        "quantum",
        "strands",
    )

    def __init__(self, kind: Kind, main: Strand, quantum_ns: int) -> None:
        self.now = self.number = 0
        self.quantum = quantum_ns
        self.heap: list[Entry] = []
        self.head = self.limit = self.due = NEVER
        self.main = self.current = main
        self.cpu = main.cpu
        self.interrupted: BaseException | None = None
        self.one_thread = kind.one_thread
        self.over = Over()
        self.strands: dict[int, Strand] = {main.number: main}
        main.place.top = main
        kind.adopt(main)

    def sync(self, comes_for: Any = None) -> bool:
        """Let every strand with a smaller clock go first; the caller has seen that now > head.

        => `comes_for`: a spinlock that the strand takes next; True if it came to spin and has got the lock since. An
           error that was sent to it while it spun is raised.
        """
        current, now = self.current, self.now
        self.number = current.ticket = number = self.number + 1
        current.arrives = comes_for
        current.place.busy_until = now
        strand = self._next(heappushpop(self.heap, (now, number, current, None)))
        if strand is not current:
            resume = strand.resume
            resume(current)
        if current.pending is not None and (current is self.main or current.arrives is not comes_for):
            if current.arrives is not comes_for:
                comes_for.give_up(current)
            self.raise_pending()
        if current.arrives is comes_for:
            current.arrives = None
            return False
        return True

    def wake(self, strand: Strand, at_ns: int) -> None:
        """Let a waiting strand go on at a time that has not passed."""
        strand.woken, strand.awaits = True, None
        self.push(at_ns, strand)

    def push(self, at_ns: int, strand: Strand, lock: Spun | None = None) -> None:
        """Put a strand, or a lock that is to be given to a spinner, on the heap; its former entry counts no more."""
        self.number = number = self.number + 1
        (lock or strand).ticket = number
        heappush(self.heap, (at_ns, number, strand, lock))
        if at_ns < self.head:
            self.head = at_ns
            self.limit = at_ns + self.quantum

    def delay(self, strand: Strand, ns: int) -> None:
        """Have a strand that stands before a shared step come to it later; one that waits anyway is not delayed."""
        place = strand.place
        if strand.ticket and strand.awaits is None and place.top is strand:
            place.busy_until += ns
            self.push(place.busy_until, strand)

    def park(self, awaits: object, deadline_ns: int | None = None) -> bool:
        """Wait until woken, or until the deadline; return whether the strand was woken.

        => An error that was sent to the strand is raised here. DeadlockError if nothing can ever happen again.
        """
        current, now = self.current, self.now
        self.raise_pending()
        current.awaits, current.woken, current.ticket, current.fresh = awaits, False, 0, True
        entry = None
        if deadline_ns is not None:
            self.number = current.ticket = number = self.number + 1
            entry = (deadline_ns if deadline_ns > now else now, number, current, None)
        if current.cpu >= 0:  # who is of no CPU leaves none to others
            self._leave(current, now)
        if current is self.main:
            with interruptible(self):
                self._switch(current, entry)
        else:
            self._switch(current, entry)
        current.awaits = None
        self.raise_pending()
        return current.woken

    def end(self, strand: Strand) -> Strand:
        """Take a strand out for good; return the one that runs next."""
        strand.over, strand.ticket = True, 0
        del self.strands[strand.number]
        if len(self.strands) == 1:
            self.over.set()
        for joiner in strand.joiners:
            self.wake(joiner, self.now)
        self._leave(strand, self.now)
        return self._next(self._pop())

    def stand_by(self, awaits: object, ns: int) -> bool:
        """As park(), for the main strand alone: it goes on when woken, or at the first switch after so long.

        => No other strand can tell whether it did: it is not on the heap, where each entry bounds how far a CPU runs
           ahead. So how long it stands by may follow the host's clock.
        """
        assert self.current is self.main
        self.due = self.now + ns
        try:
            return self.park(awaits)
        finally:
            self.due = -1 if self.interrupted is not None else NEVER

    def interrupt(self, error: BaseException) -> None:
        """Raise an error in the main strand at the next shared step."""
        self.interrupted = error
        self.head = self.limit = self.due = -1

    def sleep(self, ns: int) -> None:
        """Let virtual time pass for the running strand, which needs no CPU meanwhile."""
        current, now = self.current, self.now
        until = now + ns
        if now <= until < self.head and until < self.due and current.cpu < 0 and current.pending is None:
            # Nobody has anything to do before: what a wait would come to.
            self.number += 1
            self.now = until
        else:
            self.park("a time", until)

    def abandon(self, error: BaseException) -> None:
        """Raise `error` wherever a strand waits, in the main one last; the others end when they have unwound."""
        for strand in (*(one for one in self.strands.values() if one is not self.main), self.main):
            strand.place.top = strand.below = None
            strand.aside = False
            strand.pending, strand.fresh = error, True
            self.wake(strand, self.now)

    def waits(self) -> str:
        """Say who waits for what, in one line."""
        return "; ".join(
            f"{strand.name} waits for {_said(strand.awaits)}"
            for strand in self.strands.values()
            if strand.awaits is not None
        )

    def _leave(self, strand: Strand, now: int) -> None:
        """Let a strand's CPU go on with whom it had stopped."""
        place = strand.place
        if place.busy_until < now:
            place.busy_until = now
        below, strand.below = strand.below, None
        if place.top is strand:
            place.top = below
            if below is not None and below.aside:
                below.aside = False
                self.push(now, below)
            return
        # It was stopped itself while it came for a lock, and spins: who stopped it now stops whom it had stopped.
        above = place.top
        while above is not None and above.below is not strand:
            above = above.below
        if above is not None:
            above.below = below

    def _pop(self) -> Entry:
        if not self.heap:
            self.abandon(DeadlockError(f"deadlock at {self.now} ns: {self.waits()}"))
        return heappop(self.heap)

    def _switch(self, leaving: Strand, entry: Entry | None) -> None:
        """Run who is next; `entry`: when the running strand wants to go on, if it says."""
        strand = self._next(self._pop() if entry is None else heappushpop(self.heap, entry))
        if strand is not leaving:
            strand.resume(leaving)

    def raise_pending(self) -> None:
        """Raise what was sent to the running strand, if anything: in the main strand once, else wherever it waits."""
        pending = self.current.pending
        if pending is not None:
            if self.current is self.main:
                self.main.pending = None
            raise pending

    def _next(self, entry: Entry) -> Strand:
        """Find who is next, from the smallest entry on, and make it the running strand."""
        heap, due = self.heap, self.due
        while True:
            clock, number, strand, spun = entry
            if clock >= due:
                strand = self._main_between(entry)
                break
            if spun is not None:
                if spun.ticket == number and (elected := spun.elect(clock)) is not None:
                    strand = elected
                    place = strand.place
                    if (place.top is strand and place.busy_until <= clock) or self._gets_cpu(strand, clock):
                        break
            elif strand.ticket == number:  # else it was woken since
                lock = strand.arrives
                if lock is not None and lock.holder is None and lock.free_at > clock:
                    # It spins: there is no need to run it for that.
                    strand.awaits = lock
                    lock.spin(strand, clock)
                    if strand.below is not None:
                        strand.fresh = True
                        self._leave(strand, clock)
                else:
                    place = strand.place
                    if (place.top is strand and place.busy_until <= clock) or self._gets_cpu(strand, clock):
                        break
            entry = heappop(heap) if heap else self._pop()
        strand.fresh = False
        self.now, self.current, self.cpu = clock, strand, strand.cpu
        self.head = head = heap[0][0] if heap else self.due
        self.limit = head + self.quantum
        return strand

    def _gets_cpu(self, strand: Strand, clock: int) -> bool:
        """Let a strand whose CPU runs another one take the CPU, if it was woken; else it stands aside."""
        place = strand.place
        if place.top is not strand:
            if not strand.fresh:
                strand.aside, strand.ticket = True, 0
                return False
            # It has the CPU, though it may have to wait for the end of what that has done already.
            strand.below, place.top, strand.fresh = place.top, strand, False
        if place.busy_until <= clock:
            return True
        self.push(place.busy_until, strand)
        return False

    def _main_between(self, entry: Entry) -> Strand:
        """Return the main strand, which runs before the strand of an entry, and changes nothing for that."""
        main = self.main
        heappush(self.heap, entry)
        self.due, main.ticket, main.place.top = NEVER, 0, main
        if self.interrupted is not None:
            main.pending, self.interrupted = self.interrupted, None
        return main


Entry = tuple[int, int, Strand, Spun | None]
"""Of the heap: a time, a number that tells apart those of one time, whose turn it is then, or the lock that says."""


def _said(awaits: object) -> str:
    return awaits if isinstance(awaits, str) else str(getattr(awaits, "waited_for", awaits))
