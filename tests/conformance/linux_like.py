"""A design for tests: the caches of Linux, as far as the contract sees them, over the classes of the proposal.

    allocate   the watermark first, then the cache of the freelist, whatever the colours; a miss fetches 63 pages
    free       to the head of the cache; beyond HIGH pages the 63 coldest spill
    idle       at each tick of the timer 63 more of the coldest pages go back, until LOW are left

=> Its list of free pages keeps colours and queues, as it is the proposal's; nobody here asks for them.
=> What it is for: it is right, and unlike the proposal in nearly every trait, so that a test of the contract that
   fails for it asks more than the contract says.

Source: rmqueue_pcplist, free_frozen_page_commit, decay_pcp_high in mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from typing import Any, Final

from uvmfree.param import Param
from uvmfree.uvm.allocator import QUEUES, Cpu, Strat
from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu
from uvmfree.uvm.freelist import Lists
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.traits import Traits

BATCH: Final = 63
"""Pages that move at once: zone_batchsize() of a zone of 1 GiB and more."""

HIGH: Final = 4 * BATCH
"""Pages that a cache may hold: the least that zone_highsize() gives."""

LOW: Final = BATCH
"""Pages that decay leaves."""


class LinuxLikeCpu(PercpuCpu):
    """A CPU with one stack of cached pages for each freelist; guarded by the CPU's own lock.

    => `_order[free_list]`: for each cached page the list that it stands on, the coldest first. The pages of one
       colour keep the order in which they came on their list, so the lists and this order are the stack.
    """

    __slots__ = ("_order",)

    _order: list[list[PageList]]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        before = arguments[-1]
        if before is not None and before.lists is self.lists:
            self._order = before._order

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page: the watermark, the cache, a batch."""
        return self._pagealloc_strat(zero, use_reserve, self._freelists(strat, free_list), color)

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to the cache; spill a batch if it has become too many."""
        spilled = False
        self._acquire_free()
        try:
            if pg.list is not None or pg.system is not self._system:
                raise self._refuse_free(pg)
            into = self._unknown_lists[pg.free_list][pg.color]
            pg.list = into
            into.append(pg)
            self._order[pg.free_list].append(into)
            self.frees += 1
            if self.cached_pages() > HIGH:
                spilled = bool(self.spill(BATCH))
        except AttributeError:
            if isinstance(pg, VmPage):
                raise
            raise self._refuse_free(pg) from None
        finally:
            self._release_free()
        if spilled:
            self._state.pageout.wake_waiters()

    def spill(self, npages: int) -> int:
        """Move up to so many of the coldest pages to the store, the worst freelist first; with the lock held."""
        spilled: list[PageList] = []
        left = npages
        for order in reversed(self._order):
            leaving, order[:] = order[:left], order[left:]
            for pages in leaving:
                cold = PageList(Place.GLOBAL, None, UNKNOWN)
                cold.append(pages.pop(0))
                spilled.append(cold)
            left -= len(leaving)
        for cold in spilled:
            cold[0].list = cold
        self._fpageqlock.acquire()
        try:
            for cold in spilled:
                self._global.splice(cold, cold[0].free_list, cold[0].color)
        finally:
            self._fpageqlock.release()
        self.put_back(len(spilled), 0)
        return len(spilled)

    def _search(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], start: int
    ) -> tuple[VmPage | None, bool, int | None]:
        """Find a page and count it: the gate before the cache, a better freelist before a worse one."""
        self.check_running()  # it may have been stopped while this call waited for the lock
        asked: int | None = self._gate(use_reserve)
        if asked is not None:
            return None, False, asked
        for free_list in freelists:
            pg = self._warmest(free_list)
            local = pg is not None
            if pg is None:
                found, asked = self._fetch(free_list, 0, self._colormask + 1, QUEUES[False], use_reserve)
                pg = found[0] if found else None
            if pg is not None:
                self._count(pg, UNKNOWN, start, local=local, zero=zero)
                return pg, zero, asked
        return None, False, asked

    def _gate(self, use_reserve: bool) -> int | None:
        """Return None if the watermark lets the caller pass, else how many pages are free; reads no lock (P1)."""
        free = self._state.uvmexp.free
        return None if self._may_take(free, use_reserve) else free

    def _warmest(self, free_list: int) -> VmPage | None:
        """Take the page of a freelist that came to the cache last."""
        if not self._order[free_list]:
            return None
        pg = self._order[free_list].pop().pop()
        pg.list = None
        return pg

    def _fetch(
        self, free_list: int, start: int, span: int, queues: tuple[int, int], use_reserve: bool
    ) -> tuple[tuple[VmPage, int] | None, int]:
        """Take a batch of a freelist of which the cache has nothing, with no more than there is room for."""
        self._refill = self._room()
        got = super()._fetch(free_list, start, span, queues, use_reserve)
        self._order[free_list] = self._standing(self.lists, free_list)
        return got

    def _room(self) -> int:
        """Return how many pages a miss may take."""
        return min(BATCH, 1 + max(0, HIGH - self.cached_pages()))

    def _use(self, lists: Lists) -> None:
        super()._use(lists)
        self._order = [self._standing(lists, free_list) for free_list in range(self._nfreelists)]

    @staticmethod
    def _standing(lists: Lists, free_list: int) -> list[PageList]:
        """Return the list of each page of a freelist, colour after colour."""
        return [pages for pages in lists[UNKNOWN][free_list] for _ in pages]

    def _idle_take(self) -> VmPage | None:
        """Zero nothing ahead of time."""
        return None


class LinuxLike(Percpu):
    """The store of the proposal under caches like those of Linux."""

    cpu_class = LinuxLikeCpu
    summary = "for tests: caches like those of Linux"

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        for counts in self._causes:
            counts["decay"] = 0  # a cause of its own, there from the start: no reader sees the table grow

    @classmethod
    def traits(cls, param: Param) -> Traits:
        """Say how it differs."""
        return Traits(
            colors=None,
            zeros=False,
            lifo=True,
            freed="cache",
            bound=HIGH,
            refill=BATCH,
            idle=LOW,
            causes=frozenset({"decay", "pressure", "explicit", "pglistalloc"}),
            free="store",
            short="all" if param.count_cached else "store",
            gate="system",
        )

    def on_timer(self, index: int) -> None:
        """Let the cache of a CPU decay by a batch, the coldest pages first."""
        with self._cpu_handles[index]:
            cpu: Cpu = self._state.cpus[index]
            assert isinstance(cpu, LinuxLikeCpu)
            above = min(BATCH, cpu.cached_pages() - LOW)
            if above > 0:
                self._causes[index]["decay"] += 1
                cpu.spill(above)
