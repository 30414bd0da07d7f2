"""The scheduler: which strand runs, and what time it is for it.

Each strand has a clock. Work of its own only adds to the clock. Before a *shared step* (a lock, an update of a shared
word, a wakeup) a strand calls `sync()`, which lets every strand with a smaller clock go first. So shared steps happen
in the order of their virtual times, ties in the order in which strands came, and one seed gives one run.

Invariants; those marked (c) are asserted with `check`, the others follow from what is asserted:

=> At a shared step no strand that could run has a smaller clock; who is run next is never one of the past (c).
=> No strand's clock goes back (c).
=> The holds of one lock do not overlap in virtual time (c; virtual/checked.py).
=> Strands of one CPU do not run at the same virtual time (c), so that no CPU is used more than 100 %.
=> A run in which nobody waits takes the sum of what was charged (tests/machine/test_virtual_sum.py).

A strand whose CPU runs another one waits. One that was woken takes the CPU from the one that runs, and gives it
back when it waits again: so a kernel thread of a CPU stops that CPU's player. To spin for a lock is to wait, if the
strand has stopped another one; else two strands of a CPU could wait for each other for ever.

Prior art: the event heap of SimPy; the clock order of parallel discrete event simulation, done conservatively.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from typing import Any, Final, Literal, Protocol

from uvmfree.errors import DeadlockError
from uvmfree.machine.virtual.interrupt import Over, interruptible
from uvmfree.machine.virtual.strands import Kind, Strand

NEVER: Final = 1 << 62
"""A time that does not come: 146 years."""

IDLE_TICKS_MAX: Final = 1000
"""Timeouts of the main strand, one after the other, while no other strand can run: more is a deadlock that ticks."""


class Spun(Protocol):
    """A lock whose spinners are off the heap: it is there for them, with the time of the first look that may win."""

    ticket: int
    spins: Literal[True]

    def enlist(self, strand: Strand, clock: int) -> bool:
        """Let a strand that comes at that time spin, if the lock will be free later; False if it has to look."""

    def elect(self, clock: int) -> Strand | None:
        """Return who gets the lock at that time, if anybody does."""


class Scheduler:
    """The strands of one virtual machine.

    => `now`, `current`, `cpu`: the clock of the strand that runs, the strand, its CPU's number or -1.
    => `head`: a time up to which the running strand goes first. `limit`: `head` and the quantum.
    => All of it is touched by the running strand only. `interrupted` is the exception: a signal's handler sets it.
    => `over` is set as long as there is no strand but the main one; for the watchdog's thread.
    """

    __slots__ = (
        "__weakref__",
        "_heap",
        "_idle_ticks",
        "_number",
        "_popped",
        "check",
        "cpu",
        "current",
        "head",
        "interrupted",
        "limit",
        "main",
        "now",
        "over",
        "quantum",
        "strands",
    )

    def __init__(self, kind: Kind, main: Strand, quantum_ns: int, *, check: bool) -> None:
        self.now = self._number = self._idle_ticks = self._popped = 0
        self.quantum, self.check = quantum_ns, check
        self._heap: list[tuple[int, int, Strand | Spun]] = []
        self.head = self.limit = NEVER
        self.main = self.current = main
        self.cpu = main.cpu
        self.interrupted = False
        self.over = Over()
        self.strands: dict[int, Strand] = {main.number: main}
        main.place.top = main
        kind.adopt(main)

    @property
    def steps(self) -> int:
        """How many entries the heap has had: it rises as long as shared steps are made."""
        return self._number

    def sync(self) -> None:
        """Let every strand with a smaller clock go first; the caller has seen that now > head."""
        current, now = self.current, self.now
        self._number = current.ticket = number = self._number + 1
        current.place.busy_until = now
        self._dispatch(current, heapreplace(self._heap, (now, number, current)))
        if self.main.pending is not None and current is self.main:
            self._raise_pending()
        if self.check:
            assert all(entry[0] >= self.now for entry in self._heap), "a smaller clock was passed over"

    def wake(self, strand: Strand, at_ns: int) -> None:
        """Let a waiting strand go on at a time that has not passed."""
        strand.woken, strand.awaits = True, None
        self.push(at_ns, strand)

    def arrive(self, lock: Any) -> bool:
        """As sync(), before a spinlock is taken; True if the strand came to spin and has got the lock since."""
        current = self.current
        current.arrives = lock
        self.sync()
        arrives, current.arrives = current.arrives, None
        return arrives is None

    def push(self, at_ns: int, target: Strand | Spun) -> None:
        """Put a strand, or a lock that is to be given to a spinner, on the heap; its former entry counts no more."""
        self._number += 1
        target.ticket = self._number
        heappush(self._heap, (at_ns, self._number, target))
        if at_ns < self.head:
            self.head = at_ns
            self.limit = at_ns + self.quantum

    def park(self, awaits: object, deadline_ns: int | None = None) -> bool:
        """Wait until woken, or until the deadline; return whether the strand was woken.

        => An error that was sent to the strand is raised here. DeadlockError if nothing can ever happen again.
        """
        current = self.current
        if current.pending is not None:
            self._raise_pending()
        current.awaits, current.woken, current.ticket, current.fresh = awaits, False, 0, True
        if deadline_ns is not None:
            self.push(max(deadline_ns, self.now), current)
        self._leave(current, self.now)
        if current is self.main:
            with interruptible(self):
                self._dispatch(current, self._pop())
        else:
            self._dispatch(current, self._pop())
        current.awaits = None
        if current.pending is not None:
            self._raise_pending()
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
        return self._choose(self._pop())

    def sleep(self, ns: int) -> None:
        """Let virtual time pass for the running strand, which needs no CPU meanwhile."""
        self.park("a time", self.now + ns)

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
        place.busy_until = max(place.busy_until, now)
        if place.top is strand:
            below, strand.below = strand.below, None
            place.top = below
            if below is not None and below.aside:
                below.aside = False
                self.push(now, below)

    def _pop(self) -> tuple[int, int, Strand | Spun]:
        if not self._heap:
            self.abandon(DeadlockError(f"deadlock at {self.now} ns: {self.waits()}"))
        return heappop(self._heap)

    def _dispatch(self, leaving: Strand, entry: tuple[int, int, Strand | Spun]) -> None:
        """Run who is next, and return when `leaving` is."""
        clock, number, target = entry
        if target.ticket == number and not target.spins and not self.interrupted and not self.check:
            place = target.place
            if place.top is target and place.busy_until <= clock and target.arrives is None and self._heap:
                # The short way, taken at nearly every switch. _choose() would come to the same.
                self.now, self.current, self.cpu = clock, target, target.cpu
                self.head = head = self._heap[0][0]
                self.limit = head + self.quantum
                target.resume(leaving)
                return
        target = self._choose(entry)
        if target is not leaving:
            target.resume(leaving)

    def _raise_pending(self) -> None:
        """Raise what was sent to the running strand; in the main strand once, in others wherever they wait."""
        pending = self.current.pending
        if self.current is self.main:
            self.main.pending = None
        assert pending is not None
        raise pending

    def _choose(self, entry: tuple[int, int, Strand | Spun]) -> Strand:
        """Find who is next, from the smallest entry on, and make it the running strand."""
        heap = self._heap
        while True:
            clock, number, target = entry
            if self.interrupted:
                self.interrupted = False
                self.main.pending = KeyboardInterrupt()
                heappush(heap, entry)
                self.wake(self.main, clock)
                entry = heappop(heap)
                continue
            if target.ticket != number:  # woken, or armed anew, since
                entry = self._pop()
                continue
            if target.spins:
                winner = target.elect(clock)
                if winner is None:
                    entry = self._pop()
                    continue
                target = winner
            place = target.place
            if target.arrives is not None and target.arrives.enlist(target, clock):
                # It spins: there is no need to run it for that.
                if target.below is not None:
                    target.fresh = True
                    self._leave(target, clock)
                entry = self._pop()
                continue
            if place.top is not target:
                if not target.fresh:
                    target.aside, target.ticket = True, 0
                    entry = self._pop()
                    continue
                target.below, place.top = place.top, target
            if clock < place.busy_until:
                self.push(place.busy_until, target)
                entry = self._pop()
                continue
            break
        if target is self.main and not target.woken and not heap:
            self._idle_ticks += 1
            if self._idle_ticks > IDLE_TICKS_MAX and len(self.strands) > 1:
                self._idle_ticks = 0
                self.abandon(DeadlockError(f"deadlock at {clock} ns: {self.waits()}"))
                return self._choose(heappop(heap))
        elif target is not self.main:
            self._idle_ticks = 0
        if self.check:
            assert clock >= place.busy_until, f"{target.name} runs while its CPU runs another strand"
            assert clock >= self._popped, f"{target.name} goes first at {clock} ns, which has passed"
            assert place.top is target, f"{target.name} runs though its CPU runs {place.top}"
            self._popped = clock
        target.fresh = False
        self.now, self.current, self.cpu = clock, target, target.cpu
        self.head = heap[0][0] if heap else NEVER
        self.limit = self.head + self.quantum
        return target


def _said(awaits: object) -> str:
    return awaits if isinstance(awaits, str) else str(getattr(awaits, "waited_for", awaits))
