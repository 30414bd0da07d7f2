"""FreeBSD: UMA's buckets over the page lists: two buckets a CPU, and a stack of full ones that all CPUs share.

    allocate   from the alloc bucket; it is empty: swap it with the free one; both are: a full one off the stack;
               there is none: import a bucket of pages, all or nothing; else one page, past the cache
    free       to the alloc bucket; it is full: swap; both are full: the free one goes to the stack, and when there
               are enough on it back to the list
    hand back  when memory is short the stack is trimmed to its working set, at most once in ten seconds; a CPU's
               buckets are left alone

Pages that one CPU allocates and another one frees come back as full buckets: one pointer under the stack's lock. No
other shipped kernel has a middle level.

=> Locks: none for a CPU's buckets, preemption is off; uma_zdom for the stack; uvm_fpageqlock for the list.
=> Bounds: a thousandth of the pages in all by default: in small machines that is a small cache, or none.
=> Counts as free: what is on the list. An import asks the reserves, a hit does not.
=> A freelist is a domain here, with buckets and a stack for itself. Not in it: colours (R7), zeroed pages (R8), the
   mark of pages that came from the cache (all are freed to it), and what FreeBSD does in a shortage that lasts: no
   import below vmd_free_severe, no bucket below vmd_free_min, and the loss of a quarter after 900 s. The page of
   the design says why.

Source: vm_page_zone_import, vm_page_zone_release in sys/vm/vm_page.c; cache_alloc, cache_free in sys/vm/uma_core.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from uvmfree.kern.lockrank import CPU_OFF, UVM_FPAGEQLOCK, LockRank, shared_lock
from uvmfree.kern.mutex import Mutex
from uvmfree.param import Param
from uvmfree.uvm.bucketstack import FreebsdTunables, StackedFreelist, bucket_size, room_in
from uvmfree.uvm.cpu import Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Walked, in_turn
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.stackcpu import StackCpu
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits

UMA_ZDOM: Final = shared_lock("uma_zdom", "a domain's stack of full buckets", "dropped before pages go to the list")


class FreebsdCpu(StackCpu):
    """A CPU with an alloc and a free bucket for each domain; guarded by "preemption off".

    => `loaded[domain]`: the alloc bucket. `spare[domain]`: the free bucket.
    """

    __slots__ = ("_fpageqlock", "_store", "_zdoms", "spare")

    _design: FreebsdPgcache
    spare: list[PageList]

    def setup(self) -> None:
        """Take handles of the shared locks."""
        self._store = self._design.store
        self._zdoms = [self.handle(lock, "uvm_pagealloc") for lock in self._design.locks[UMA_ZDOM]]
        self._fpageqlock = self.handle(self._design.locks[UVM_FPAGEQLOCK][0], "uvm_pagealloc")
        self._size = self._store.room()

    def empty(self) -> None:
        """Have empty buckets."""
        self.loaded, self.spare = ([self._own_list(row) for row in range(self._nfreelists)] for _ in range(2))

    def lists(self) -> Iterable[PageList]:
        """Return the buckets, the colder ones first."""
        return (*self.spare, *self.loaded)

    def inherit(self, before: FreebsdCpu) -> None:
        """Take the buckets over."""
        self.loaded, self.spare = before.loaded, before.spare

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: of each domain alloc bucket, free bucket, stack, import; then one past the cache.

        => That one is in order of address (vm_phys_alloc_pages).
        """
        for row in want.freelists:
            local = True
            if not self.loaded[row]:
                if self.spare[row]:
                    self.loaded[row], self.spare[row] = self.spare[row], self.loaded[row]
                elif self._fetch(row) or self._import(row):
                    local = False
                elif found := self.take_one(want, (row,), self.nextcolor, self._fpageqlock, self._store):
                    return found
                else:
                    continue
            pg = self.loaded[row].pop()
            pg.on = self._system
            return pg, UNKNOWN, local
        return None

    def _fetch(self, row: int) -> bool:
        """Have a full bucket off the stack in the place of the alloc bucket."""
        stack = self._store.stacks[row]
        if not stack.nitems:
            return False
        with stack.held(self._zdoms[row]):
            bucket = stack.get(self.index)
        if bucket is None:
            return False
        self.loaded[row] = bucket
        self.filled += len(bucket)
        return True

    def _import(self, row: int) -> bool:
        """Fill the alloc bucket from the list, unless the reserves have no whole one to spare (R6).

        => Pages lie in it in order of address, so the highest one is allocated first (vm_phys_alloc_npages stores
           from the front, cache_bucket_pop takes from the back).
        """
        npages, parts = self._store.room(), list[list[VmPage]]()
        if not npages or self._state.lwp_of() == "pagedaemon":
            return False
        with self._fpageqlock:
            self._asked = free = self._store.free
            if free >= self._state.uvmexp.reserve_kernel + npages:
                parts = self._store.take(row, self.nextcolor, npages, UNKNOWN)
        pages = in_turn(map(reversed, parts))
        self.loaded[row].adopt(pages)
        if pages:
            self.took(len(pages))
        return bool(pages)

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page into the alloc bucket, or the free one; if both are full the latter goes to the stack."""
        row, size = pg.free_list, self._store.room()
        self._size = size
        if not size:
            self.put_back([pg], self._fpageqlock, self._store)
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
        self.spare[row] = self._own_list(row)
        with self._store.stacks[row].held(self._zdoms[row]):
            kept = self._store.stacks[row].put(full)
        if kept:
            self.drained += npages
        else:
            self.put_back(full, self._fpageqlock, self._store)  # vm_page_zone_release


class FreebsdPgcache(Design[FreebsdCpu]):
    """The list, a stack of buckets for each domain, two buckets for each CPU."""

    name = "freebsd_pgcache"
    summary = "FreeBSD: UMA's buckets, two a CPU and a stack of full ones that all share, over the page lists"
    cpu_class = FreebsdCpu
    LOCKS = (CPU_OFF, UMA_ZDOM, UVM_FPAGEQLOCK)
    Tunables = FreebsdTunables
    CAUSES = ("pressure", "explicit", "trim")  # what pressure moves counts as trimmed
    uses = frozenset(("redistribute_interval_s",))

    def __init__(self, state: UvmState) -> None:
        super().__init__(state)
        *self._zdoms, self._list = self._redistribute[1]

    def make_store(self) -> StackedFreelist:
        """Make the list, with the stacks beside it."""
        return StackedFreelist(self.state, self.tunables)

    def how_many(self, rank: LockRank) -> int:
        """Return the number of stacks."""
        return self.state.param.nfreelists if rank is UMA_ZDOM else 1

    @classmethod
    def traits(cls, param: Param, tunables: FreebsdTunables) -> Traits:
        """No colours, no zeros; a bound, and nothing that flushes a CPU."""
        size = room_in(bucket_size(param, tunables))
        return replace(
            super().traits(param, tunables),
            colors=None,
            zeros=False,
            lifo=size > 0,
            freed="cache" if size else "store",
            bound=2 * size * param.nfreelists,
            refill=size or 1,
            idle=None,
            causes=frozenset(("explicit", "trim", "pglistalloc") if size else ()),
        )

    def guarded(self) -> Iterable[tuple[Mutex, object]]:
        """Name the stacks and the list."""
        return [*zip(self.locks[UMA_ZDOM], self.store.stacks, strict=True), (self.shared_locks[-1], self.store)]

    def parked(self) -> int:
        """Count the pages on the stacks."""
        return sum(stack.nitems for stack in self.store.stacks)

    def walk(self) -> Iterator[Walked]:
        """Walk everything, and tell the stacks from the list."""
        stacked = set(map(id, self.store.parked()))
        for walked in super().walk():
            on_stack = id(walked.pages) in stacked
            yield replace(walked, where="a stack of buckets", place=Place.CACHED) if on_stack else walked

    def redistribute(self, index: int, cause: str) -> int:
        """Hand a CPU's buckets to the list, and all stacks; under pressure nothing but what the stacks can spare."""
        if cause == "pressure":
            return self._reclaim(index, self.state.machine.clock_ns())
        pages = super().redistribute(index, cause)
        return pages + self._reclaim(index, None) if cause == "explicit" else pages

    def tick(self, index: int) -> None:
        """Estimate the working sets when it is time for that."""
        self.store.estimate(self._zdoms, self.state.machine.clock_ns())

    def _reclaim(self, index: int, trim_ns: int | None) -> int:
        """Hand to the list what is on the stacks, or what they can spare; the guard keeps those who stop away."""
        with self.guarding(index) as cpu:
            pages = int(self.store.reclaim(self._zdoms, self._list, trim_ns))
            if not cpu.stopped:
                cpu._size = self.store.room()  # a trim makes buckets smaller from the next free on
            if pages:
                cpu.publish(pages, 0)
                self.count(index, "trim")
        return pages
