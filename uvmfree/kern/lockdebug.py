"""The checking mutex: lock order, ownership and re-entry, each an error that names both locks.

=> Checks before it blocks: an acquisition that could deadlock is refused on the first run that shows the
   wrong order, whether or not another thread was there to complete the deadlock.
=> Every acquisition takes the book's own lock twice. It is for tests, not for measurements.

Prior art: lockdebug(9) of NetBSD, WITNESS of FreeBSD, lockdep of Linux.
"""

from collections.abc import Callable
from typing import Protocol

from uvmfree.errors import LockError
from uvmfree.kern.lock import LockHandle, RawLock
from uvmfree.kern.lockrank import LockRank


class Ranked(Protocol):
    """A mutex as far as the book knows it; `owner` is the holding thread, kept under the mutex itself."""

    name: str
    rank: LockRank
    index: int | None
    owner: int | None


class LockDebug:
    """The book of who holds what, one for each Machine."""

    def __init__(self, raw_lock: Callable[[], RawLock], me: Callable[[], int]) -> None:
        self._me = me
        self._book = raw_lock()
        self._held: dict[int, list[Ranked]] = {}  # guarded by _book; by thread, in order of acquisition

    def held(self) -> tuple[Ranked, ...]:
        """Return the mutexes that the calling thread holds, in the order in which it took them."""
        with self._book:
            return tuple(self._held.get(self._me(), ()))

    def before(self, mutex: Ranked, *, blocking: bool) -> None:
        """Refuse an acquisition that is a re-entry or, if it may block, out of order."""
        all_held = self.held()
        if mutex in all_held:
            others = ", ".join(held.name for held in all_held if held is not mutex) or "no other lock"
            raise LockError(f"{mutex.name} is taken again by its holder; it also holds {others}")
        for held in all_held:
            if held.rank.kind in mutex.rank.never_under:
                raise LockError(f"{mutex.name} is taken while {held.name} is held, which its rule forbids")
            if blocking and not _may_follow(held, mutex):
                raise LockError(
                    f"{mutex.name} (rank {mutex.rank.rank:g}) is taken while {held.name} "
                    f"(rank {held.rank.rank:g}) is held; the order is the other way round"
                )

    def took(self, mutex: Ranked) -> None:
        """Note that the calling thread holds `mutex` now."""
        me = self._me()
        with self._book:
            mutex.owner = me
            self._held.setdefault(me, []).append(mutex)

    def drops(self, mutex: Ranked) -> None:
        """Note that the calling thread gives `mutex` back; refuse it if it is not the holder."""
        me = self._me()
        with self._book:
            held = self._held.get(me, [])
            if mutex not in held:
                owner = "nobody" if mutex.owner is None else f"thread {mutex.owner}"
                also = ", ".join(other.name for other in held) or "no lock"
                raise LockError(f"{mutex.name} is released by thread {me}, which holds {also}; it is held by {owner}")
            held.remove(mutex)
            if not held:
                del self._held[me]
            mutex.owner = None

    def forget(self, mutex: Ranked) -> None:
        """Note that nobody holds `mutex`, whoever took it."""
        with self._book:
            for thread, held in list(self._held.items()):
                self._held[thread] = [other for other in held if other is not mutex]
            mutex.owner = None


class CheckingHandle:
    """A lock handle that asks the book before and after."""

    __slots__ = ("_debug", "_inner", "_mutex")

    def __init__(self, mutex: Ranked, debug: LockDebug, inner: LockHandle) -> None:
        self._mutex = mutex
        self._debug = debug
        self._inner = inner

    def acquire(self) -> None:
        """Take the lock; LockError if the order forbids it."""
        self._debug.before(self._mutex, blocking=True)
        self._inner.acquire()
        self._debug.took(self._mutex)

    def try_acquire(self) -> bool:
        """Take the lock if it is free, in any order: who does not block cannot deadlock."""
        self._debug.before(self._mutex, blocking=False)
        if not self._inner.try_acquire():
            return False
        self._debug.took(self._mutex)
        return True

    def release(self) -> None:
        """Give the lock back; LockError if the caller does not hold it."""
        self._debug.drops(self._mutex)
        self._inner.release()


def _may_follow(held: Ranked, wanted: Ranked) -> bool:
    if held.rank.rank == wanted.rank.rank and held.index is not None and wanted.index is not None:
        return held.index < wanted.index
    return held.rank.rank < wanted.rank.rank
