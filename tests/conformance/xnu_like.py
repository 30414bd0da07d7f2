"""A design for tests: caches that only give, as XNU's do; a freed page goes to the store, so that none is hoarded.

    allocate   the cache first; a miss fetches 16 pages
    free       to the global list

=> Nothing goes back from a cache by the timer or under pressure: it is what a CPU is about to use.

Source: vm_page_grab, vm_page_free_queue_enter in osfmk/vm/vm_resident.c of XNU.
"""

from __future__ import annotations

from typing import Final

from uvmfree.param import Param
from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu
from uvmfree.uvm.page import UNKNOWN, VmPage
from uvmfree.uvm.traits import Traits

REFILL: Final = 16
"""Pages of one refill: XNU takes four for each of its colours."""


class XnuLikeCpu(PercpuCpu):
    """A CPU that caches what it fetched, and nothing that it frees."""

    __slots__ = ()

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to the global list."""
        self._acquire_free()
        try:
            if pg.list is not None or pg.system is not self._system:
                raise self._refuse_free(pg)
            self.check_running()
            self._fpageqlock.acquire()
            try:
                self._global.push(pg, UNKNOWN)
            finally:
                self._fpageqlock.release()
            self.frees += 1
            self.put_back(1, 0)
        except AttributeError:
            if isinstance(pg, VmPage):
                raise
            raise self._refuse_free(pg) from None
        finally:
            self._release_free()
        self._state.pageout.wake_waiters()

    def _fetch(
        self, free_list: int, start: int, span: int, queues: tuple[int, int], use_reserve: bool
    ) -> tuple[tuple[VmPage, int] | None, int]:
        """Take a batch, if the cache has none of another freelist."""
        self._refill = 1 if self.cached_pages() else REFILL
        return super()._fetch(free_list, start, span, queues, use_reserve)

    def _idle_take(self) -> VmPage | None:
        """Zero nothing ahead of time."""
        return None


class XnuLike(Percpu):
    """The store of the proposal under caches like those of XNU."""

    cpu_class = XnuLikeCpu
    summary = "for tests: caches that only give"

    @classmethod
    def traits(cls, param: Param) -> Traits:
        """Say how it differs."""
        return Traits(
            colors="cache",
            zeros=False,
            lifo=False,
            freed="store",
            bound=REFILL - 1,
            refill=REFILL,
            idle=None,
            causes=frozenset({"explicit", "pglistalloc"}),
            free="store",
            short="all" if param.count_cached else "store",
            gate="store",
        )

    def redistribute(self, index: int, cause: str) -> int:
        """Hand the cache back if somebody asks for just that."""
        return super().redistribute(index, cause) if cause == "explicit" else 0

    def on_timer(self, index: int) -> None:
        """Leave everything."""
