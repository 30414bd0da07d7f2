"""Scenes of pages: redistribution by every path against allocation, free and ranged allocation (R3, P8 to P10).

Two threads play CPUs 0 and 1, a third does what any thread may do to all CPUs. In the end every page is in exactly
one place, nobody was given a page that another held, and every counter equals what is walked.
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.machine import ExploreMachine
from tests.explore.model import Scene
from uvmfree.uvm.page import VmPage

SMALL: dict[str, Any] = {
    "npages": 24, "ncpus": 2, "ncolors": 2, "pagesize": 1 << 15, "redistribute_interval_s": 1.0,
}  # fmt: skip
"""24 pages, of which 10 are the kernel's: the watermarks are 11 and 14 (R24), so allocations run into them."""

CPU_OPS = ("alloc", "free", "zalloc", "freelast")
ANY_OPS = ("redistribute", "timer", "pressure", "run", "some", "give", "tick")


class Pages(Scene):
    """A system without threads of its own: each path of redistribution is an operation."""

    PARTS = (CPU_OPS, CPU_OPS, ANY_OPS)
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "remote_drain": True}

    def __init__(self) -> None:
        self.machine = ExploreMachine(lockdebug=False)
        self.uvm = uvmfree.boot(self.machine, **SMALL | self.tunables)  # type: ignore[arg-type]
        self.cpus = self.uvm.cpus
        self.held: list[list[VmPage]] = [[] for _ in self.PARTS]
        self.holder: dict[int, int] = {}
        self.took(2, *self.uvm.pglistalloc(2, nsegs=2))
        for thread, cpu in enumerate(self.cpus):
            self.took(thread, *(cpu.pagealloc() for _ in range(4)))
            for _ in range(2):
                self.free(thread)

    def took(self, thread: int, *pages: VmPage | None) -> None:
        """Note who holds pages; nobody else may."""
        for pg in pages:
            if pg is not None:
                other = self.holder.setdefault(pg.pfn, thread)
                assert other == thread, f"thread {thread} was given {pg!r}, which thread {other} holds"
                assert pg.list is None, f"thread {thread} was given {pg!r}"
                self.held[thread].append(pg)

    def gives(self, thread: int, index: int) -> VmPage | None:
        """Take a page out of a thread's hands, if there is one."""
        if not self.held[thread]:
            return None
        pg = self.held[thread].pop(index)
        del self.holder[pg.pfn]
        return pg

    def do(self, thread: int, op: str) -> None:
        getattr(self, op)(thread)

    def alloc(self, thread: int) -> None:
        self.took(thread, self.cpus[thread].pagealloc())

    def zalloc(self, thread: int) -> None:
        self.took(thread, self.cpus[thread].pagealloc(zero=True))

    def free(self, thread: int) -> None:
        if (pg := self.gives(thread, 0)) is not None:
            self.cpus[thread].pagefree(pg)

    def freelast(self, thread: int) -> None:
        if (pg := self.gives(thread, -1)) is not None:
            self.cpus[thread].pagefree(pg)

    def redistribute(self, thread: int) -> None:
        self.uvm.redistribute()

    def timer(self, thread: int) -> None:
        for index in range(self.uvm.param.ncpus):
            self.uvm._on_timer(index)

    def pressure(self, thread: int) -> None:
        self.uvm.pagedaemon.one_pass()

    def tick(self, thread: int) -> None:
        self.machine.advance(1.0)

    def run(self, thread: int) -> None:
        self.ranged(thread, 2, 1)

    def some(self, thread: int) -> None:
        self.ranged(thread, 3, 3)

    def ranged(self, thread: int, size: int, nsegs: int) -> None:
        with suppress(uvmfree.OutOfPages):
            self.took(thread, *self.uvm.pglistalloc(size, nsegs=nsegs))

    def give(self, thread: int) -> None:
        if (pg := self.gives(thread, 0)) is not None:
            self.uvm.pagefree(pg)

    def check(self) -> None:
        uvm = self.uvm
        uvm.audit()
        held = sum(map(len, self.held))
        assert uvm.uvmexp.free + sum(uvm.cached_pages()) + held == uvm.param.npages
        assert uvm.counter_lag() == 0
        for thread, pages in enumerate(self.held):
            while pages:
                pg = self.gives(thread, 0)
                assert pg is not None
                uvm.pagefree(pg)
        uvm.redistribute()
        assert uvm.uvmexp.free == uvm.param.npages
        uvm.audit()


class BoundedPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {
        "design": "percpu", "remote_drain": True, "drain_retry": True, "hoard_max": 3, "refill": 2,
        "search": "colour",
    }  # fmt: skip


class FpageqlockPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock", "remote_drain": True}
