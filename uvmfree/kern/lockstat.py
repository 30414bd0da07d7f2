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

HOLD_SAMPLE: Final = 64
"""One acquisition in so many has its hold time measured: two clock readings cost about what a pair of lock
operations does, and a 64th of that is lost in the noise. A power of two, so that the test is a mask."""

WAIT_BUCKETS: Final = 40
"""Histogram width: bucket b counts waits of 2**(b-1) to 2**b - 1 ns; 2**39 ns are nine minutes."""


@dataclass(frozen=True, slots=True)
class LockStat:
    """What one lock saw since boot, from one caller or from all.

    => `acquired` counts every acquisition, `contended` those that found the lock held; times in nanoseconds.
    => `hold_ns_total` is scaled up from `hold_samples` samples; `hold_ns_max` is the longest sample.
    => `wait_hist[b]` counts waits w with w.bit_length() == b, the last bucket all longer ones.
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


class CountingHandle:
    """A lock handle that counts; all fields are written only while the lock is held."""

    __slots__ = (
        "_clock_ns",
        "_held_since_ns",
        "_raw_acquire",
        "_raw_release",
        "acquired",
        "caller",
        "contended",
        "hold_ns_max",
        "hold_ns_sampled",
        "hold_samples",
        "name",
        "wait_hist",
        "wait_ns_max",
        "wait_ns_total",
    )

    def __init__(self, raw: RawLock, name: str, caller: str, clock_ns: Callable[[], int]) -> None:
        self.name = name
        self.caller = caller
        self._raw_acquire = raw.acquire
        self._raw_release = raw.release
        self._clock_ns = clock_ns
        self._held_since_ns = 0
        self.acquired = self.contended = 0
        self.wait_ns_total = self.wait_ns_max = 0
        self.hold_ns_sampled = self.hold_ns_max = self.hold_samples = 0
        self.wait_hist = [0] * WAIT_BUCKETS

    def acquire(self) -> None:
        """Take the lock; count it, and if it was held, count and time the wait."""
        if not self._raw_acquire(False):
            began_ns = self._clock_ns()
            self._raw_acquire()
            wait_ns = self._clock_ns() - began_ns
            self.contended += 1
            self.wait_ns_total += wait_ns
            self.wait_ns_max = max(self.wait_ns_max, wait_ns)
            self.wait_hist[min(wait_ns.bit_length(), WAIT_BUCKETS - 1)] += 1
        self.acquired = acquired = self.acquired + 1
        if acquired & (HOLD_SAMPLE - 1) == 1:
            self._held_since_ns = self._clock_ns()

    def try_acquire(self) -> bool:
        """Take the lock if it is free; only a success is counted."""
        if not self._raw_acquire(False):
            return False
        self.acquired = acquired = self.acquired + 1
        if acquired & (HOLD_SAMPLE - 1) == 1:
            self._held_since_ns = self._clock_ns()
        return True

    def release(self) -> None:
        """Give the lock back; if this acquisition is a sample, note how long it was held."""
        if self._held_since_ns:
            held_ns = self._clock_ns() - self._held_since_ns
            self._held_since_ns = 0
            self.hold_samples += 1
            self.hold_ns_sampled += held_ns
            self.hold_ns_max = max(self.hold_ns_max, held_ns)
        self._raw_release()

    def snapshot(self) -> LockStat:
        """Return the counts as they stand; a holder's newest may be missing."""
        scale = self.acquired / self.hold_samples if self.hold_samples else 0.0
        return LockStat(
            name=self.name,
            caller=self.caller,
            acquired=self.acquired,
            contended=self.contended,
            wait_ns_total=self.wait_ns_total,
            wait_ns_max=self.wait_ns_max,
            hold_ns_total=round(self.hold_ns_sampled * scale),
            hold_ns_max=self.hold_ns_max,
            hold_samples=self.hold_samples,
            wait_hist=tuple(self.wait_hist),
        )


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
    )
