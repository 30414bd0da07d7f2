"""Today's allocator: one mutex, uvm_fpageqlock, for everything that concerns free pages.

Every free page stands on two lists at once: the global one, and that of the CPU which freed it. The second is
there to give a CPU back the pages that are warm in its cache; it saves no locking at all.

    allocate   in each colour: own list, then global, for the first queue; then both for the second (R9)
    free       at the head of the own list and of the global list

=> All lists, all counters and each CPU's statistics are guarded by uvm_fpageqlock.
=> uvmexp.free counts all free pages. It is updated plainly, under the lock; readers hold nothing even today.

A page that leaves one list must leave the other, mostly from its middle. Both are stacks with ghosts
(uvm/freelist.py): `pg.on` is the CPU's list on which the page really stands, and an entry of the global list is
real if the page is free and of that queue. The newest entry of a page is met first: only that one can be real.

Source: uvm_pagealloc_pgfl, uvm_pagealloc_strat, uvm_pagefree in sys/uvm/uvm_page.c of NetBSD 9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu, Found, Strat, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Grid, each, grid
from uvmfree.uvm.page import FRESH, FRESH_ZERO, NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.traits import Traits


class EveryList(PageList):
    """A global list: its pages name the CPU's list on which they stand, too."""

    __slots__ = ()

    home = False

    def pages(self) -> list[VmPage]:
        """Return the pages that really stand here, head last: those that are free, and of this queue."""
        queue = self.queue
        real = {pg.pfn: pg for pg in reversed(self) if isinstance(on := pg.on, PageList) and on.queue == queue}
        return list(reversed(real.values()))


class FpageqlockCpu(Cpu):
    """A CPU with a list of the pages that it freed, all of which stand on the global list too.

    => `grid[queue][free_list][color]`: this CPU's own. `npages[queue]`: how many pages really stand on them (R3).
    => `_every`: the global lists. `_own_unknown`, `_all_unknown`: the UNKNOWN queue of freelist 0 on either.
    => `_words`: a view of the counter page, on which `_free_slot` and `_zeros_slot` are updated plainly.
    => `filled` and `drained` count what flow() cannot derive: pages that were zeroed ahead of time.
    """

    __slots__ = ("_all_unknown", "_every", "_free_slot", "_own_unknown", "_words", "_zeros_slot", "grid", "npages")

    caches = False
    _design: Fpageqlock

    def setup(self) -> None:
        """Take a view of the counters."""
        counters = self._state.counters
        self._words = counters.view()
        self._free_slot, self._zeros_slot = counters.slot("free"), counters.slot("zeropages")

    def empty(self) -> None:
        """Have empty lists."""
        self._use(grid(self._nfreelists, self._colormask + 1, Place.GLOBAL, self.index), [0] * NQUEUES)

    def _use(self, lists: Grid, npages: list[int]) -> None:
        self.grid, self.npages, self._every = lists, npages, self._design.every
        self._own_unknown, self._all_unknown = lists[UNKNOWN][0], self._every[UNKNOWN][0]

    def lists(self) -> Iterable[PageList]:
        """Return the own lists."""
        return each(self.grid)

    def inherit(self, before: FpageqlockCpu) -> None:
        """Take the lists over."""
        self._use(before.grid, before.npages)

    def leave(self, heir: FpageqlockCpu) -> None:
        """Leave the own lists to another CPU, each below the heir's, whose pages are warm there."""
        for own, into in zip(each(self.grid), each(heir.grid), strict=True):
            pages = own.pages()
            # Without the heir's ghosts: that of a page which comes now would lie above it, and be met first.
            into[:], into.ghosts = pages + into.pages(), 0
            for pg in pages:
                pg.on = into
        for queue in range(NQUEUES):
            heir.npages[queue] += self.npages[queue]

    def flow(self) -> tuple[int, int]:
        """Every page comes from the global list and goes there."""
        return self.cpuhit + self.cpumiss + self.filled, self.frees + self.drained

    def gave(self, pages: int, zeropages: int = 0) -> None:
        """Account for pages that were freed."""
        self.publish(pages, zeropages)

    def publish(self, pages: int, zeropages: int) -> None:
        """Add to the counts of free pages, plainly; with the lock held."""
        counters = self._state.counters
        words = counters.view()  # not its own: those of a CPU that was stopped are gone
        words[counters.slot("free")] += pages
        words[counters.slot("zeropages")] += zeropages

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page under uvm_fpageqlock; the kick (R4) comes after it."""
        if color is not None or strat != "normal":
            return super().pagealloc(zero, use_reserve, strat, free_list, color)
        self._acquire()
        try:
            start, words = self.nextcolor, self._words
            free = words[self._free_slot]
            own = self._own_unknown[start]
            plain = free > self._state.uvmexp.marks.reserve_kernel and not (zero and words[self._zeros_slot])
            if plain and own and own[-1].on is own:
                # The short way: the reserve is untouched, and no zeroed page would be better. _search() agrees.
                want = None
                pg = own.pop()
                pg.on = self._system
                every = self._all_unknown[start]
                if every[-1] is pg:
                    every.pop()
                else:
                    every.unlink(pg)
                self.npages[UNKNOWN] -= 1
                words[self._free_slot] = free - 1
                self.nextcolor = (start + 1) & self._colormask
                self.cpuhit += 1
                if zero:
                    self.zeromiss += 1
                    pg.flags = FRESH_ZERO
                else:
                    pg.flags = FRESH
            else:
                want = self._usual[2 * zero + use_reserve]
                found, asked = self._search(want, start)
        finally:
            self._release()
        if want is not None:
            return self._finish(want, found, asked, None)
        self._kick_if_short(free)
        if zero:
            self._pagezero(pg)
        return pg

    def _finish(self, want: Want, found: Found | None, asked: int | None, color: int | None) -> VmPage | None:
        """As with any design, but the kick comes before the zeros."""
        self._kick_if_short(cast("int", asked))
        return super()._finish(want, found, None, color)

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to the own list and the global one, under uvm_fpageqlock."""
        self._acquire_free()
        try:
            if pg.on is not self._system:
                raise self._refuse_free(pg)
            free_list, color = pg.free_list, pg.color
            own = self.grid[UNKNOWN][free_list][color]
            pg.on = own
            own.append(pg)
            self._every[UNKNOWN][free_list][color].append(pg)
            self.npages[UNKNOWN] += 1
            self.frees += 1
            self._words[self._free_slot] += 1
        except AttributeError:
            self.check_page(pg)
            raise
        finally:
            self._release_free()

    def _get(self, want: Want, start: int) -> Found | None:
        """Take a page off both its lists (R9)."""
        words, mask = self._words, self._colormask
        if not self.may_take(words[self._free_slot], want):
            return None
        for free_list in want.freelists:
            for step in range(mask + 1):
                color = (start + step) & mask
                for queue in want.queues:
                    own, every = self.grid[queue][free_list][color], self._every[queue][free_list][color]
                    while own:
                        pg = own.pop()
                        if pg.on is own:
                            self._leaves(pg, own, every)
                            return pg, queue, True
                        own.ghosts -= 1
                    while every:
                        pg = every.pop()
                        if isinstance(on := pg.on, PageList) and on.queue == queue:
                            self._leaves(pg, on, on)
                            return pg, queue, False
                        every.ghosts -= 1
        return None

    def _leaves(self, pg: VmPage, on: Any, other: Any) -> None:
        """Account for a page that was popped off one of its lists: `on` is the CPU's, `other` has it still."""
        words, queue = self._words, on.queue
        pg.on = self._system
        self._cpus[on.owner].npages[queue] -= 1
        other.unlink(pg)
        words[self._free_slot] -= 1
        if queue == ZEROS:
            words[self._zeros_slot] -= 1

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page back after zeroing."""
        self.insert(pg, queue)
        super().gave(1, int(queue == ZEROS))

    def insert(self, pg: VmPage, queue: int) -> None:
        """Put a page at the head of an own list and of the global one."""
        free_list, color = pg.free_list, pg.color
        self.grid[queue][free_list][color].put(pg)
        self._every[queue][free_list][color].append(pg)
        self.npages[queue] += 1

    def _idle_take(self) -> VmPage | None:
        """Take an UNKNOWN page off the own list and the global one (R15)."""
        pg = super()._idle_take()
        if pg is not None:
            self._every[UNKNOWN][pg.free_list][pg.color].unlink(pg)
            self.npages[UNKNOWN] -= 1
            self.took(1)
        return pg


class Fpageqlock(Design[FpageqlockCpu]):
    """The design of today: one lock, every free page on the global list and on one CPU's.

    => `every[queue][free_list][color]`: the global lists. At boot all pages are CPU 0's, as in uvm_page_init.
    """

    name = "fpageqlock"
    summary = "today: one lock, each free page on the global list and on that of the CPU which freed it"
    cpu_class = FpageqlockCpu
    LOCKS = (UVM_FPAGEQLOCK,)
    cpu_place = Place.GLOBAL

    @classmethod
    def traits(cls, param: Param, tunables: Any) -> Traits:
        """All free pages are on the global list, and so is every question."""
        letter = super().traits(param, tunables)
        return replace(letter, colors="system", freed="both", bound=0, free="all", short="all", gate="system")

    def empty(self) -> None:
        """Have empty global lists."""
        self.every = grid(self.state.param.nfreelists, self.state.uvmexp.ncolors, Place.GLOBAL, None, EveryList)

    def lists(self) -> Iterable[PageList]:
        """Return the global lists."""
        return each(self.every)

    def guarded(self) -> tuple[()]:
        """One page a hold: an operation moves just one."""
        return ()

    def push(self, pg: VmPage, queue: int, owner: int | None = None) -> None:
        """Put a page on a CPU's list and on the global one."""
        self.cpus[owner or 0].insert(pg, queue)

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take pages off both their lists."""
        for pg in pages:
            own, pg.on = cast("PageList", pg.on), self.state.physmem.system
            own.unlink(pg)
            self.every[own.queue][pg.free_list][pg.color].unlink(pg)
            self.cpus[cast("int", own.owner)].npages[own.queue] -= 1

    def stock(self) -> tuple[int, int]:
        """All free pages: each CPU counts those that it freed."""
        npages = [cpu.npages for cpu in self.cpus if not cpu.stopped]
        return sum(each[UNKNOWN] for each in npages), sum(each[ZEROS] for each in npages)

    def check(self) -> Iterator[str]:
        """Check that both lists hold the same pages and that the counts follow (R3)."""
        on_global, on_cpus, standing = set[int](), set[int](), Counter[tuple[int | None, int]]()
        for walked in self.walk():
            pfns = {pg.pfn for pg in walked.real}
            (on_global if walked.owner is None else on_cpus).update(pfns)
            standing[walked.owner, walked.queue] += len(pfns)
        for cpu in self.cpus:
            for queue, counted in enumerate([0] * NQUEUES if cpu.stopped else cpu.npages):
                if counted != (there := standing[cpu.index, queue]):
                    yield f"CPU {cpu.index} counts {counted} pages on queue {queue}, {there} stand there"
        for pfn in sorted(on_global ^ on_cpus):
            where = "the global list only" if pfn in on_global else "a CPU's list only"
            yield f"free page {pfn:#x} stands on {where}; it must stand on both"
