"""The tracing mutex: every wait and every hold with its times, for a timeline.

=> A tracing handle stands in for a counting one (kern/lockstat.py) and times every acquisition, not a sample: what
   it traced adds up to what it counted, to the nanosecond.
=> Costs two clock readings and a list entry for each acquisition, so that what a trace shows is slower than what
   runs without it. Each handle has its own list, written only while the lock is held, as its counters are.
=> Bounded: a handle that has LIMIT slices traces no more; `dropped` says how many it left out.

Prior art: the lock events of perf and of LTTng; lockstat(8) for what is counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat, Times, recorded

LIMIT: Final = 50_000
"""Slices of one handle: with the two busy handles of each of four CPUs as many as a viewer can show."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One wait for, or one hold of, a lock by a thread; times on the Machine's clock.

    => `held`: whether it was held, else waited for. `thread`: the name of the thread.
    """

    lock: str
    caller: str
    thread: str
    held: bool
    began_ns: int
    ended_ns: int


class TracingHandle:
    """A lock handle that counts and keeps what it counted; all fields are written only while the lock is held.

    => `acquire`, `try_acquire`, `release`, `wait`, `snapshot`, `restart`: as those of a CountingHandle.
    """

    __slots__ = (
        "_acquired",
        "_caller",
        "_clock_ns",
        "_freed_ns",
        "_held_since_ns",
        "_holds",
        "_raw_acquire",
        "_raw_release",
        "_raw_slices",
        "_taken_by",
        "_thread_name",
        "_wait_hist",
        "_waits",
        "dropped",
        "name",
    )

    def __init__(
        self,
        raw: RawLock,
        name: str,
        caller: str,
        clock_ns: Callable[[], int],
        freed_ns: Callable[[], int] | None,
        thread_name: Callable[[], str],
    ) -> None:
        self.name, self._caller = name, caller
        self._raw_acquire, self._raw_release = raw.acquire, raw.release
        self._clock_ns, self._freed_ns, self._thread_name = clock_ns, freed_ns, thread_name
        self._taken_by = ""
        self.restart()

    def restart(self) -> None:
        """Count and trace from now on; when nobody holds the lock."""
        self._waits, self._holds, self._wait_hist = Times(), Times(), [0] * WAIT_BUCKETS
        self._acquired = self._held_since_ns = self.dropped = 0
        self._raw_slices: list[tuple[str, bool, int, int]] = []

    def acquire(self) -> None:
        """Take the lock; trace the wait, if there was one."""
        if self._raw_acquire(False):
            self._taken(self._clock_ns())
        else:
            self.wait()

    def wait(self) -> None:
        """Take the lock, which was held a moment ago; trace the wait."""
        began_ns = self._clock_ns()
        self._raw_acquire()
        now_ns = self._clock_ns()
        self._taken(now_ns)
        wait_ns = now_ns - began_ns
        self._waits.add(wait_ns)
        self._wait_hist[min(wait_ns.bit_length(), WAIT_BUCKETS - 1)] += 1
        self._keep(self._taken_by, False, began_ns, now_ns)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; only a success is counted and traced."""
        if not self._raw_acquire(False):
            return False
        self._taken(self._clock_ns())
        return True

    def release(self) -> None:
        """Give the lock back, and trace the hold."""
        since_ns, taken_by = self._held_since_ns, self._taken_by
        if self._freed_ns is None:
            self._held(taken_by, since_ns, self._clock_ns())
            self._raw_release()
        else:  # it is told afterwards: kern/lockstat.py
            self._raw_release()
            self._held(taken_by, since_ns, self._freed_ns())

    def snapshot(self) -> LockStat:
        """Return the counts as they stand; a holder's newest may be missing."""
        waits, holds = self._waits, self._holds
        return recorded(self.name, self._caller, self._acquired, waits, holds, holds.total_ns, self._wait_hist)

    def slices(self) -> list[Slice]:
        """Return what was traced, in order; when nobody holds the lock."""
        return [Slice(self.name, self._caller, *raw) for raw in self._raw_slices]

    def _taken(self, now_ns: int) -> None:
        self._held_since_ns = now_ns
        self._taken_by = self._thread_name()
        self._acquired += 1

    def _held(self, taken_by: str, since_ns: int, now_ns: int) -> None:
        self._holds.add(now_ns - since_ns)
        self._keep(taken_by, True, since_ns, now_ns)

    def _keep(self, taken_by: str, held: bool, began_ns: int, ended_ns: int) -> None:
        if len(self._raw_slices) < LIMIT:
            self._raw_slices.append((taken_by, held, began_ns, ended_ns))
        else:
            self.dropped += 1


class LockTrace:
    """The tracing handles of one Machine; `_handles` is guarded by `_lock`, a leaf."""

    def __init__(self, raw_lock: Callable[[], RawLock], thread_name: Callable[[], str]) -> None:
        self._lock = raw_lock()
        self._thread_name = thread_name
        self._handles: list[TracingHandle] = []

    def handle(
        self,
        raw: RawLock,
        name: str,
        caller: str,
        clock_ns: Callable[[], int],
        freed_ns: Callable[[], int] | None = None,
    ) -> TracingHandle:
        """Make a handle that traces, and remember it."""
        handle = TracingHandle(raw, name, caller, clock_ns, freed_ns, self._thread_name)
        with self._lock:
            self._handles.append(handle)
        return handle

    def restart(self, lock: str) -> None:
        """Trace a lock from now on, and forget what its handles traced, retired ones too; when nobody holds it."""
        with self._lock:
            for handle in self._handles:
                if handle.name == lock:
                    handle.restart()

    def slices(self) -> tuple[Slice, ...]:
        """Return all that was traced, by the time at which it began; at rest."""
        with self._lock:
            handles = list(self._handles)
        return tuple(sorted((each for handle in handles for each in handle.slices()), key=lambda one: one.began_ns))

    def dropped(self) -> int:
        """How many slices were left out."""
        with self._lock:
            return sum(handle.dropped for handle in self._handles)
