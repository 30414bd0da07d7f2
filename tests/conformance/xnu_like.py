"""A design for tests: caches that only give, as XNU's do; a freed page goes to the store, so that none is hoarded.

    allocate   the cache first; a miss fetches 16 pages
    free       to the global list

=> Nothing goes back from a cache by the timer or under pressure: it is what a CPU is about to use.

Source: vm_page_grab, vm_page_free_queue_enter in osfmk/vm/vm_resident.c of XNU.
"""

from __future__ import annotations

from typing import Final

from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu, Found, Want
from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu, PercpuTunables
from uvmfree.uvm.page import UNKNOWN, VmPage
from uvmfree.uvm.traits import Traits

REFILL: Final = 16
"""Pages of one refill: XNU takes four for each of its colours."""


class XnuLikeCpu(PercpuCpu):
    """A CPU that caches what it fetched, and nothing that it frees."""

    __slots__ = ()

    idle_zeroing = False

    def setup(self) -> None:
        """Fetch batches."""
        super().setup()
        self._refill = REFILL

    def pagefree(self, pg: VmPage) -> None:
        """Free one page, as any design does that has no short way."""
        Cpu.pagefree(self, pg)

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page on the global list."""
        with self._fpageqlock:
            self._store.push(pg, UNKNOWN)
        self.gave(1)

    def _fetch(self, want: Want, free_list: int, start: int, span: int) -> Found | None:
        """Take a batch, if the cache has none of another freelist."""
        self._refill = 1 if self.cached() else REFILL
        return super()._fetch(want, free_list, start, span)


class XnuLike(Percpu):
    """The store of the proposal under caches like those of XNU."""

    name = "xnu_like"
    cpu_class = XnuLikeCpu
    CAUSES = ("explicit",)
    summary = "for tests: caches that only give"

    @classmethod
    def traits(cls, param: Param, tunables: PercpuTunables) -> Traits:
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
