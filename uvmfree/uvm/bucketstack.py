"""A stack of full buckets that CPUs share, and how large a bucket is: the middle level of UMA.

The stack moves buckets by pointer: a hold of its lock is as long for a bucket of 254 pages as for one of two.

Source: uma_zone_set_maxcache, zone_put_bucket, zone_fetch_bucket, zone_timeout, bucket_cache_reclaim in
sys/vm/uma_core.c of FreeBSD.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Final

from uvmfree.kern.lock import LockHandle
from uvmfree.param import Param, tunable, whole, yes_or_no
from uvmfree.uvm.freelist import GlobalFreelist
from uvmfree.uvm.page import PageList, Place, VmPage
from uvmfree.uvm.state import UvmState

NS: Final = 10**9
TIMEOUT_NS: Final = 20 * NS
"""How often the working set is estimated anew (UMA_TIMEOUT)."""

LOWMEM_PERIOD_NS: Final = 10 * NS
"""The least time between two trims (vm.lowmem_period)."""

SIZE_MIN: Final = 2
"""The fewest pages to which a bucket shrinks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreebsdTunables:
    """The tunables of the cache zone."""

    cache_fraction: int = tunable(1000, "pages", "of which one may be cached: a thousandth of a domain")
    bucket_max: int = tunable(254, "pages", "in a bucket at most: BUCKET_MAX")
    adapt: bool = tunable(True, "yes or no", "whether a bucket shrinks at each trim, and grows if the stack is busy")

    def __post_init__(self) -> None:
        whole("cache_fraction", self.cache_fraction, 1, 1 << 20)
        whole("bucket_max", self.bucket_max, 1, 4096)
        yes_or_no("adapt", self.adapt)


def items_of(param: Param, tunables: FreebsdTunables) -> int:
    """Return how many pages all caches of a domain together may hold: a domain is a freelist, a part of memory."""
    return param.npages // param.nfreelists // tunables.cache_fraction


def bucket_size(param: Param, tunables: FreebsdTunables) -> int:
    """Return how many pages a bucket may have: half of what may be cached is for the buckets of the CPUs."""
    share = items_of(param, tunables) // (2 * param.ncpus)
    return min(share // 2 or min(share, 1), tunables.bucket_max)


def room_in(size: int) -> int:
    """Return how many pages are put into a bucket: none where it would be one, since then nothing is imported."""
    return size if size > 1 else 0


class BucketStack:
    """The full buckets of one domain, the newest last; guarded by their lock.

    => `nitems`: pages on them; also read without the lock, to pass an empty stack by.
    => `size`: pages in a bucket from now on; also read without the lock. `size_max`, `items_max`: limits. [immutable]
    => `adapt`: whether the size changes. [immutable]
    => `imax`, `imin`: the most and the fewest pages since the last timeout; `wss`: the working set.
    => `estimated_ns`, `trimmed_ns`: when last.
    => `pages_touched`, `items_touched`, `taken`: as in GlobalFreelist.
    """

    def __init__(self, param: Param, tunables: FreebsdTunables, now_ns: int) -> None:
        self.size_max = self.size = bucket_size(param, tunables)
        self.items_max = items_of(param, tunables) - 2 * param.ncpus * self.size
        self.adapt = tunables.adapt
        self.buckets: list[PageList] = []
        self.nitems = self.imax = self.imin = self.wss = 0
        self.estimated_ns = now_ns
        self.trimmed_ns = now_ns - LOWMEM_PERIOD_NS
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[VmPage]] = ()

    def put(self, bucket: PageList) -> bool:
        """Put a full bucket there, unless there are enough pages."""
        self.items_touched += 1
        if self.nitems >= self.items_max:
            return False
        bucket.owner = None
        self.buckets.append(bucket)
        self._count(len(bucket))
        return True

    def get(self, index: int) -> PageList | None:
        """Take the newest bucket for a CPU; None if there is none."""
        if not self.buckets:
            return None
        self.items_touched += 1
        bucket = self.buckets.pop()
        bucket.owner = index
        self._count(-len(bucket))
        return bucket

    def surplus(self, keep: int) -> list[PageList]:
        """Take the oldest buckets, as long as so many pages stay."""
        surplus = []
        while self.buckets and self.nitems - len(self.buckets[0]) >= keep:
            surplus.append(self.buckets.pop(0))
            self._count(-len(surplus[-1]))
        self.items_touched += len(surplus)
        return surplus

    def trim(self, now_ns: int) -> list[PageList]:
        """Take what is beyond the working set, and have smaller buckets; nothing if that was done lately."""
        if now_ns - self.trimmed_ns < LOWMEM_PERIOD_NS:
            return []
        self.trimmed_ns = now_ns
        if self.adapt:
            self.size = max(min(SIZE_MIN, self.size_max), self.size - 1)
        return self.surplus(self.wss)

    @contextmanager
    def held(self, lock: LockHandle) -> Iterator[None]:
        """Hold the lock; if somebody else had it, have larger buckets."""
        if busy := not lock.try_acquire():
            lock.acquire()
        try:
            if busy and self.adapt:
                self.size = min(self.size + 1, self.size_max)
            yield
        finally:
            lock.release()

    def estimate(self, now_ns: int) -> None:
        """Estimate the working set: what the stack swung by since the last time, or three quarters of before."""
        if now_ns - self.estimated_ns < TIMEOUT_NS:
            return  # another CPU came first
        self.estimated_ns = now_ns
        self.wss = max(self.wss * 3 // 4, self.imax - self.imin)
        self.imax = self.imin = self.nitems

    def clear(self) -> None:
        """Let go of all buckets."""
        self.buckets.clear()
        self.nitems = self.imax = self.imin = 0

    def _count(self, pages: int) -> None:
        self.nitems += pages
        self.imax, self.imin = max(self.imax, self.nitems), min(self.imin, self.nitems)


class StackedFreelist(GlobalFreelist):
    """The list, and beside it the stacks, which are no part of what it counts.

    => `stacks`: by freelist, each under a lock of its own; the objects stay.
    """

    def __init__(self, state: UvmState, tunables: FreebsdTunables) -> None:
        param, now_ns = state.param, state.machine.clock_ns()
        self.stacks = [BucketStack(param, tunables, now_ns) for _ in range(param.nfreelists)]
        super().__init__(state.physmem.system, param.nfreelists, param.ncolors)

    def room(self) -> int:
        """Return how many pages are put into a bucket now."""
        return room_in(min(stack.size for stack in self.stacks))

    def estimate(self, zdoms: Sequence[LockHandle], now_ns: int) -> None:
        """Estimate the working sets of the stacks for which it is time; takes their locks."""
        for stack, zdom in zip(self.stacks, zdoms, strict=True):
            if now_ns - stack.estimated_ns >= TIMEOUT_NS:
                with zdom:
                    stack.estimate(now_ns)

    def reclaim(self, zdoms: Sequence[LockHandle], own: LockHandle, trim_ns: int | None) -> int:
        """Move buckets from the stacks to the list: all, or at `trim_ns` what trim() can spare; return the pages.

        => Takes each stack's lock, and after it the list's `own`. The caller sees to it that nobody stops the system
           in between: then the pages are on neither.
        """
        pages = 0
        for stack, zdom in zip(self.stacks, zdoms, strict=True):
            with zdom:
                buckets = stack.surplus(0) if trim_ns is None else stack.trim(trim_ns)
            if buckets:
                pages += sum(map(len, buckets))
                with own:
                    for bucket in buckets:
                        self.splice(bucket)
        return pages

    def parked(self) -> list[PageList]:
        """Return the buckets on all stacks."""
        return [bucket for stack in self.stacks for bucket in stack.buckets]

    def lists(self) -> Iterator[PageList]:
        """Walk the list and the stacks."""
        return chain(super().lists(), self.parked())

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle; one on a stack brings all stacks to the list first; under all locks."""
        if pg.place is Place.CACHED:
            for bucket in chain.from_iterable(stack.surplus(0) for stack in self.stacks):
                self.splice(bucket)
        super().unlink(pg)

    def clear(self) -> None:
        """Let go of all pages."""
        super().clear()
        for stack in self.stacks:
            stack.clear()

    def check(self, where: str) -> Iterator[str]:
        """Check the counts of the list and of the stacks."""
        yield from super().check(where)
        for number, stack in enumerate(self.stacks):
            if (standing := sum(map(len, stack.buckets))) != stack.nitems:
                yield f"the stack of domain {number} counts {stack.nitems} pages, {standing} are there"
