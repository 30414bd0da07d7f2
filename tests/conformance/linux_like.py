"""A design for tests: the caches of Linux, as far as the contract sees them, over the classes of the proposal.

    allocate   the watermark first, then the cache of the freelist, whatever the colours; a miss fetches 63 pages
    free       to the head of the cache; beyond HIGH pages the 63 coldest spill
    idle       at each tick of the timer 63 more of the coldest pages go back, until LOW are left

=> What it is for: it is right, and unlike the proposal in nearly every trait, so that a test of the contract that
   fails for it asks more than the contract says.

Source: rmqueue_pcplist, free_frozen_page_commit, decay_pcp_high in mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from typing import Any, Final

from uvmfree.param import Param
from uvmfree.uvm.cpu import QUEUES, Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.traits import Traits

BATCH: Final = 63
"""Pages that move at once: zone_batchsize() of a zone of 1 GiB and more."""

HIGH: Final = 4 * BATCH
"""Pages that a cache may hold: the least that zone_highsize() gives."""

LOW: Final = BATCH
"""Pages that decay leaves."""


class LinuxLikeCpu(Cpu):
    """A CPU with one stack of cached pages for each freelist, of all colours; guarded by the CPU's own lock."""

    __slots__ = ("_fpageqlock", "_lists", "_store")

    _design: LinuxLike
    _lists: list[PageList]
    idle_zeroing = False

    def setup(self) -> None:
        """Take a handle of the global list's lock."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._store = self._design.store

    def empty(self) -> None:
        """Have empty stacks."""
        self._lists = [PageList(Place.CACHED, self.index, UNKNOWN, row) for row in range(self._nfreelists)]

    def lists(self) -> list[PageList]:
        """Return the stacks."""
        return self._lists

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page on the stack of its freelist; spill a batch if there have become too many."""
        into = self._lists[pg.free_list]
        pg.on = into
        into.append(pg)
        if self.cached() > HIGH:
            self.spill(BATCH)

    def spill(self, npages: int) -> int:
        """Move up to so many of the coldest pages to the store, the worst freelist first; with the lock held."""
        cold = []
        for pages in reversed(self._lists):
            part = pages[: npages - len(cold)]
            del pages[: len(part)]
            cold += part
        with self._fpageqlock:
            for pg in cold:
                self._store.push(pg, UNKNOWN)
        self.gave(len(cold))
        return len(cold)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: the gate before the cache, a better freelist before a worse one."""
        lists = self._lists
        if not self._gate(want):
            return None
        for free_list in want.freelists:
            pages, local = lists[free_list], bool(lists[free_list])
            if local or self._fetch(want, free_list):
                pg = pages.pop()
                pg.on = self._system
                return pg, UNKNOWN, local
        return None

    def _gate(self, want: Want) -> bool:
        """Return whether the watermark lets the caller pass; reads no lock (P1)."""
        return self.may_take(self._state.uvmexp.free, want)

    def _fetch(self, want: Want, free_list: int) -> int:
        """Take a batch of a freelist of which the cache has nothing, with no more than there is room for."""
        batch: list[VmPage] = []
        with self._fpageqlock:
            store = self._store
            if self.may_take(store.free, want):
                room = min(self._room(), max(1, store.free - self._state.uvmexp.reserve_kernel))
                while len(batch) < room and (found := store.pop(free_list, 0, QUEUES[False], self._colormask + 1)):
                    batch.append(found[0])
        into = self._lists[free_list]
        for pg in reversed(batch):
            pg.on = into
            into.append(pg)
        if batch:
            self.took(len(batch))
        return len(batch)

    def _room(self) -> int:
        """Return how many pages a miss may take."""
        return min(BATCH, 1 + max(0, HIGH - self.cached()))


class LinuxLike(Design[LinuxLikeCpu]):
    """One global list under caches like those of Linux."""

    name = "linux_like"
    summary = "for tests: caches like those of Linux"
    cpu_class = LinuxLikeCpu
    CAUSES = ("decay", "pressure", "explicit")

    @classmethod
    def traits(cls, param: Param, tunables: Any) -> Traits:
        """Say how it differs."""
        return Traits(
            colors=None,
            zeros=False,
            lifo=True,
            freed="cache",
            bound=HIGH,
            refill=BATCH,
            idle=LOW,
            causes=frozenset({*cls.CAUSES, "pglistalloc"}),
            free="store",
            short="all" if param.count_cached else "store",
            gate="system",
        )

    def tick(self, index: int) -> None:
        """Let the cache of a CPU decay by a batch, the coldest pages first."""
        with self.guarding(index) as cpu:
            above = min(BATCH, cpu.cached() - LOW)
            if above > 0:
                self.count(index, "decay")
                cpu.spill(above)
