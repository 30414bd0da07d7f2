"""FreeBSD: UMA's buckets over the page lists: two buckets a CPU, and a stack of full ones that all CPUs share.

    allocate   from the alloc bucket; it is empty: swap it with the free bucket; both are: a full bucket off the stack;
               there is none: import a bucket of pages, all or nothing; else one page, past the cache
    free       to the alloc bucket; it is full: swap; both are full: the free bucket goes to the stack, and when there
               are enough on it back to the list
    hand back  when memory is short the stack is trimmed to its working set, at most once in ten seconds; a CPU's
               buckets are left alone

Pages that one CPU allocates and another one frees come back as full buckets: one pointer under a lock of the stack's
own, and the list's lock is hardly ever taken. No other shipped kernel has a middle level.

=> Locks: none for a CPU's buckets, preemption is off; uma_zdom for the stack; uvm_fpageqlock for the list.
=> Bounds: a thousandth of the pages in all, by default: in small machines that is a small cache.
=> Counts as free: what is on the list: pages are counted off as they are imported. An import asks the reserves, a hit
   does not.
=> A freelist is a domain here, with buckets and a stack of its own. Not in it: colours (R7), zeroed pages (R8).

Source: vm_page_zone_import, vm_page_zone_release in sys/vm/vm_page.c; cache_alloc, cache_free, zone_put_bucket,
uma_zone_set_maxcache, zone_timeout, bucket_cache_reclaim in sys/vm/uma_core.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ParamError
from uvmfree.kern.lockrank import CPU_OFF, UVM_FPAGEQLOCK, LockRank, shared_lock
from uvmfree.kern.mutex import Mutex
from uvmfree.param import Param, tunable, whole
from uvmfree.uvm.cpu import QUEUES, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Walked
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.stackcpu import StackCpu
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits

TIMEOUT_S: Final = 20.0
"""How often the working set of the stack is estimated anew (UMA_TIMEOUT)."""

LOWMEM_PERIOD_S: Final = 10.0
"""The least time between two trims (vm.lowmem_period)."""

UMA_ZDOM: Final = shared_lock("uma_zdom", "a domain's stack of full buckets", "dropped before pages go to the list")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreebsdTunables:
    """The tunables of the cache zone."""

    cache_fraction: int = tunable(
        1000, "pages", "of which one may be cached: a thousandth of a domain is the default"
    )
    bucket_max: int = tunable(254, "pages", "in a bucket at most: BUCKET_MAX, what fits two pages of pointers")
    adapt: bool = tunable(
        True, "yes or no", "whether a bucket shrinks at each trim, and grows when the stack's lock is busy"
    )

    def __post_init__(self) -> None:
        whole("cache_fraction", self.cache_fraction, 1, 1 << 20)
        whole("bucket_max", self.bucket_max, 1, 4096)
        if type(self.adapt) is not bool:
            raise ParamError(f"adapt={self.adapt!r}: must be True or False")


class Zone:
    """The stack of full buckets of one domain, and how large a bucket is; guarded by its uma_zdom lock.

    => `buckets`: the newest last; `nitems`: pages on them, also read without the lock, to pass an empty stack by.
    => `size`: pages in a bucket from now on; read without the lock. `size_max`, `items_max`: the limits.   [immutable]
    => `imax`, `imin`: the most and the fewest pages since the last timeout; `wss`: the working set.
    => `pages_touched`, `items_touched`, `taken`: as in GlobalFreelist.
    """

    def __init__(self, npages: int, ncpus: int, tunables: FreebsdTunables) -> None:
        items, buckets = npages // tunables.cache_fraction, 2 * ncpus
        self.size_max = self.size = min(items // buckets // 2 or min(items // buckets, 1), tunables.bucket_max)
        self.items_max = items - buckets * self.size
        self.buckets: list[PageList] = []
        self.nitems = self.imax = self.imin = self.wss = 0
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[VmPage]] = ()

    def put(self, bucket: PageList) -> bool:
        """Put a full bucket on the stack, unless there are enough pages on it."""
        self.items_touched += 1
        if self.nitems >= self.items_max:
            return False
        bucket.owner = None
        self.buckets.append(bucket)
        self._count(len(bucket))
        return True

    def get(self) -> PageList | None:
        """Take the newest bucket; None if there is none."""
        if not self.buckets:
            return None
        self.items_touched += 1
        bucket = self.buckets.pop()
        self._count(-len(bucket))
        return bucket

    def surplus(self) -> list[PageList]:
        """Take the oldest buckets beyond the working set."""
        surplus = []
        while self.buckets and self.nitems - len(self.buckets[0]) >= self.wss:
            surplus.append(self.buckets.pop(0))
            self._count(-len(surplus[-1]))
        self.items_touched += len(surplus)
        return surplus

    def timeout(self) -> None:
        """Estimate the working set: what the stack has swung by since the last time, or three quarters of before."""
        self.wss = max(self.wss * 3 // 4, self.imax - self.imin)
        self.imax = self.imin = self.nitems

    def _count(self, pages: int) -> None:
        self.nitems += pages
        self.imax, self.imin = max(self.imax, self.nitems), min(self.imin, self.nitems)


class FreebsdCpu(StackCpu):
    """A CPU with an alloc and a free bucket for each domain; guarded by "preemption off".

    => `loaded[domain]`: the alloc bucket. `spare[domain]`: the free bucket.
    """

    __slots__ = ("_fpageqlock", "_store", "_zdoms", "_zones", "spare")

    _design: FreebsdPgcache
    spare: list[PageList]

    def setup(self) -> None:
        """Take handles of the shared locks."""
        self._zones, self._store = self._design.zones, self._design.store
        self._zdoms = [self.handle(lock, "uvm_pagealloc") for lock in self._design.locks[UMA_ZDOM]]
        self._fpageqlock = self.handle(self._design.locks[UVM_FPAGEQLOCK][0], "uvm_pagealloc")
        self._size = self._room()

    def empty(self) -> None:
        """Have empty buckets."""
        self.loaded = [self._bucket(row) for row in range(self._nfreelists)]
        self.spare = [self._bucket(row) for row in range(self._nfreelists)]

    def lists(self) -> Iterable[PageList]:
        """Return the buckets, the colder ones first."""
        return (*self.spare, *self.loaded)

    def inherit(self, before: FreebsdCpu) -> None:
        """Take the buckets over."""
        self.loaded, self.spare = before.loaded, before.spare

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: of each domain alloc bucket, free bucket, stack, import; then one past the cache."""
        for row in want.freelists:
            local = True
            if not self.loaded[row]:
                if self.spare[row]:
                    self.loaded[row], self.spare[row] = self.spare[row], self.loaded[row]
                elif self._fetch(row) or self._import(row):
                    local = False
                elif found := self._single(want, row):
                    return found
                else:
                    continue
            pg = self.loaded[row].pop()
            pg.on = None
            return pg, UNKNOWN, local
        return None

    def _fetch(self, row: int) -> bool:
        """Have a full bucket off the stack in the place of the alloc bucket."""
        zone = self._zones[row]
        if not zone.nitems:
            return False
        self._lock(row)
        try:
            bucket = zone.get()
            if bucket is not None:
                bucket.owner = self.index
        finally:
            self._zdoms[row].release()
        if bucket is not None:
            self.loaded[row] = bucket
            self.filled += len(bucket)
        return bucket is not None

    def _import(self, row: int) -> bool:
        """Fill the alloc bucket from the list, unless the reserves or the domain have no whole one (R6)."""
        npages, pages = self._room(), []
        if not npages or self._state.lwp_of() == "pagedaemon":
            return False
        self._fpageqlock.acquire()
        try:
            self._asked = free = self._store.free
            if free >= self._state.uvmexp.reserve_kernel + npages:
                pages = [pg for part in self._store.take(row, 0, npages, UNKNOWN) for pg in part]
        finally:
            self._fpageqlock.release()
        for pg in pages:
            pg.on = self.loaded[row]
        self.loaded[row] += pages
        if pages:
            self.took(len(pages))
        return bool(pages)

    def _single(self, want: Want, row: int) -> Found | None:
        """Take one page past the cache."""
        self._fpageqlock.acquire()
        try:
            allowed = self.may_take(self._store.free, want)
            found = self._store.pop(row, 0, QUEUES[False], self._colormask + 1) if allowed else None
        finally:
            self._fpageqlock.release()
        if found is None:
            return None
        self.took(1)
        return *found, False

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page into the alloc bucket, or the free one; if both are full the latter goes to the stack."""
        row, size = pg.free_list, self._room()
        self._size = size
        if not size:
            self._release_pages([pg])
            return
        if len(self.loaded[row]) >= size:
            if len(self.spare[row]) >= size:
                self._dispose(row)
            self.loaded[row], self.spare[row] = self.spare[row], self.loaded[row]
        pg.on = self.loaded[row]
        self.loaded[row].append(pg)

    def _dispose(self, row: int) -> None:
        """Give the free bucket to the stack, or its pages to the list."""
        full, npages = self.spare[row], len(self.spare[row])  # counted now: once on the stack it is anybody's
        self.spare[row] = self._bucket(row)
        self._lock(row)
        try:
            kept = self._zones[row].put(full)
        finally:
            self._zdoms[row].release()
        if kept:
            self.drained += npages
        else:
            self._release_pages(full)

    def _release_pages(self, pages: Sequence[VmPage]) -> None:
        """Put pages on the list, in one hold (vm_page_zone_release)."""
        self._fpageqlock.acquire()
        try:
            for pg in pages:
                self._store.push(pg, UNKNOWN)
        finally:
            self._fpageqlock.release()
        self.gave(len(pages))

    def _lock(self, row: int) -> None:
        """Take the stack's lock; if it was busy buckets grow."""
        lock, zone = self._zdoms[row], self._zones[row]
        if not lock.try_acquire():
            lock.acquire()
            if self._design.tunables.adapt:
                zone.size = min(zone.size + 1, zone.size_max)

    def _room(self) -> int:
        """Return how many pages a bucket may have: none where it would be one, since then nothing is imported."""
        size = min(zone.size for zone in self._zones)
        return size if size > 1 else 0

    def _bucket(self, row: int) -> PageList:
        return PageList(Place.CACHED, self.index, UNKNOWN, row)


class FreebsdPgcache(Design[FreebsdCpu]):
    """The list, a stack of buckets for each domain, two buckets for each CPU.

    => `zones`: by domain; the objects stay. `_timeout_ns`, `_trimmed_ns`: when last; under CPU 0's guard.
    """

    name = "freebsd_pgcache"
    summary = "FreeBSD: UMA's buckets, two a CPU and a stack of full ones that all share, over the page lists"
    cpu_class = FreebsdCpu
    LOCKS = (CPU_OFF, UMA_ZDOM, UVM_FPAGEQLOCK)
    Tunables = FreebsdTunables
    CAUSES = ("explicit", "trim")
    uses = frozenset(("count_cached", "remote_drain", "redistribute_interval_s", "redistribute_min_gap_s"))

    def __init__(self, state: UvmState) -> None:
        npages, ncpus = state.param.npages // state.param.nfreelists, state.param.ncpus
        self.zones = [Zone(npages, ncpus, state.tunables) for _ in range(state.param.nfreelists)]
        self._timeout_ns = self._trimmed_ns = state.machine.clock_ns()
        super().__init__(state)
        self._zdom, self._list = self._redistribute[1][:-1], self._redistribute[1][-1]

    def how_many(self, rank: LockRank) -> int:
        """Return the number of stacks."""
        return self.state.param.nfreelists if rank is UMA_ZDOM else 1

    @classmethod
    def traits(cls, param: Param, tunables: FreebsdTunables) -> Traits:
        """No colours, no zeros; a bound, and nothing that flushes a CPU."""
        size = Zone(param.npages // param.nfreelists, param.ncpus, tunables).size_max
        size = size if size > 1 else 0
        return Traits(
            colors=None,
            zeros=False,
            lifo=True,
            freed="cache" if size else "store",
            bound=2 * size * param.nfreelists,
            refill=size or 1,
            idle=None,
            causes=frozenset(("explicit", "pglistalloc")),
            free="store",
            short="all" if param.count_cached else "store",
            gate="store",
        )

    def guarded(self) -> Iterable[tuple[Mutex, object]]:
        """Name the stacks and the list."""
        return [*zip(self.locks[UMA_ZDOM], self.zones, strict=True), (self.locks[UVM_FPAGEQLOCK][0], self.store)]

    def parked(self) -> int:
        """Count the pages on the stacks."""
        return sum(zone.nitems for zone in self.zones)

    def walk(self) -> Iterator[Walked]:
        """Walk the stacks, too."""
        yield from super().walk()
        for zone in self.zones:
            for bucket in zone.buckets:
                yield Walked("a stack of buckets", bucket, bucket.pages(), Place.CACHED, None)

    def empty(self) -> None:
        """Have the list and the stacks empty."""
        super().empty()
        self._flush()

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take pages off the list; one on a stack brings all stacks there first."""
        if any(pg.place is Place.CACHED for pg in pages):
            self._flush()
        super().remove(pages)

    def _flush(self) -> None:
        for zone in self.zones:
            while bucket := zone.get():
                self.store.splice(bucket)

    def redistribute(self, index: int, cause: str) -> int:
        """Hand a CPU's buckets to the list; under pressure trim the stacks instead, once for all CPUs."""
        if cause == "pressure":
            return self._trim() if index == 0 else 0
        return super().redistribute(index, cause)

    def tick(self, index: int) -> None:
        """Estimate the working sets when it is time for that; CPU 0 does it for all."""
        if index == 0:
            with self.guarding(0):
                now_ns = self.state.machine.clock_ns()
                if now_ns - self._timeout_ns >= TIMEOUT_S * 1e9:
                    self._timeout_ns = now_ns
                    for zone, zdom in zip(self.zones, self._zdom, strict=True):
                        with zdom:
                            zone.timeout()

    def _trim(self) -> int:
        """Hand to the list what is on the stacks beyond their working sets, unless that was done lately."""
        with self.guarding(0) as cpu:
            now_ns = self.state.machine.clock_ns()
            if now_ns - self._trimmed_ns < LOWMEM_PERIOD_S * 1e9:
                return 0
            self._trimmed_ns, pages = now_ns, 0
            for zone, zdom in zip(self.zones, self._zdom, strict=True):
                with zdom:
                    surplus = zone.surplus()
                    if self.tunables.adapt:
                        zone.size = max(min(2, zone.size_max), zone.size - 1)
                with self._list:
                    for bucket in surplus:
                        self.store.splice(bucket)
                pages += sum(map(len, surplus))
            cpu.publish(pages, 0)
            if pages:
                self.count(0, "trim")
        return pages
