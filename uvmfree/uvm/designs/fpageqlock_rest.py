"""The design `fpageqlock` at rest: what is done to its lists with the lock held, and what is checked of them.

All of it is cold, but for left(), by which a page leaves the other one of its two lists. The design itself is in
`designs/fpageqlock.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, cast

from uvmfree.errors import ClosedError
from uvmfree.kern.lock import LockHandle
from uvmfree.uvm.allocator import UvmState
from uvmfree.uvm.freelist import SWEEP_MIN, Lists, Walked, cpu_lists, each, real_entries
from uvmfree.uvm.page import NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage


def left(pages: PageList, pg: VmPage) -> None:
    """Account for a page that left a list by way of its other list: off the head, or a ghost is left."""
    if pages[-1] is pg:
        pages.pop()
        return
    pages.ghosts += 1
    if pages.ghosts > SWEEP_MIN and pages.ghosts * 2 > len(pages):
        # The sweep takes O(entries) under the lock, once for as many ghosts as it removes.
        pages[:] = real_entries(pages) if pages.owner is not None else real_global(pages)
        pages.ghosts = 0


def real_global(pages: PageList) -> list[VmPage]:
    """Return the pages that really stand on a global list, head last."""
    real: dict[int, VmPage] = {}
    for pg in reversed(pages):
        on = pg.list
        if on is not None and on.queue == pages.queue:
            real.setdefault(pg.pfn, pg)
    return list(reversed(real.values()))


class TwoListCpu(Protocol):
    """A CPU whose pages stand on the global list too, as far as it is handled at rest."""

    index: int
    stopped: bool
    lists: Lists
    npages: list[int]

    def insert(self, pg: VmPage, queue: int) -> None:
        """Put a page on both lists."""

    def account(self, pages: int, queue: int) -> None:
        """Add to the counts of free pages."""

    def unlink(self, pg: VmPage) -> None:
        """Take a page off both lists."""

    def recolored(self, ncolors: int) -> None:
        """Start over with empty lists."""

    def stop(self, refuse: Callable[[], object]) -> None:
        """Refuse from now on."""


class FpageqlockAtRest:
    """The global list of the design, and all that is done with its one lock held."""

    def __init__(self, state: UvmState) -> None:
        self._state = state
        self._global: Lists = cpu_lists(
            state.param.nfreelists, state.param.ncolors, lambda queue: PageList(Place.GLOBAL, None, queue)
        )
        self._attach = state.fpageqlock.handle("uvm_cpu_attach")
        self._free_handle = state.fpageqlock.handle("uvm_pagefree")

    def global_free(self) -> int:
        """All free pages: each CPU counts those that it freed."""
        return sum(sum(self._cpu(index).npages) for index in range(len(self._state.cpus)))

    def all_locks(self, caller: str) -> list[LockHandle]:
        """uvm_fpageqlock stops everything."""
        return [self._state.fpageqlock.handle(caller)]

    def pagefree_global(self, pg: VmPage) -> None:
        """Free a page to the list of an attached CPU, and the global one."""
        with self._free_handle:
            for cpu in self._state.cpus:
                if not cpu.stopped:
                    if pg.list is not None or pg.system is not self._state.physmem.system:
                        raise cpu._refuse_free(pg)
                    own = self._cpu(cpu.index)
                    own.insert(pg, UNKNOWN)
                    own.account(1, UNKNOWN)
                    cpu.frees += 1
                    cpu.drained += 1
                    return
        raise ClosedError(f"{pg!r} was freed to a system that is closed")

    def gather(self, owners: set[int]) -> None:
        """Do nothing: every free page is on the global list already."""

    def unlink(self, pages: list[VmPage]) -> None:
        """Take pages off both their lists; the counters follow at once, as the lock is held."""
        for pg in pages:
            self._cpu(cast("int", pg.owner)).unlink(pg)

    def settle(self) -> None:
        """Do nothing: the counters never lag here."""

    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        """Leave the own lists to another CPU, each below the heir's, whose pages are warm there; stop the CPU."""
        leaving, taking = self._cpu(index), self._cpu(heir)
        for queue, free_list, color, own in each(leaving.lists):
            into = taking.lists[queue][free_list][color]
            pages = real_entries(own)
            # Without the heir's ghosts: that of a page which comes now would lie above it, and be met first.
            into[:], into.ghosts = pages + real_entries(into), 0
            for pg in pages:
                pg.list = into
            taking.npages[queue] += len(pages)
        leaving.npages = [0] * NQUEUES
        self._state.cpus[index].bequeath(self._state.cpus[heir])
        leaving.stop(refuse)

    def recolor(self, ncolors: int) -> None:
        """Arrange all free pages by their new colours, in the order in which they stood."""
        standing = [
            (pg, cast("int", pg.owner), queue)
            for queue, lists in enumerate(self._global)
            for row in lists
            for pages in row
            for pg in real_global(pages)
        ]
        # In place: every Cpu refers to this list.
        self._global[:] = cpu_lists(
            self._state.param.nfreelists, ncolors, lambda queue: PageList(Place.GLOBAL, None, queue)
        )
        for index in range(len(self._state.cpus)):
            if not self._cpu(index).stopped:
                self._cpu(index).recolored(ncolors)
        for pg, owner, queue in standing:
            self._cpu(owner).insert(pg, queue)

    def walk(self) -> Iterator[Walked]:
        """Walk each CPU's lists, at home on which the free pages are, and the global ones."""
        for cpu in self._state.cpus:
            where = f"the list of CPU {cpu.index}"
            for queue, free_list, color, pages in each(self._cpu(cpu.index).lists):
                real = real_entries(pages)
                yield Walked(where, pages, real, queue, free_list, color, Place.GLOBAL, cpu.index)
        for queue, free_list, color, pages in each(self._global):
            real = real_global(pages)
            yield Walked("the global list", pages, real, queue, free_list, color, Place.GLOBAL, None, home=False)

    def findings(self) -> Iterator[str]:
        """Check that both lists hold the same pages and that the counts follow (R3)."""
        on_global: list[set[int]] = [set(), set()]  # by queue
        on_cpus: set[int] = set()
        npages = [[0] * NQUEUES for _ in self._state.cpus]
        for walked in self.walk():
            standing = {pg.pfn for pg in walked.real}
            if walked.owner is None:
                on_global[walked.queue] |= standing
            else:
                on_cpus |= standing
                npages[walked.owner][walked.queue] += len(standing)
        for index, walked_npages in enumerate(npages):
            for queue, (counted, standing_npages) in enumerate(
                zip(self._cpu(index).npages, walked_npages, strict=True)
            ):
                if counted != standing_npages:
                    yield f"CPU {index} counts {counted} pages on queue {queue}, {standing_npages} stand there"
        everywhere = on_global[UNKNOWN] | on_global[ZEROS]
        for pfn in sorted(everywhere ^ on_cpus):
            where = "the global list only" if pfn in everywhere else "a CPU's list only"
            yield f"free page {pfn:#x} stands on {where}; it must stand on both"
        for name, truth in (("free", len(everywhere)), ("zeropages", len(on_global[ZEROS]))):
            if self._state.counters.load(name) != truth:
                yield f"uvmexp.{name} is {self._state.counters.load(name)}, {truth} such pages are on the global list"

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every CPU refuse, and let go of all pages."""
        with self._attach:
            for index in range(len(self._state.cpus)):
                cpu = self._cpu(index)
                for lists in (cpu.lists, self._global):
                    for queue in lists:
                        for row in queue:
                            for pages in row:
                                pages.clear()
                cpu.stop(refuse)

    def _cpu(self, index: int) -> TwoListCpu:
        return cast("TwoListCpu", self._state.cpus[index])
