"""The counting mutex: how often a lock was taken, how long it was waited for, how long it was held.

Each handle counts for itself, in plain integers that are written only while the lock is held; nobody shares
a counter, so counting adds no contention. An acquisition first tries without blocking: only one that fails
reads the clock. Hold times are sampled, one acquisition in HOLD_SAMPLE, and scaled up in the record.

Source: lockstat(8) of NetBSD, and Documentation/locking/lockstat.rst of Linux for the wait and hold figures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from uvmfree.kern.lock import RawLock

HOLD_SAMPLE: Final = 128
"""One acquisition in so many has its hold time measured: that takes three times what a pair of lock operations does,
and a 128th of it is lost in the noise. At most 256: integers up to there are made once, not each time."""

WAIT_BUCKETS: Final = 40
"""Histogram width: bucket b counts waits of 2**(b-1) to 2**b - 1 ns; 2**39 ns are nine minutes."""


@dataclass(frozen=True, slots=True)
class LockStat:
    """What one lock saw since boot, from one caller or from all.

    => `kind`: what kind of lock it is (kern/lockrank.py), "" where only its handle is asked.
    => `acquired` counts every acquisition, `contended` those that found the lock held; times in nanoseconds.
    => `hold_ns_total` is scaled up from `hold_samples` samples; `hold_ns_min`, `hold_ns_max` are those of samples.
    => `wait_ns_min`: of the acquisitions that waited. A minimum is 0 where there was nothing to measure.
    => `wait_hist[b]` counts waits w with w.bit_length() == b, the last bucket all longer ones; WAIT_BUCKETS of them.

    >>> with uvmfree.boot(npages=64, ncpus=1, design="fpageqlock", lockstat=True) as uvm, uvm.run_on(0) as cpu:
    ...     cpu.pagefree(cpu.pagealloc())
    ...     locks = {(lock.name, lock.caller): lock for lock in uvm.lockstat(by_caller=True)}
    >>> locks["uvm_fpageqlock", "uvm_pagefree"].acquired
    1
    """

    name: str
    caller: str
    acquired: int
    contended: int
    wait_ns_total: int
    wait_ns_max: int
    hold_ns_total: int
    hold_ns_max: int
    hold_samples: int
    wait_hist: tuple[int, ...]
    wait_ns_min: int = 0
    hold_ns_min: int = 0
    kind: str = ""


class Times:
    """Durations of one kind: how many, their sum, the shortest and the longest; written while the lock is held."""

    __slots__ = ("count", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was counted."""
        self.count = self.total_ns = self.min_ns = self.max_ns = 0

    def add(self, ns: int) -> None:
        """Count one."""
        if ns < self.min_ns or not self.count:
            self.min_ns = ns
        if ns > self.max_ns:
            self.max_ns = ns
        self.total_ns += ns
        self.count += 1


def recorded(
    name: str, caller: str, acquired: int, waits: Times, holds: Times, hold_ns_total: int, wait_hist: Iterable[int]
) -> LockStat:
    """Return the record of what a handle has counted."""
    return LockStat(
        name=name,
        caller=caller,
        acquired=acquired,
        contended=waits.count,
        wait_ns_total=waits.total_ns,
        wait_ns_max=waits.max_ns,
        hold_ns_total=hold_ns_total,
        hold_ns_max=holds.max_ns,
        hold_samples=holds.count,
        wait_hist=tuple(wait_hist),
        wait_ns_min=waits.min_ns,
        hold_ns_min=holds.min_ns,
    )


class CountingHandle:
    """A lock handle that counts; all that it counts is written only while the lock is held.

    => `acquire`, `try_acquire`, `release`: as those of a LockHandle. A trylock that fails is not counted.
    => `wait`: an acquisition of which the caller has seen that it has to wait, and that counts as such.
    => `snapshot()`: the counts as they stand. A holder's newest may be missing, HOLD_SAMPLE of them at most.
    => `restart()`: count from now on; a hold that is under way is none. While nobody else uses the handle.
    => Closures, because every acquisition comes this way: on 3.11 what they keep is reached in two thirds, on a
       free-threaded build in half of the time that attributes take (bench/lockstat_cost.py).
    """

    __slots__ = ("acquire", "release", "restart", "snapshot", "try_acquire", "wait")

    def __init__(self, raw: RawLock, name: str, caller: str, clock_ns: Callable[[], int]) -> None:
        raw_acquire, raw_release = raw.acquire, raw.release
        waits, holds, wait_hist = Times(), Times(), [0] * WAIT_BUCKETS
        # Counting down to the next sample is the one thing that an acquisition does; acquisitions follow from it.
        to_sample, samples = 1, 0
        held_since_ns: int | None = None

        def acquire() -> None:
            """Take the lock; count it, and if it was held, count and time the wait."""
            nonlocal to_sample
            if raw_acquire(False):
                to_sample -= 1
                if to_sample:
                    return
                sample()
            else:
                wait()

        def try_acquire() -> bool:
            """Take the lock if it is free; only a success is counted."""
            nonlocal to_sample
            if not raw_acquire(False):
                return False
            to_sample -= 1
            if not to_sample:
                sample()
            return True

        def release() -> None:
            """Give the lock back; if this acquisition is a sample, note how long it was held."""
            if held_since_ns is None:
                raw_release()
            else:
                release_sample()

        def wait() -> None:
            """Take the lock, which was held a moment ago; count and time the wait."""
            nonlocal to_sample
            began_ns = clock_ns()
            raw_acquire()
            wait_ns = clock_ns() - began_ns
            waits.add(wait_ns)
            wait_hist[min(wait_ns.bit_length(), WAIT_BUCKETS - 1)] += 1
            to_sample -= 1
            if not to_sample:
                sample()

        def sample() -> None:
            nonlocal to_sample, samples, held_since_ns
            to_sample = HOLD_SAMPLE
            samples += 1
            held_since_ns = clock_ns()

        def release_sample() -> None:
            nonlocal held_since_ns
            since_ns, held_since_ns = held_since_ns, None
            if since_ns is not None:
                holds.add(clock_ns() - since_ns)
            raw_release()

        def restart() -> None:
            nonlocal to_sample, samples, held_since_ns
            to_sample, samples, held_since_ns = 1, 0, None
            waits.restart()
            holds.restart()
            wait_hist[:] = [0] * WAIT_BUCKETS

        def snapshot() -> LockStat:
            # `samples` first: whoever counts meanwhile changes it last, so that what is read is never too many.
            sampled = samples * HOLD_SAMPLE
            acquired = max(0, sampled + 1 - to_sample)
            hold_ns_total = round(holds.total_ns * acquired / holds.count) if holds.count else 0
            return recorded(name, caller, acquired, waits, holds, hold_ns_total, wait_hist)

        self.acquire, self.try_acquire, self.release, self.snapshot = acquire, try_acquire, release, snapshot
        self.wait, self.restart = wait, restart


def summed(records: Iterable[LockStat], *, by_caller: bool) -> tuple[LockStat, ...]:
    """Add up records, per lock or per lock and caller.

    => Returns them in the order in which lock (and caller) first appear; without `by_caller` the caller reads
       `<all>`, as lockstat(8) prints it.
    """
    groups: dict[tuple[str, str], list[LockStat]] = {}
    for record in records:
        groups.setdefault((record.name, record.caller if by_caller else "<all>"), []).append(record)
    return tuple(_sum(name, caller, group) for (name, caller), group in groups.items())


def _sum(name: str, caller: str, group: list[LockStat]) -> LockStat:
    return LockStat(
        name=name,
        caller=caller,
        acquired=sum(record.acquired for record in group),
        contended=sum(record.contended for record in group),
        wait_ns_total=sum(record.wait_ns_total for record in group),
        wait_ns_max=max(record.wait_ns_max for record in group),
        hold_ns_total=sum(record.hold_ns_total for record in group),
        hold_ns_max=max(record.hold_ns_max for record in group),
        hold_samples=sum(record.hold_samples for record in group),
        wait_hist=tuple(map(sum, zip(*(record.wait_hist for record in group), strict=True))),
        wait_ns_min=min((record.wait_ns_min for record in group if record.contended), default=0),
        hold_ns_min=min((record.hold_ns_min for record in group if record.hold_samples), default=0),
        kind=group[0].kind,
    )
