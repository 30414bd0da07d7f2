"""The proposal with a bound: a CPU's cache spills to the global list when it holds more than `hoard_max` pages.

The proposal bounds no cache, so one exiting process can put all memory on one CPU (Q2). This is the design with that
mended; the unbounded one pays nothing for it.

Compare uvm_pgflcache_spill in sys/uvm/uvm_pgflcache.c of NetBSD 10, which bounds each colour and empties one that is
full.
"""

from __future__ import annotations

from typing import cast

from uvmfree.errors import BindError
from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu
from uvmfree.uvm.page import ZEROS, PageList, Place, VmPage


class BoundedCpu(PercpuCpu):
    """A CPU whose cache is bounded: beyond `hoard_max` pages half of them spill to the global list (Q2).

    Not in the proposal, which bounds no cache; so the unbounded CPU pays nothing for it.
    """

    __slots__ = ()

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to the cache; spill if it has become too many."""
        super().pagefree(pg)
        # Read without the lock: a redistribution can only have made the cache smaller.
        if self._room() < 0:
            self._spill()

    def _room(self) -> int:
        """Return how many pages more the cache may hold, by this CPU's own counters."""
        cached = self.frees + self.filled - self.cpuhit - self.cpumiss - self.drained
        return cast("int", self._state.param.hoard_max) - cached

    def _fetch(
        self, free_list: int, start: int, span: int, queues: tuple[int, int], use_reserve: bool
    ) -> tuple[tuple[VmPage, int] | None, int]:
        """As on any CPU, with no more pages than there is room for: the cache may be full of other colours."""
        self._refill = min(self._state.param.refill, 1 + max(0, self._room()))
        return super()._fetch(free_list, start, span, queues, use_reserve)

    def _spill(self) -> None:
        """Move the coldest half of each list to the global one; the warm pages stay (R2)."""
        spilled: list[PageList] = []
        try:
            self._acquire_free()
        except BindError:
            return  # another thread took the CPU over, and will spill when it frees a page
        try:
            for lists in self.lists:
                for row in lists:
                    for pages in row:
                        cold = PageList(Place.GLOBAL, None, pages.queue)
                        cold += pages[: (len(pages) + 1) // 2]
                        if cold:
                            del pages[: len(cold)]
                            spilled.append(cold)
            for cold in spilled:
                for pg in cold:
                    pg.list = cold
            # Counted now: as soon as the global list is unlocked others take from these very lists.
            pages_spilled = sum(map(len, spilled))
            zeropages = sum(len(cold) for cold in spilled if cold.queue == ZEROS)
            self._fpageqlock.acquire()
            try:
                for cold in spilled:
                    self._global.splice(cold, cold[0].free_list, cold[0].color)
            finally:
                self._fpageqlock.release()
            self.put_back(pages_spilled, zeropages)
        finally:
            self._release_free()
        self._state.pageout.wake_waiters()


class BoundedPercpu(Percpu):
    """The design `percpu` with bounded caches."""

    cpu_class = BoundedCpu
