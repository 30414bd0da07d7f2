"""Today's allocator: one mutex, uvm_fpageqlock, for everything that concerns free pages.

Every free page stands on two lists at once: the global one, and that of the CPU which freed it. The second is
there to give a CPU back the pages that are warm in its cache; it saves no locking at all.

    allocate   in each colour: own list, then global, for the first queue; then both for the second (R9)
    free       at the head of the own list and of the global list

=> All lists, all counters and each CPU's statistics are guarded by uvm_fpageqlock.
=> uvmexp.free counts all free pages. It is updated plainly, under the lock, as the kernel does; readers hold
   nothing even today.

A page that leaves one list must leave the other, mostly from its middle. Both are stacks with ghosts
(uvm/freelist.py): `pg.list` is the CPU's list on which the page really stands, and an entry of the global list is
real if the page is free and of that queue. In either list the entry nearest the head is the newest; so if any
entry of a page is real, the one that is met first is.

Source: uvm_pagealloc_pgfl, uvm_pagealloc_strat, uvm_pagefree in sys/uvm/uvm_page.c of NetBSD 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from uvmfree.param import Param
from uvmfree.uvm.allocator import QUEUES, Cpu, CpuHandles, Strat, UvmState, cpu_handles
from uvmfree.uvm.designs.fpageqlock_rest import FpageqlockAtRest, left
from uvmfree.uvm.freelist import Lists, cpu_lists
from uvmfree.uvm.page import FRESH, FRESH_ZERO, NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.refuse import NoLists, left_behind
from uvmfree.uvm.traits import Traits


class FpageqlockCpu(Cpu):
    """A CPU with a list of the pages that it freed, all of which stand on the global list too.

    Guarded by uvm_fpageqlock.

    => `lists`: this CPU's own. `npages[queue]`: how many pages really stand on them (R3).
    => `_own_unknown`, `_all_unknown`: the UNKNOWN queue of freelist 0 on the own lists and the global ones.
    => `_words`: a view of the counter page, on which `_free_slot` and `_zeropages_slot` are updated plainly.
    """

    __slots__ = (
        "_all",
        "_all_unknown",
        "_free_slot",
        "_global",
        "_own_unknown",
        "_words",
        "_zeropages_slot",
        "lists",
        "npages",
    )

    lists: Lists
    npages: list[int]

    def __init__(
        self,
        state: UvmState,
        index: int,
        handles: CpuHandles,
        global_lists: Lists,
        before: FpageqlockCpu | None,
    ) -> None:
        super().__init__(state, index, handles, before)
        self._all = tuple(range(state.param.nfreelists))
        self._global = global_lists
        self._words = state.counters.view()
        self._free_slot = state.counters.slot("free")
        self._zeropages_slot = state.counters.slot("zeropages")
        if before is not None and not before.stopped:
            self._use(before.lists, before.npages)
        else:
            self._use(self._new_lists(state.uvmexp.ncolors), [0] * NQUEUES)

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
            return self._pagealloc_strat(zero, use_reserve, self._freelists(strat, free_list), color)
        dirty = zero
        pg: VmPage | None
        self._acquire()
        try:
            start, words = self.nextcolor, self._words
            asked = words[self._free_slot]
            own = self._own_unknown[start]
            if (
                asked > self._state.uvmexp.marks.reserve_kernel
                and own
                and own[-1].list is own
                and not (zero and words[self._zeropages_slot])
            ):
                # The short way, as percpu has one: the page at the head of the own list, with the reserve untouched
                # and no zeroed page that would be the better one. _search() would come to the same.
                pg = own.pop()
                pg.list = None
                every = self._all_unknown[start]
                if every[-1] is pg:
                    every.pop()
                else:
                    left(every, pg)
                self.npages[UNKNOWN] -= 1
                words[self._free_slot] = asked - 1
                self.nextcolor = (start + 1) & self._colormask
                self.filled += 1
                self.cpuhit += 1
                if zero:
                    self.zeromiss += 1
                    pg.flags = FRESH_ZERO
                else:
                    pg.flags = FRESH
            else:
                pg, dirty = self._take(zero, use_reserve, self._all, start, asked)
        finally:
            self._release()
        self._kick_if_short(asked)
        if dirty and pg is not None:
            self._pagezero(pg)
        return pg

    def _pagealloc_strat(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], color: int | None
    ) -> VmPage | None:
        """Allocate with a strategy or a colour: the long way."""
        self._acquire()
        try:
            asked = self._words[self._free_slot]
            pg, dirty = self._take(zero, use_reserve, freelists, self._start_color(color), asked)
        finally:
            self._release()
        self._kick_if_short(asked)
        if dirty and pg is not None:
            self._pagezero(pg)
        return pg

    def _take(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], start: int, asked: int
    ) -> tuple[VmPage | None, bool]:
        """Take a page and count it, with the lock held; return it, or None, and whether it has yet to be zeroed."""
        if not self._may_take(asked, use_reserve):
            return None, False
        found = self._search(freelists, start, QUEUES[zero])
        if found is None:
            return None, False
        pg, queue, local = found
        self._count(pg, queue, start, local=local, zero=zero)
        self.filled += 1
        self.account(-1, queue)
        return pg, zero and queue != ZEROS

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to the own list and the global one, under uvm_fpageqlock."""
        self._acquire_free()
        try:
            if pg.list is not None or pg.system is not self._system:
                raise self._refuse_free(pg)
            free_list, color = pg.free_list, pg.color
            own = self.lists[UNKNOWN][free_list][color]
            pg.list = own
            own.append(pg)
            self._global[UNKNOWN][free_list][color].append(pg)
            self.npages[UNKNOWN] += 1
            self.frees += 1
            self.drained += 1
            self._words[self._free_slot] += 1
        except AttributeError:
            if isinstance(pg, VmPage):
                raise
            raise self._refuse_free(pg) from None
        finally:
            self._release_free()

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every later call raise by `refuse`, and let go of the lists; with the lock held."""
        super().stop(refuse)
        self.lists = cast("Lists", NoLists(refuse))
        self._own_unknown = cast("list[PageList]", self.lists)

    def insert(self, pg: VmPage, queue: int) -> None:
        """Put a page at the head of an own list and of the global one."""
        free_list, color = pg.free_list, pg.color
        own = self.lists[queue][free_list][color]
        pg.list = own
        own.append(pg)
        self._global[queue][free_list][color].append(pg)
        self.npages[queue] += 1

    def account(self, pages: int, queue: int) -> None:
        """Add to the counts of free pages, plainly."""
        self._words[self._free_slot] += pages
        if queue == ZEROS:
            self._words[self._zeropages_slot] += pages

    def unlink(self, pg: VmPage) -> None:
        """Take a page of this CPU off both its lists, from wherever it stands."""
        own = cast("PageList", pg.list)
        pg.list = None
        left(own, pg)
        left(self._global[own.queue][pg.free_list][pg.color], pg)
        self.npages[own.queue] -= 1
        self.account(-1, own.queue)

    def recolored(self, ncolors: int) -> None:
        """Start over with empty lists."""
        super().recolored(ncolors)
        self._use(self._new_lists(ncolors), [0] * NQUEUES)

    def _use(self, lists: Lists, npages: list[int]) -> None:
        self.lists, self.npages = lists, npages
        self._own_unknown = lists[UNKNOWN][0]
        self._all_unknown = self._global[UNKNOWN][0]

    def _new_lists(self, ncolors: int) -> Lists:
        return cpu_lists(self._nfreelists, ncolors, lambda queue: PageList(Place.GLOBAL, self.index, queue))

    def _idle_take(self) -> VmPage | None:
        """Take an UNKNOWN page off the own list and the global one (R15)."""
        if self._armed(*self.npages):
            for step in range(self._colormask + 1):
                color = (self.nextcolor + step) & self._colormask
                for row in self.lists[UNKNOWN]:
                    own = row[color]
                    while own:
                        pg = own[-1]
                        if pg.list is own:
                            self.unlink(pg)
                            self.filled += 1
                            pg.list = self._zeroing
                            self._zeroing.append(pg)
                            return pg
                        own.pop()
                        own.ghosts -= 1
        return None

    def _idle_put(self, pg: VmPage, queue: int) -> None:
        self.insert(pg, queue)
        self.drained += 1
        self.account(1, queue)

    def _search(
        self, freelists: tuple[int, ...], start: int, queues: tuple[int, int]
    ) -> tuple[VmPage, int, bool] | None:
        """Take a page off both its lists (R9); return it, its queue, and whether the own list gave it."""
        mask = self._colormask
        for free_list in freelists:
            for step in range(mask + 1):
                color = (start + step) & mask
                for queue in queues:
                    own = self.lists[queue][free_list][color]
                    every = self._global[queue][free_list][color]
                    while own:
                        pg = own.pop()
                        if pg.list is own:
                            pg.list = None
                            self.npages[queue] -= 1
                            left(every, pg)
                            return pg, queue, True
                        own.ghosts -= 1
                    while every:
                        pg = every.pop()
                        other = pg.list
                        if other is not None and other.queue == queue:
                            pg.list = None
                            # `owner` is a CPU here: only CPU lists are ever named by `pg.list` in this design.
                            cast("FpageqlockCpu", self._state.cpus[cast("int", other.owner)]).npages[queue] -= 1
                            left(other, pg)
                            return pg, queue, False
                        every.ghosts -= 1
        return None


class Fpageqlock(FpageqlockAtRest):
    """The design of today: one lock, every free page on the global list and on one CPU's."""

    tunables: frozenset[str] = frozenset()
    summary = "today: one lock, each free page on the global list and on that of the CPU which freed it"

    @classmethod
    def traits(cls, param: Param) -> Traits:
        """All free pages are on the global list, and so is every question."""
        return Traits(
            colors="system",
            zeros=True,
            lifo=True,
            freed="both",
            bound=0,
            refill=1,
            idle=0,
            causes=frozenset(),
            free="all",
            short="all",
            gate="system",
        )

    def __init__(self, state: UvmState) -> None:
        """Free every page from CPU 0, as uvm_page_init does on the boot CPU."""
        super().__init__(state)
        self._own_handles = [cpu_handles(state.fpageqlock) for _ in range(state.param.ncpus)]  # under uvm_fpageqlock
        for index, handles in enumerate(self._own_handles):
            state.cpus.append(FpageqlockCpu(state, index, handles, self._global, None))
        boot_cpu = cast("FpageqlockCpu", state.cpus[0])
        for pg in state.physmem:
            boot_cpu.insert(pg, UNKNOWN)
        state.counters.view()[state.counters.slot("free")] = state.physmem.npages

    def bind(self, index: int, *, attach: bool = False) -> Cpu:
        """Make a new Cpu for CPU `index`, built by the calling thread."""
        handles = cpu_handles(self._state.fpageqlock)
        with self._attach:
            before = cast("FpageqlockCpu", self._state.cpus[index])
            (self._state.check_open if attach else before.check_running)()
            cpu = FpageqlockCpu(self._state, index, handles, self._global, before)
            self._state.cpus[index] = cpu
            before.stop(left_behind(index))
            retired, self._own_handles[index] = self._own_handles[index], handles
        for handle in (retired.alloc, retired.free, retired.idle):
            self._state.fpageqlock.retire(handle)
        return cpu

    def redistribute(self, index: int, cause: str) -> int:
        """Hand nothing back: every free page is on the global list already."""
        return 0

    def redistributions(self) -> dict[str, int]:
        """None: there is nothing to hand back."""
        return {}

    def on_timer(self, index: int) -> None:
        """Do nothing: today's xc thread waits for calls only."""
