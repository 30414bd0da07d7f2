"""What holds of locks are worth: how many items and pages each touched, as a distribution.

A hold that moves one page and one that moves a thousand count as one acquisition each. Whoever waits for the lock
can tell them apart. So this instrument asks the list that a mutex guards, at each release, what was touched.

=> An item is a page moved singly, or a run of pages moved by pointer, whatever its length. A page that moves in such
   a run is not touched.
=> A mutex that guards no list that tells (Mutex.guards) counts one page a hold, or what `touch()` says.
=> Its counts are written while the mutex is held, and only then; read them at rest.

Source: lockstat(8) counts holds and their times; how long a hold is on other hardware follows from what it touches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import LockRank


class Touched(Protocol):
    """A list that tells what was touched under the lock that guards it, since who holds the lock last asked.

    => `pages_touched`: pages moved singly. `items_touched`: runs of pages moved by pointer. `taken`: some of the
       pages, for a Machine whose pages have cache lines.
    """

    pages_touched: int
    items_touched: int
    taken: Sequence[Sequence[Any]]


def is_shared(rank: LockRank) -> bool:
    """Whether locks of a rank are what CPUs meet at: guards of free pages that belong to no CPU."""
    return rank.kind == "shared"


class Holds:
    """The holds of the locks of one rank, of one caller each: `items[n]` and `pages[n]` touched n."""

    __slots__ = ("caller", "items", "pages", "rank")

    def __init__(self, rank: LockRank, caller: str) -> None:
        self.rank, self.caller = rank, caller
        self.items: Counter[int] = Counter()
        self.pages: Counter[int] = Counter()


class HoldsHandle:
    """A lock handle that notes at each release what was touched."""

    __slots__ = ("_guarded", "_holds", "_instrument", "_release")

    def __init__(
        self, holds: Holds, instrument: LockHolds, guarded: Callable[[], Touched | None], release: Callable[[], None]
    ) -> None:
        self._holds, self._instrument, self._guarded, self._release = holds, instrument, guarded, release

    def release(self) -> None:
        """Note the hold, give the lock back; the next who asks the list is told of the next hold alone."""
        guarded, holds = self._guarded(), self._holds
        told = self._instrument.told()
        if guarded is None:
            pages = items = told or 1
        else:
            pages = guarded.pages_touched
            items = pages + guarded.items_touched
            if self._instrument.settles:
                guarded.pages_touched = guarded.items_touched = 0
                guarded.taken = ()
        holds.items[items] += 1
        holds.pages[pages] += 1
        self._release()


class LockHolds:
    """The holds of all shared locks of one Machine.

    => `settles`: whether a list is set back here, where no Machine does so that charges for what is touched.
    => `_holds` is guarded by `_lock`, a leaf; `_touched` by the mutex that is held.
    """

    def __init__(self, raw_lock: Callable[[], Any], *, settles: bool) -> None:
        self._lock = raw_lock()
        self._holds: list[Holds] = []
        self._touched = 0
        self.settles = settles

    def handle(
        self, rank: LockRank, caller: str, guarded: Callable[[], Touched | None], handle: LockHandle
    ) -> LockHandle:
        """Return a handle that takes the lock as that one does, and notes its holds if it is a shared one."""
        if not is_shared(rank):
            return handle
        holds = Holds(rank, caller)
        with self._lock:
            self._holds.append(holds)
        noting = HoldsHandle(holds, self, guarded, handle.release)
        return LockHandle(handle.acquire, handle.try_acquire, noting.release, handle.mutex)

    def touch(self, pages: int) -> None:
        """Say how many pages the hold under way has moved singly, for a mutex whose list does not tell."""
        self._touched += pages

    def told(self) -> int:
        """Return what touch() was told since the last hold ended."""
        touched, self._touched = self._touched, 0
        return touched

    def snapshot(self) -> tuple[Holds, ...]:
        """Return the holds, one entry for each rank and caller; at rest."""
        with self._lock:
            summed: dict[tuple[str, str], Holds] = {}
            for one in self._holds:
                total = summed.setdefault((one.rank.name, one.caller), Holds(one.rank, one.caller))
                total.items += one.items
                total.pages += one.pages
            return tuple(summed.values())
