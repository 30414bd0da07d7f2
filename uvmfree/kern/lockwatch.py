"""Who holds and who waits for each mutex, for whoever finds a run hung; and a place where a holder can be held up.

=> An acquisition that need not wait takes no lock for it, reads no clock and touches nothing that the mutex itself
   does not guard. (lockdebug checks everything, and takes a lock of its own for that, three times: it would bring
   order into just those threads whose disorder a stress run is after.)
=> A hook on a mutex is run by the next threads that take or drop it: so a CPU can be stalled inside its critical
   section, where a kernel thread may be preempted by an interrupt.

Prior art: the owner field of NetBSD's adaptive mutex(9), `show lock` of ddb(4).
"""

from collections.abc import Callable
from dataclasses import dataclass

from uvmfree.kern.lock import LockHandle, RawLock

Hook = Callable[[], None]
"""Runs on the thread that has just taken, or just dropped, a mutex."""


@dataclass(frozen=True, slots=True)
class LockState:
    """One mutex at one moment: who holds it, and who waits for it, each as (thread, what it took the lock for)."""

    name: str
    holder: tuple[int, str] | None
    waiters: tuple[tuple[int, str], ...]


class Watched:
    """What is known of one mutex.

    Guarded by (m) the mutex itself, (l) `lock`, a leaf that is held for a dictionary operation.

    => `holder`: the thread and its caller's name; read by others as one reference, which may be a moment old.   [m]
    => `waiters`: by thread, for what.                                                                           [l]
    => `on_taken`, `on_dropped`: hooks, or None; one reference, stored by whoever wants to hold somebody up and read
       without a lock: one that is seen late strikes an acquisition later.
    """

    __slots__ = ("holder", "lock", "name", "on_dropped", "on_taken", "waiters")

    def __init__(self, name: str, lock: RawLock) -> None:
        self.name = name
        self.lock = lock
        self.holder: tuple[int, str] | None = None
        self.waiters: dict[int, str] = {}
        self.on_taken: Hook | None = None
        self.on_dropped: Hook | None = None

    def state(self) -> LockState:
        """Return who holds the mutex and who waits for it."""
        with self.lock:
            return LockState(self.name, self.holder, tuple(self.waiters.items()))


class LockWatch:
    """The mutexes of one Machine."""

    def __init__(self, raw_lock: Callable[[], RawLock], me: Callable[[], int]) -> None:
        self.me = me
        self._raw_lock = raw_lock
        self._lock = raw_lock()  # a leaf
        self._watched: tuple[Watched, ...] = ()  # replaced whole under it

    def add(self, name: str) -> Watched:
        """Watch one mutex more; two may have one name."""
        watched = Watched(name, self._raw_lock())
        with self._lock:
            self._watched = (*self._watched, watched)
        return watched

    def named(self, name: str) -> tuple[Watched, ...]:
        """Return the mutexes of this name."""
        return tuple(watched for watched in self._watched if watched.name == name)

    def watched(self) -> tuple[Watched, ...]:
        """Return all mutexes, in the order in which they were made."""
        return self._watched

    def states(self) -> tuple[LockState, ...]:
        """Return the state of every mutex, in the order in which they were made."""
        return tuple(watched.state() for watched in self._watched)

    def held_by(self, thread: int) -> tuple[str, ...]:
        """Return the names of the mutexes that a thread holds; exact if it is the calling one."""
        holders = [(watched.name, watched.holder) for watched in self._watched]
        return tuple(name for name, holder in holders if holder is not None and holder[0] == thread)


class WatchingHandle:
    """A lock handle that says who has the lock, and who would like to have it.

    => `wait` takes a lock which `inner.try_acquire` found held: whoever counts waits, counts that one even if the
       lock has come free since.
    => `acquire`, `try_acquire`, `release`: as those of a LockHandle. Closures, as in kern/lockstat.py.
    """

    __slots__ = ("acquire", "release", "try_acquire")

    def __init__(
        self, watched: Watched, watch: LockWatch, inner: LockHandle, wait: Callable[[], object], caller: str
    ) -> None:
        me, inner_try_acquire, inner_release = watch.me, inner.try_acquire, inner.release

        def acquire() -> None:
            """Take the lock; where that has to wait, be on the list of its waiters meanwhile."""
            if not inner_try_acquire():
                wait_in_view()
            watched.holder = (me(), caller)
            hook = watched.on_taken
            if hook is not None:
                hook()

        def try_acquire() -> bool:
            """Take the lock if it is free."""
            if not inner_try_acquire():
                return False
            watched.holder = (me(), caller)
            hook = watched.on_taken
            if hook is not None:
                hook()
            return True

        def release() -> None:
            """Give the lock back."""
            watched.holder = None
            inner_release()
            hook = watched.on_dropped
            if hook is not None:
                hook()

        def wait_in_view() -> None:
            thread = me()
            with watched.lock:
                watched.waiters[thread] = caller
            try:
                wait()
            finally:
                with watched.lock:
                    del watched.waiters[thread]

        self.acquire, self.try_acquire, self.release = acquire, try_acquire, release
