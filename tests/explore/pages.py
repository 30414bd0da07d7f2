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

CACHED_FROM = 16
"""From this frame on stand the pages that the scene puts into the caches; a ranged allocation takes those."""

STAMP = b"in hand."

CPU_OPS = ("alloc", "free", "zalloc", "freelast")
ANY_OPS = ("redistribute", "timer", "pressure", "run", "some", "give", "reclaim", "tick")


class Pages(Scene):
    """A system without threads of its own: each path of redistribution is an operation."""

    PARTS = (CPU_OPS, CPU_OPS, ANY_OPS)
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "remote_drain": True}

    cached = 2
    """Pages in each cache at the start; each thread holds two more."""
    lockdebug = False
    """A lock order that is broken is for the explorer to find, as a deadlock; and there is less to do."""

    def __init__(self) -> None:
        self.machine = ExploreMachine(lockdebug=self.lockdebug)
        self.uvm = uvmfree.boot(self.machine, **SMALL | self.tunables)  # type: ignore[arg-type]
        self.cpus = self.uvm.cpus
        self.held: list[list[VmPage]] = [[] for _ in self.PARTS]
        self.holder: dict[int, int] = {}
        self.took(2, *self.uvm.pglistalloc(2, nsegs=2))
        for thread, cpu in enumerate(self.cpus):
            self.took(thread, *(cpu.pagealloc() for _ in range(2 + self.cached)))
            for _ in range(self.cached):
                Pages.free(self, thread)

    def took(self, thread: int, *pages: VmPage | None) -> None:
        """Note who holds pages; nobody else may."""
        for pg in pages:
            if pg is not None:
                other = self.holder.setdefault(pg.pfn, thread)
                assert other == thread, f"thread {thread} was given {pg!r}, which thread {other} holds"
                assert pg.list is None, f"thread {thread} was given {pg!r}"
                self.uvm.physmem.bytes_of(pg)[:8] = STAMP
                self.held[thread].append(pg)

    def gives(self, thread: int, index: int) -> VmPage | None:
        """Take a page out of a thread's hands, if there is one."""
        if not self.held[thread]:
            return None
        pg = self.held[thread].pop(index)
        del self.holder[pg.pfn]
        assert self.uvm.physmem.bytes_of(pg)[:8] == STAMP, f"somebody wrote to {pg!r}, which thread {thread} holds"
        return pg

    def alloc(self, thread: int) -> None:
        self.took(thread, self.cpus[thread].pagealloc())

    def zalloc(self, thread: int) -> None:
        pg = self.cpus[thread].pagealloc(zero=True)
        assert pg is None or not any(self.uvm.physmem.bytes_of(pg)), f"{pg!r} is not zero"
        self.took(thread, pg)

    def free(self, thread: int) -> None:
        if (pg := self.gives(thread, 0)) is not None:
            self.cpus[thread].pagefree(pg)

    def freelast(self, thread: int) -> None:
        if (pg := self.gives(thread, -1)) is not None:
            self.cpus[thread].pagefree(pg)

    def idled(self, index: int, pieces: int) -> None:
        """Zero pages of an idle CPU, until so many pieces of pages are done and something is runnable."""
        asked = 0

        def runnable() -> bool:
            nonlocal asked
            asked += 1
            return asked > pieces

        self.uvm.cpus[index].pageidlezero(runnable)

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
            self.took(thread, *self.uvm.pglistalloc(size, low=CACHED_FROM, nsegs=nsegs))

    def give(self, thread: int) -> None:
        if (pg := self.gives(thread, 0)) is not None:
            self.uvm.pagefree(pg)

    def reclaim(self, thread: int) -> None:
        """Free a page as the pagedaemon does, past all caches."""
        if (pg := self.gives(thread, 0)) is not None:
            self.uvm._design.pagefree_global(pg)

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


class Counting(Pages):
    """Nothing is cached at the start, so whoever allocates takes from the global list and updates its counters."""

    PARTS = (("alloc", "free"), ("alloc", "free"), ("redistribute", "reclaim", "give", "some"))
    cached = 0


class FpageqlockCounting(Counting):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock", "remote_drain": True}


class BoundedCounting(Counting):
    """A cache that spills with every page that is freed; the rest is as in Counting."""

    tunables: ClassVar[dict[str, Any]] = {"design": "percpu", "remote_drain": True, "hoard_max": 1}
    cached = 1


class BoundedPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {
        "design": "percpu", "remote_drain": True, "drain_retry": True, "hoard_max": 3, "refill": 2,
        "search": "colour",
    }  # fmt: skip


class FpageqlockPages(Pages):
    tunables: ClassVar[dict[str, Any]] = {"design": "fpageqlock", "remote_drain": True}
