"""A lock handle that counts on a Machine which tells when a lock was given back: every hold is measured.

Such a machine charges the work under a lock when the lock is given back, so that only afterwards it can be told how
long it was held. Asking costs nothing in its time: there is nothing to sample (kern/lockstat.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat, Times, recorded


class ExactHandle:
    """A lock handle that counts; all that it counts is written by one strand at a time, between two switches.

    => `acquire`, `try_acquire`, `release`, `wait`, `snapshot`, `restart`: as those of a CountingHandle.
    => `freed_ns()`: when the lock was last given back.
    => A wait under way is in the sum of a snapshot as far as it has gone, and of a new count from then on.
    => Closures, and the sums kept in them: every acquisition in virtual time comes this way.
    """

    __slots__ = ("acquire", "release", "restart", "snapshot", "try_acquire", "wait")

    def __init__(
        self, raw: RawLock, name: str, caller: str, clock_ns: Callable[[], int], freed_ns: Callable[[], int]
    ) -> None:
        raw_acquire, raw_release = raw.acquire, raw.release
        waits, wait_hist = Times(), [0] * WAIT_BUCKETS
        under_way: list[list[int]] = []  # of each wait that goes on: when it began, in this count
        acquired = holds = total_ns = min_ns = max_ns = 0
        held_since_ns: int | None = None  # and in this count

        def acquire() -> None:
            """Take the lock; count it, and if it was held, count and time the wait."""
            nonlocal acquired, held_since_ns
            if raw_acquire(False):
                acquired += 1
                held_since_ns = clock_ns()
            else:
                wait()

        def try_acquire() -> bool:
            """Take the lock if it is free; only a success is counted."""
            nonlocal acquired, held_since_ns
            if not raw_acquire(False):
                return False
            acquired += 1
            held_since_ns = clock_ns()
            return True

        def wait() -> None:
            """Take the lock, which was held a moment ago; count and time the wait."""
            nonlocal acquired, held_since_ns
            began = [clock_ns()]
            under_way.append(began)
            try:
                raw_acquire()
            finally:
                under_way.remove(began)
            acquired += 1
            held_since_ns = now_ns = clock_ns()
            waits.add(now_ns - began[0])
            wait_hist[min((now_ns - began[0]).bit_length(), WAIT_BUCKETS - 1)] += 1

        def release() -> None:
            """Give the lock back, and note how long it was held."""
            nonlocal held_since_ns, holds, total_ns, min_ns, max_ns
            since_ns, held_since_ns = held_since_ns, None  # before another takes it by this handle
            raw_release()
            if since_ns is None:
                return
            ns = freed_ns() - since_ns
            if ns > max_ns:
                max_ns = ns
            if ns < min_ns or not holds:
                min_ns = ns
            total_ns += ns
            holds += 1

        def restart() -> None:
            nonlocal acquired, held_since_ns, holds, total_ns, min_ns, max_ns
            acquired = holds = total_ns = min_ns = max_ns = 0
            held_since_ns = None
            for began in under_way:
                began[0] = max(began[0], clock_ns())
            waits.restart()
            wait_hist[:] = [0] * WAIT_BUCKETS

        def snapshot() -> LockStat:
            measured = Times()
            measured.count, measured.total_ns, measured.min_ns, measured.max_ns = holds, total_ns, min_ns, max_ns
            record = recorded(name, caller, acquired, waits, measured, total_ns, wait_hist)
            if not under_way:
                return record
            now_ns = clock_ns()
            until_now_ns = sum(max(0, now_ns - began) for (began,) in under_way)
            return replace(record, wait_ns_total=record.wait_ns_total + until_now_ns)

        self.acquire, self.try_acquire, self.release, self.snapshot = acquire, try_acquire, release, snapshot
        self.wait, self.restart = wait, restart
