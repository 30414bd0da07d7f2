"""The proposal: per-CPU free lists split off from the global one.

Each CPU has a local cache of free pages under a lock of its own, which only that CPU takes in the normal course
of things. The global list stays, under uvm_fpageqlock. A free page stands on exactly one of them (P3).

    allocate   the local lists first, then the global list (P4); a miss fetches `refill` pages
    free       always to the local list (P5)
    hand back  chop each local list off and splice it onto the head of the global one (P8): by the xc thread
               once an interval, or at once if the system is struggling (P9), by the pagedaemon (P10)

=> A local hit takes the CPU's own lock and touches nothing that another CPU touches: no shared lock, no atomic
   operation, not even uvmexp.free. That is the whole point; bench/local_hit.py counts it.
=> uvmexp.free counts the pages on the global list. What is cached is in no shared counter.
=> The shared counters are updated after uvm_fpageqlock is dropped, once for each batch, and before the CPU's
   lock is. So whoever holds all CPU locks and uvm_fpageqlock sees counters that are exact, and a reader without
   locks is off by at most what the CPUs in between have in hand (docs/locking.md).
=> Freelist order comes first (R9): a page of a better freelist is fetched from the global list before a worse one
   is taken from the cache, because the point of freelists is to keep scarce memory for those who need it.

Source: the proposal, P3 to P9; compare sys/uvm/uvm_pgflcache.c of NetBSD 10 and mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import cast

from uvmfree.kern.lock import LockHandle
from uvmfree.uvm.allocator import QUEUES, Cpu, CpuHandles, Strat, UvmState, cpu_handles
from uvmfree.uvm.designs.percpu_rest import CAUSES, PercpuAtRest
from uvmfree.uvm.freelist import GlobalFreelist, Lists, cpu_lists, each
from uvmfree.uvm.page import FRESH, FRESH_ZERO, NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.refuse import NoLists, left_behind


class PercpuCpu(Cpu):
    """A CPU with a cache of free pages.

    Guarded by the CPU's own lock.

    => `lists[queue][free_list][color]`: the cache. `_unknown` and `_zeros` are its parts for freelist 0, where the
       short way through pagealloc() looks; `_unknown_lists` is the part for the UNKNOWN queue, where pages are freed.
       `_buckets` are all of its lists in a row.
    """

    __slots__ = (
        "_all",
        "_buckets",
        "_by_color",
        "_drain_retry",
        "_fpageqlock",
        "_global",
        "_refill",
        "_unknown",
        "_unknown_lists",
        "_zeros",
        "lists",
    )

    def __init__(
        self,
        state: UvmState,
        index: int,
        handles: CpuHandles,
        fpageqlock: LockHandle,
        global_list: GlobalFreelist,
        before: PercpuCpu | None,
    ) -> None:
        super().__init__(state, index, handles, before)
        self._fpageqlock = fpageqlock
        self._global = global_list
        self._refill = state.param.refill
        self._by_color = state.param.search == "colour"
        self._drain_retry = state.param.drain_retry
        self._all = tuple(range(state.param.nfreelists))
        # Empty lists are made anew, so that they belong to the thread that is going to use them.
        self._use(before.lists if before is not None and before.cached_pages() else self._new_lists())

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page: the local lists first, then the global list (P4)."""
        if color is not None or strat != "normal":
            return self._pagealloc_strat(zero, use_reserve, self._freelists(strat, free_list), color)
        asked: int | None = None  # pages on the global list, if we had to look there
        dirty = zero
        self._acquire()
        try:
            start = self.nextcolor
            unknown = self._unknown[start]
            pg: VmPage | None
            if unknown and not (zero and self._zeros[start]):
                # The short way, taken by nearly every local hit: a page of the start colour from the first queue
                # to try, or from the second if the first is empty there. _search() would come to the same.
                pg = unknown.pop()
                pg.list = None
                self.nextcolor = (start + 1) & self._colormask
                self.cpuhit += 1
                if zero:
                    self.zeromiss += 1
                    pg.flags = FRESH_ZERO
                else:
                    pg.flags = FRESH
            else:
                pg, dirty, asked = self._search(zero, use_reserve, self._all, start)
        finally:
            self._release()
        if dirty and pg is not None:
            self._pagezero(pg)
        if asked is not None:
            return self._after_miss(pg, asked, zero, use_reserve, self._all, color)
        return pg

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to this CPU's cache (P5)."""
        self._acquire_free()
        try:
            if pg.list is not None or pg.system is not self._system:
                raise self._refuse_free(pg)
            unknown = self._unknown_lists[pg.free_list][pg.color]
            pg.list = unknown
            unknown.append(pg)
            self.frees += 1
        except AttributeError:
            if isinstance(pg, VmPage):
                raise
            raise self._refuse_free(pg) from None
        finally:
            self._release_free()

    def chop(self) -> list[PageList]:
        """Take all that is cached, leaving empty lists (P8); with the lock held. O(buckets)."""
        chopped = [pages for pages in self._buckets if pages]
        if chopped:
            self._use(self._new_lists())
        return chopped

    def put_back(self, pages: int, zeropages: int) -> None:
        """Account for pages that went back to the global list; with the lock held, and no other."""
        self.drained += pages
        self.publish(pages, zeropages)

    def publish(self, pages: int, zeropages: int) -> None:
        """Add to uvmexp.free and uvmexp.zeropages; with the lock held, and uvm_fpageqlock dropped."""
        if pages:
            self._free.add(pages)
        if zeropages:
            self._zeropages.add(zeropages)

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every later call raise by `refuse`, and let go of the cache; with the lock held."""
        super().stop(refuse)
        self.lists = cast("Lists", NoLists(refuse))
        self._buckets = cast("tuple[PageList, ...]", self.lists)
        self._unknown_lists = cast("list[list[PageList]]", self.lists)
        self._unknown = self._zeros = cast("list[PageList]", self.lists)

    def cached_pages(self) -> int:
        """Count the pages in the cache."""
        return sum(map(len, self._buckets))

    def recolored(self, ncolors: int) -> None:
        """Start over with empty lists of another number of colours."""
        super().recolored(ncolors)
        self._use(self._new_lists())

    def _idle_take(self) -> VmPage | None:
        """Take an UNKNOWN page from the cache, all freelists of a colour before the next colour (P6, R15)."""
        unknown, zeros = (sum(len(pages) for row in self.lists[queue] for pages in row) for queue in (UNKNOWN, ZEROS))
        if self._armed(unknown, zeros):
            for step in range(self._colormask + 1):
                color = (self.nextcolor + step) & self._colormask
                for free_list in self._all:
                    if self._unknown_lists[free_list][color]:
                        pg = self._unknown_lists[free_list][color].pop()
                        pg.list = self._zeroing
                        self._zeroing.append(pg)
                        return pg
        return None

    def _idle_put(self, pg: VmPage, queue: int) -> None:
        into = self.lists[queue][pg.free_list][pg.color]
        pg.list = into
        into.append(pg)

    def _new_lists(self) -> Lists:
        return cpu_lists(
            self._nfreelists, self._colormask + 1, lambda queue: PageList(Place.CACHED, self.index, queue)
        )

    def _use(self, lists: Lists) -> None:
        self.lists = lists
        self._buckets = tuple(pages for *_, pages in each(lists))
        self._unknown_lists = lists[UNKNOWN]
        self._unknown = lists[UNKNOWN][0]
        self._zeros = lists[ZEROS][0]

    def _pagealloc_strat(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], color: int | None
    ) -> VmPage | None:
        """Allocate with a strategy or a colour: the long way."""
        pg, asked = self._pagealloc_once(zero, use_reserve, freelists, color)
        if asked is not None:
            return self._after_miss(pg, asked, zero, use_reserve, freelists, color)
        return pg

    def _pagealloc_once(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], color: int | None
    ) -> tuple[VmPage | None, int | None]:
        """Allocate; return also how many pages were on the global list, if we had to look there."""
        self._acquire()
        try:
            pg, dirty, asked = self._search(zero, use_reserve, freelists, self._start_color(color))
        finally:
            self._release()
        if dirty and pg is not None:
            self._pagezero(pg)
        return pg, asked

    def _after_miss(
        self,
        pg: VmPage | None,
        asked: int,
        zero: bool,
        use_reserve: bool,
        freelists: tuple[int, ...],
        color: int | None,
    ) -> VmPage | None:
        """Do what an allocation owes that went to the global list: the kick (R4), and with `drain_retry` another try.

        => No lock is held. The kick goes by the count before the allocation.
        """
        self._kick_if_short(asked)
        if pg is None and self._drain_retry and self._state.relieve():
            pg, _ = self._pagealloc_once(zero, use_reserve, freelists, color)
        return pg

    def _search(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], start: int
    ) -> tuple[VmPage | None, bool, int | None]:
        """Find a page, with the CPU's lock held, and count it.

        => Returns the page or None, whether it has yet to be zeroed, and how many pages were on the global list, or
           None if the cache had one.
        => The whole cache comes before the global list, or with `search="colour"` only its part of the same colour
           does (Q9).
        """
        queues = QUEUES[zero]
        mask = self._colormask
        turns = [((start + step) & mask, 1) for step in range(mask + 1)] if self._by_color else []
        turns.append((start, mask + 1))  # by colour too: a page that moved between two looks is found in one hold
        asked: int | None = None
        for free_list in freelists:
            for first, span in turns:
                found = self._take_local(free_list, first, span, queues)
                local = found is not None
                if found is None:
                    found, asked = self._fetch(free_list, first, span, queues, use_reserve)
                if found is not None:
                    pg, queue = found
                    self._count(pg, queue, start, local=local, zero=zero)
                    return pg, zero and queue != ZEROS, asked
        return None, False, asked

    def _take_local(
        self, free_list: int, start: int, span: int, queues: tuple[int, int]
    ) -> tuple[VmPage, int] | None:
        """Take a page of one freelist from the cache, from `span` colours on from `start`."""
        try1, try2 = self.lists[queues[0]][free_list], self.lists[queues[1]][free_list]
        mask = self._colormask
        for step in range(start, start + span):
            pages = try1[step & mask] or try2[step & mask]
            if pages:
                pg = pages.pop()
                pg.list = None
                return pg, pages.queue
        return None

    def _fetch(
        self, free_list: int, start: int, span: int, queues: tuple[int, int], use_reserve: bool
    ) -> tuple[tuple[VmPage, int] | None, int]:
        """Take a page of `span` colours from the global list, and `refill` - 1 more into the cache.

        => Returns the page and its queue, or None, and how many pages were on the list before.
        => The reserves are kept from the count under the lock, which is exact (R6). More than one page is taken
           only of what lies above the kernel reserve: a cache must not hoard what the reserve should keep.
        """
        spare: list[tuple[int, list[list[VmPage]]]] = []
        taken = [0] * NQUEUES
        self._fpageqlock.acquire()
        try:
            stock = self._global
            asked = stock.free
            if not self._may_take(asked, use_reserve):
                return None, asked
            found = stock.pop(free_list, start, queues, span)
            if found is None:
                return None, asked
            taken[found[1]] = 1
            above = stock.free - self._state.uvmexp.reserve_kernel
            wanted = min(self._refill - 1, above)
            for queue in queues:
                if wanted > 0:
                    spare.append((queue, stock.take(free_list, start + 1, wanted, queue)))
                    got = sum(map(len, spare[-1][1]))
                    taken[queue] += got
                    wanted -= got
        finally:
            self._fpageqlock.release()
        for queue, batches in spare:
            for batch in batches:
                into = self.lists[queue][free_list][batch[0].color]
                for pg in batch:
                    pg.list = into
                into += batch
        self.filled += sum(taken)
        self.publish(-sum(taken), -taken[ZEROS])
        return found, asked


class Percpu(PercpuAtRest):
    """The design of the proposal: a global list, and a cache for each CPU."""

    cpu_class: type[PercpuCpu] = PercpuCpu
    summary = "the proposal: a cache of free pages per CPU, handed back to the global list once a second"

    def __init__(self, state: UvmState) -> None:
        """Put every page on the global list; the caches start empty."""
        super().__init__(state)
        # For whoever redistributes: any thread, so the handles count under the locks like all others.
        self._cpu_handles = [mutex.handle("uvm_redistribute") for mutex in state.cpu_mutexes]
        self._fpageqlock = state.fpageqlock.handle("uvm_redistribute")
        self._bind_handles = [mutex.handle("uvm_cpu_attach") for mutex in state.cpu_mutexes]
        # All lists below are by CPU, and guarded by the CPU's lock.
        self._own_handles: list[tuple[CpuHandles, LockHandle]] = []  # what to retire when another thread takes over
        self._redistributed_ns = [0] * state.param.ncpus  # when last
        self._causes: list[Counter[str]] = [Counter(dict.fromkeys(CAUSES, 0)) for _ in range(state.param.ncpus)]
        for index in range(state.param.ncpus):
            handles = self._new_handles(index)
            self._own_handles.append(handles)
            state.cpus.append(self.cpu_class(state, index, *handles, self._global, None))
        state.counters.adder("free").add(self._global.free)

    def bind(self, index: int, *, attach: bool = False) -> Cpu:
        """Make a new Cpu for CPU `index`, built by the calling thread; the old one refuses from now on."""
        handles = self._new_handles(index)
        with self._bind_handles[index]:
            before = cast("PercpuCpu", self._state.cpus[index])
            (self._state.check_open if attach else before.check_running)()
            cpu = self.cpu_class(self._state, index, *handles, self._global, before)
            self._state.cpus[index] = cpu
            before.stop(left_behind(index))
            (own, fpageqlock), self._own_handles[index] = self._own_handles[index], handles
        for handle in (own.alloc, own.free, own.idle):
            self._state.cpu_mutexes[index].retire(handle)
        self._state.fpageqlock.retire(fpageqlock)
        return cpu

    def redistribute(self, index: int, cause: str) -> int:
        """Chop off the cache of one CPU and splice it onto the global list (P8); O(buckets)."""
        with self._cpu_handles[index]:
            cpu = self._cpu(index)
            self._redistributed_ns[index] = began_ns = self._state.machine.clock_ns()
            if not (chopped := cpu.chop()):
                return 0
            self._causes[index][cause] += 1
            pages = sum(map(len, chopped))
            zeropages = sum(len(part) for part in chopped if part.queue == ZEROS)
            with self._fpageqlock:
                for part in chopped:
                    self._global.splice(part, part[0].free_list, part[0].color)
            cpu.put_back(pages, zeropages)
        self._state.events.add("redistribute", cause, index, began_ns, pages)
        return pages

    def redistributions(self) -> dict[str, int]:
        """How many redistributions moved pages, by cause."""
        return dict(sum(self._causes, Counter()))

    def on_timer(self, index: int) -> None:
        """Hand a CPU's pages back if that was not done recently, or if the system is struggling (P9)."""
        if not self._state.cpus[index].cached_pages():
            return  # a cache that was empty a moment ago is worth no lock
        with self._cpu_handles[index]:
            idle_ns = self._state.machine.clock_ns() - self._redistributed_ns[index]
        recently = idle_ns < self._state.param.redistribute_interval_s * 1e9
        if not recently or self._state.pageout.is_short(self._state.countable(self._state.uvmexp.free)):
            self.redistribute(index, "timer")

    def _new_handles(self, index: int) -> tuple[CpuHandles, LockHandle]:
        """Make what a Cpu needs: its own lock, and the global one."""
        return cpu_handles(self._state.cpu_mutexes[index]), self._state.fpageqlock.handle("uvm_pagealloc")
