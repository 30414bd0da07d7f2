"""A checked run: every hold of every lock is written down, and what must be true is asserted as it happens.

=> At a shared step no strand that could run has a smaller clock; who is run next is never one of the past, and its
   CPU runs no other strand.
=> No strand's clock goes back. The holds of one lock do not overlap. Who has a lock is the strand that runs.
=> `digest()` is one number for a whole run: equal runs have equal ones.
"""

from __future__ import annotations

import hashlib
from typing import Any

from uvmfree.machine.virtual.fifo import Fifo
from uvmfree.machine.virtual.locks import Taken
from uvmfree.machine.virtual.scheduler import Entry, Scheduler
from uvmfree.machine.virtual.strands import Strand

Hold = tuple[str, str, str, int, int, int]
"""Strand, lock, caller; when it came, when it was granted the lock, when it had dropped it."""


class CheckedScheduler(Scheduler):
    """A scheduler that asserts its invariants."""

    _popped = 0

    def sync(self, comes_for: Any = None) -> bool:
        """Let every strand with a smaller clock go first."""
        granted = super().sync(comes_for)
        assert all(entry[0] >= self.now for entry in self.heap), "a smaller clock was passed over"
        return granted

    def _next(self, entry: Entry) -> Strand:
        strand, clock = super()._next(entry), self.now
        assert clock >= self._popped, f"{strand.name} goes first at {clock} ns, which has passed"
        self._popped = clock
        place = strand.place
        assert clock >= place.busy_until, f"{strand.name} runs while its CPU runs another strand"
        assert place.top is strand, f"{strand.name} runs though its CPU runs {place.top}"
        return strand


class Journal:
    """What the locks of one machine saw; `holds` in the order of the releases."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._clocks: dict[int, int] = {}
        self._dropped: dict[Fifo, int] = {}
        self.holds: list[Hold] = []

    def digest(self) -> str:
        """Return a hash of all holds."""
        return hashlib.sha256(repr(self.holds).encode()).hexdigest()

    def checked(self, lock: Fifo, caller: str, taken: Taken) -> Taken:
        """Make an access to a lock that is written down."""
        scheduler = self._scheduler
        came = granted = 0

        def acquire(blocking: bool = True, timeout: float = -1) -> bool:
            nonlocal came, granted
            self._see_clock()
            began, lock.since = scheduler.now, -1
            if not taken.acquire(blocking):
                return False
            # The short way to a CPU's own lock notes no time.
            came, granted = began, began if lock.since < 0 else lock.since
            assert lock.holder is scheduler.current, f"{lock.name} is held by {lock.holder}"
            assert granted >= self._dropped.get(lock, 0), f"{lock.name} is held twice at {granted} ns"
            self._see_clock()
            return True

        def release() -> None:
            me = scheduler.current
            assert lock.holder is me, f"{lock.name} is dropped by {me.name}, held by {lock.holder}"
            taken.release()
            self._dropped[lock] = lock.free_at
            self.holds.append((me.name, lock.name, caller, came, granted, lock.free_at))
            self._see_clock()

        return Taken(lock, acquire, release, taken.freed_ns)

    def _see_clock(self) -> None:
        scheduler = self._scheduler
        me, now = scheduler.current, scheduler.now
        assert now >= self._clocks.get(me.number, 0), f"the clock of {me.name} goes back to {now} ns"
        self._clocks[me.number] = now
