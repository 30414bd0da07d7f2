"""What holds of locks are worth: how many items and pages each touched, as a distribution.

A hold that moves one page and one that moves a thousand count as one acquisition each. Whoever waits for the lock
can tell them apart. So this instrument asks the list that a mutex guards, at each release, what was touched.

=> An item is a page moved singly, or a run of pages moved by pointer, whatever its length. A page that moves in such
   a run is not touched.
=> A mutex that guards no list that tells (Mutex.guards) counts one page a hold, or what `touch()` says.
=> Its counts are written while the mutex is held, and only then; read them at rest.
=> In virtual time it also knows whose guards are held: who counts from outside has to look at those CPUs.

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
            if not self._instrument.virtual:
                guarded.pages_touched = guarded.items_touched = 0
                guarded.taken = ()
        holds.items[items] += 1
        holds.pages[pages] += 1
        self._release()


class LockHolds:
    """The holds of all shared locks of one Machine, and which CPUs' guards are held.

    => `virtual`: whether strands run one at a time. There the Machine itself sets lists back, as it charges for what
       they tell; elsewhere that is done here.
    => `inside`: CPUs whose guard is held. `left`: CPUs whose guard was given back; whoever looks at them clears it.
       Both in virtual time only, where nobody runs in between: they have no lock.
    => `_holds` is guarded by `_lock`, a leaf; `_touched` by the mutex that is held.
    """

    def __init__(self, raw_lock: Callable[[], Any], *, virtual: bool) -> None:
        self._lock = raw_lock()
        self._holds: list[Holds] = []
        self._touched = 0
        self.virtual = virtual
        self.inside: list[int] = []
        self.left: set[int] = set()

    def handle(
        self,
        rank: LockRank,
        index: int | None,
        caller: str,
        guarded: Callable[[], Touched | None],
        handle: LockHandle,
    ) -> LockHandle:
        """Return a handle that takes the lock as that one does, and notes what there is to note of its kind."""
        if rank.kind == "shared":
            holds = Holds(rank, caller)
            with self._lock:
                self._holds.append(holds)
            noting = HoldsHandle(holds, self, guarded, handle.release)
            return LockHandle(handle.acquire, handle.try_acquire, noting.release, handle.mutex)
        if rank.kind in ("cpu", "off") and self.virtual and index is not None:
            return self._guard(index, handle)
        return handle

    def _guard(self, index: int, handle: LockHandle) -> LockHandle:
        """Return a handle of a CPU's guard that notes when it is held."""
        inside, left = self.inside, self.left
        take, try_take, give = handle.acquire, handle.try_acquire, handle.release

        def acquire() -> None:
            take()
            inside.append(index)

        def try_acquire() -> bool:
            if not try_take():
                return False
            inside.append(index)
            return True

        def release() -> None:
            inside.remove(index)
            left.add(index)
            give()

        return LockHandle(acquire, try_acquire, release, handle.mutex)

    def touch(self, pages: int) -> None:
        """Say how many pages the hold under way has moved singly, for a mutex whose list does not tell."""
        self._touched += pages

    def told(self) -> int:
        """Return what touch() was told since the last hold ended."""
        touched, self._touched = self._touched, 0
        return touched

    def restart(self) -> None:
        """Count holds from now on; at rest, or in virtual time."""
        with self._lock:
            for one in self._holds:
                one.items.clear()
                one.pages.clear()

    def snapshot(self) -> tuple[Holds, ...]:
        """Return the holds, one entry for each rank and caller; at rest."""
        with self._lock:
            summed: dict[tuple[str, str], Holds] = {}
            for one in self._holds:
                total = summed.setdefault((one.rank.name, one.caller), Holds(one.rank, one.caller))
                total.items += one.items
                total.pages += one.pages
            return tuple(summed.values())
