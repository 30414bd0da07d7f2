"""The mutex and the condition variable of a Machine, built from its raw locks.

A counter inside a shared lock object would create the contention that it reports. So a Mutex is never locked
itself: it hands out *handles*, one to each user and place of use, each with its own plain counters, and a
snapshot sums them (`kern/lockstat.py`). With nothing counted and nothing checked a handle is three bound
methods of the raw lock, and costs what the raw lock costs.

=> A handle is used as `h.acquire(); try: ...; finally: h.release()`, or as a context manager off the hot path.
=> Handles of one Mutex exclude each other. A handle may be shared by threads: its counters are only written
   while the lock is held.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias, cast

from uvmfree.kern.lock import LockHandle, RawLock
from uvmfree.kern.lockdebug import CheckingHandle, LockDebug
from uvmfree.kern.lockexact import ExactHandle
from uvmfree.kern.lockholds import LockHolds, Touched
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.lockstat import CountingHandle, LockStat, summed
from uvmfree.kern.locktrace import LockTrace, TracingHandle
from uvmfree.kern.lockwatch import LockWatch, WatchingHandle

Counting: TypeAlias = CountingHandle | ExactHandle | TracingHandle

TURN_S: Final = 0.05
"""How long comes_free() waits before it tries anew: ten switch intervals of the GIL."""


class Mutex:
    """A named lock with a place in the lock order.

    => `raw_lock()` makes the lock itself; `clock_ns` times waits (lockstat), `debug` checks use (lockdebug), `watch`
       knows holder and waiters (lockwatch), `trace` keeps what lockstat counts (locktrace), `holds` counts what was
       touched (lockholds).
    => Source: mutex(9); lockstat(8) for what is counted.
    """

    def __init__(
        self,
        rank: LockRank,
        index: int | None,
        *,
        raw_lock: Callable[[], RawLock],
        clock_ns: Callable[[], int],
        lockstat: bool,
        debug: LockDebug | None,
        watch: LockWatch | None = None,
        trace: LockTrace | None = None,
        holds: LockHolds | None = None,
    ) -> None:
        self.rank = rank
        self.index = index
        self.name = rank.name if index is None else f"{rank.name}[{index}]"
        self._raw = raw_lock()
        self._clock_ns = clock_ns
        self._lockstat = lockstat
        self._debug = debug
        self._watch = watch
        self._trace = trace
        self._holds = holds
        self._guarded: Touched | None = None  # set before the mutex is first taken
        self._watched = None if watch is None else watch.add(self.name)
        # Handles are made and retired while others count: a lock of its own, held for a list operation.
        self._registry = raw_lock()
        self._counting: dict[LockHandle, Counting] = {}  # guarded by _registry
        self._retired: list[LockStat] = []  # guarded by _registry; one per caller
        self.owner: int | None = None  # guarded by the mutex itself; kept by lockdebug only

    def handle(self, caller: str) -> LockHandle:
        """Make a handle whose acquisitions are counted under `caller`, a name as lockstat(8) prints it."""
        raw = self.raw_for(caller)
        handle = LockHandle(raw.acquire, partial(raw.acquire, False), raw.release, self)
        counting: Counting | None = None
        if self._lockstat:
            counting = self._counting_handle(raw, caller)
            handle = LockHandle(counting.acquire, counting.try_acquire, counting.release, self)
        if self._holds is not None:
            handle = self._holds.handle(self.rank, self.index, caller, lambda: self._guarded, handle)
        if self._watch is not None and self._watched is not None:
            wait = handle.acquire if counting is None else counting.wait
            watching = WatchingHandle(self._watched, self._watch, handle, wait, caller)
            handle = LockHandle(watching.acquire, watching.try_acquire, watching.release, self)
        if self._debug is not None:
            checking = CheckingHandle(self, self._debug, handle)
            handle = LockHandle(checking.acquire, checking.try_acquire, checking.release, self)
        if counting is not None:
            with self._registry:
                self._counting[handle] = counting
        return handle

    def _counting_handle(self, raw: RawLock, caller: str) -> Counting:
        freed_ns = self.freed_ns_of(raw)
        if self._trace is not None:
            return self._trace.handle(raw, self.name, caller, self._clock_ns, freed_ns)
        if freed_ns is not None:
            return ExactHandle(raw, self.name, caller, self._clock_ns, freed_ns)
        return CountingHandle(raw, self.name, caller, self._clock_ns)

    def raw_for(self, caller: str) -> RawLock:
        """Return the lock as this caller takes it: a Machine may charge callers differently."""
        return self._raw

    def freed_ns_of(self, raw: RawLock) -> Callable[[], int] | None:
        """Return what tells when that lock was last given back, of a Machine that charges a hold only then."""
        return None

    def guards(self, touched: object) -> None:
        """Note which list the mutex guards, for who counts or charges what is touched under it (uvm/freelist.py)."""
        self._guarded = guarded = cast("Touched", touched)
        guarded.pages_touched = guarded.items_touched = 0
        guarded.taken = ()

    def retire(self, handle: LockHandle) -> None:
        """Fold the counts of a handle that is no longer used into the mutex's own."""
        with self._registry:
            counting = self._counting.pop(handle, None)
            if counting is not None:
                self._retired = list(summed([*self._retired, counting.snapshot()], by_caller=True))

    def restart(self) -> None:
        """Have all handles count from now on; when nobody holds the mutex, or in virtual time."""
        with self._registry:
            self._retired = []
            for counting in self._counting.values():
                counting.restart()
        if self._trace is not None:
            self._trace.restart(self.name)

    def comes_free(self, timeout_s: float) -> bool:
        """Whether nobody holds the mutex, or nobody does any more within `timeout_s`; neither counted nor checked.

        => On a host, or behind a GIL, that many want, it takes longer: a turn counts as TURN_S, however late it ends.
        """
        if not self._raw.locked():
            return True
        for _ in range(max(1, round(timeout_s / TURN_S))):
            if self._raw.acquire(True, TURN_S):
                self._raw.release()
                return True
        return False

    def wrest(self) -> None:
        """Release the mutex in the place of a holder that has gone without doing so; for the end of a system."""
        if self._debug is not None:
            self._debug.forget(self)
        if self._watched is not None:
            self._watched.holder = None
        self._raw.acquire(False)  # it may have come free just now
        self._raw.release()

    def snapshot(self, *, by_caller: bool = False) -> tuple[LockStat, ...]:
        """Return what was counted since boot, or restart(): one record, or one per caller; nothing without lockstat.

        => Exact when nobody holds the lock; else the holders' newest counts may be missing.
        """
        if not self._lockstat:
            return ()
        with self._registry:
            records = [*self._retired, *(handle.snapshot() for handle in self._counting.values())]
        return tuple(replace(one, kind=self.rank.kind) for one in summed(records, by_caller=by_caller))


class Condvar:
    """A condition variable: waiters sleep, each on a lock of its own, in the order they came.

    => `wait`, `signal` and `broadcast` are called with the mutex held, through the caller's own handle.
    => No wakeup is lost: a waiter is on the list before the mutex is dropped, and a signal that races a
       timeout counts as a signal.
    => Source: condvar(9).
    """

    def __init__(self, raw_lock: Callable[[], RawLock]) -> None:
        self._raw_lock = raw_lock
        self._waiters: deque[RawLock] = deque()  # guarded by the mutex

    @property
    def awaited(self) -> bool:
        """Whether somebody sleeps here who was not signalled; with the mutex held."""
        return bool(self._waiters)

    def wait(self, handle: LockHandle, timeout_s: float | None = None) -> bool:
        """Drop the mutex, sleep until signalled or for `timeout_s`, take the mutex again.

        => Returns False if the time ran out. As with any condition variable the caller re-checks.
        """
        parked = self._raw_lock()
        parked.acquire()
        self._waiters.append(parked)
        signalled = False
        try:
            handle.release()
            signalled = parked.acquire(True, -1 if timeout_s is None else max(0.0, timeout_s))
        finally:
            handle.acquire()
            # A signaller takes a waiter off the list. One that is gone was signalled, late or not.
            if not signalled:
                try:
                    self._waiters.remove(parked)
                except ValueError:
                    signalled = True
        return signalled

    def signal(self) -> None:
        """Wake the waiter that has waited longest, if there is one."""
        if self._waiters:
            self._waiters.popleft().release()

    def broadcast(self) -> None:
        """Wake every waiter."""
        while self._waiters:
            self._waiters.popleft().release()
