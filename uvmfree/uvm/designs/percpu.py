"""The proposal: per-CPU free lists split off from the global one.

Each CPU has a local cache of free pages under a lock of its own, which only that CPU takes in the normal course
of things. The global list stays, under uvm_fpageqlock. A free page stands on exactly one of them (P3).

    allocate   the local lists first, then the global list (P4); a miss fetches `refill` pages
    free       always to the local list (P5)
    hand back  chop each local list off and splice it onto the head of the global one (P8): by the xc thread
               once an interval (P9)

=> A local hit takes the CPU's own lock and touches nothing that another CPU touches: no shared lock, no atomic
   operation, not even uvmexp.free. That is the whole point; bench/local_hit.py counts it.
=> uvmexp.free counts the pages on the global list. What is cached is in no shared counter.
=> The shared counters are updated after uvm_fpageqlock is dropped, once for each batch, and before the CPU's
   lock is. So whoever holds all CPU locks and uvm_fpageqlock sees counters that are exact, and a reader without
   locks is off by at most what the CPUs in between have in hand (docs/locking.md).
=> Freelist order comes first (R9): a page of a better freelist is fetched from the global list before a worse one
   is taken from the cache, because the point of freelists is to keep scarce memory for those who need it.

Source: the proposal, P3 to P9; compare sys/uvm/uvm_pgflcache.c of NetBSD 8 to 9 and mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from uvmfree.kern.lock import LockHandle
from uvmfree.uvm.allocator import QUEUES, Cpu, Lists, NoLists, Strat, UvmState, Walked, left_behind, publish
from uvmfree.uvm.freelist import GlobalFreelist, cpu_lists, each, real_entries
from uvmfree.uvm.page import FRESH, FRESH_ZERO, NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage


class PercpuCpu(Cpu):
    """A CPU with a cache of free pages.

    Guarded by the CPU's own lock.

    => `lists[queue][free_list][color]`: the cache. `_unknown` and `_zeros` are its parts for freelist 0, where the
       short way through pagealloc() looks; `_unknown_lists` is the part for the UNKNOWN queue, where pages are freed.
    """

    __slots__ = ("_all", "_fpageqlock", "_global", "_refill", "_unknown", "_unknown_lists", "_zeros", "lists")

    def __init__(
        self,
        state: UvmState,
        index: int,
        alloc: LockHandle,
        free: LockHandle,
        fpageqlock: LockHandle,
        global_list: GlobalFreelist,
        before: PercpuCpu | None,
    ) -> None:
        super().__init__(state, index, alloc, free, before)
        self._fpageqlock = fpageqlock
        self._global = global_list
        self._refill = state.param.refill
        self._all = tuple(range(state.param.nfreelists))
        # Empty lists are made anew, so that they belong to the thread that is going to use them.
        keep = before is not None and before.cached_pages() > 0
        self._use(before.lists if before is not None and keep else self._new_lists())

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
                pg, zero = self._search(zero, use_reserve, self._all, start)
        finally:
            self._release()
        if zero and pg is not None:
            self._pagezero(pg)
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
        chopped = [pages for queue in self.lists for buckets in queue for pages in buckets if pages]
        self._use(self._new_lists())
        return chopped

    def put_back(self, pages: int, zeropages: int) -> None:
        """Account for pages that went back to the global list; with the lock held, and no other."""
        self.drained += pages
        publish(self._free, pages)
        publish(self._zeropages, zeropages)

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every later call raise by `refuse`, and let go of the cache; with the lock held."""
        super().stop(refuse)
        self.lists = cast("Lists", NoLists(refuse))
        self._unknown_lists = cast("list[list[PageList]]", self.lists)
        self._unknown = self._zeros = cast("list[PageList]", self.lists)

    def cached_pages(self) -> int:
        """Count the pages in the cache."""
        return sum(len(pages) for queue in self.lists for buckets in queue for pages in buckets)

    def _new_lists(self) -> Lists:
        return cpu_lists(
            self._nfreelists, self._colormask + 1, lambda queue: PageList(Place.CACHED, self.index, queue)
        )

    def _use(self, lists: Lists) -> None:
        self.lists = lists
        self._unknown_lists = lists[UNKNOWN]
        self._unknown = lists[UNKNOWN][0]
        self._zeros = lists[ZEROS][0]

    def _pagealloc_strat(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], color: int | None
    ) -> VmPage | None:
        """Allocate with a strategy or a colour: the long way."""
        self._acquire()
        try:
            pg, zero = self._search(zero, use_reserve, freelists, self._start_color(color))
        finally:
            self._release()
        if zero and pg is not None:
            self._pagezero(pg)
        return pg

    def _search(
        self, zero: bool, use_reserve: bool, freelists: tuple[int, ...], start: int
    ) -> tuple[VmPage | None, bool]:
        """Find a page, with the CPU's lock held, and count it; return it and whether it has yet to be zeroed."""
        queues = QUEUES[zero]
        for free_list in freelists:
            found = self._take_local(free_list, start, queues)
            local = found is not None
            if found is None:
                found = self._fetch(free_list, start, queues, use_reserve)
            if found is not None:
                pg, queue = found
                self._count(pg, queue, start, local=local, zero=zero)
                return pg, zero and queue != ZEROS
        return None, False

    def _take_local(self, free_list: int, start: int, queues: tuple[int, int]) -> tuple[VmPage, int] | None:
        """Take a page of one freelist from the cache, whole cache before any global list (Q9)."""
        first, second = queues
        try1, try2 = self.lists[first][free_list], self.lists[second][free_list]
        mask = self._colormask
        for step in range(mask + 1):
            color = (start + step) & mask
            for buckets, queue in ((try1, first), (try2, second)):
                if buckets[color]:
                    pg = buckets[color].pop()
                    pg.list = None
                    return pg, queue
        return None

    def _fetch(
        self, free_list: int, start: int, queues: tuple[int, int], use_reserve: bool
    ) -> tuple[VmPage, int] | None:
        """Take a page from the global list, and `refill` - 1 more into the cache.

        => The reserves are kept from the count under the lock, which is exact (R6). More than one page is taken
           only of what lies above the kernel reserve: a cache must not hoard what the reserve should keep.
        """
        spare: list[tuple[int, list[list[VmPage]]]] = []
        taken = [0] * NQUEUES
        self._fpageqlock.acquire()
        try:
            stock = self._global
            if not self._may_take(stock.free, use_reserve):
                return None
            found = stock.pop(free_list, start, queues)
            if found is None:
                return None
            taken[found[1]] = 1
            above = stock.free - self._state.marks.reserve_kernel
            wanted = min(self._refill - 1, above)
            for queue in queues:
                if wanted > 0:
                    had = stock.npages[queue]
                    spare.append((queue, stock.take(free_list, start + 1, wanted, queue)))
                    got = had - stock.npages[queue]
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
        publish(self._free, -sum(taken))
        publish(self._zeropages, -taken[ZEROS])
        return found


class Percpu:
    """The design of the proposal: a global list, and a cache for each CPU."""

    summary = "the proposal: a cache of free pages per CPU, handed back to the global list once a second"

    def __init__(self, state: UvmState) -> None:
        """Put every page on the global list; the caches start empty."""
        self._state = state
        self._global = GlobalFreelist(state.param.nfreelists, state.param.ncolors)
        for pg in state.physmem:
            self._global.push(pg, UNKNOWN)
        # For whoever redistributes: any thread, so the handles count under the locks like all others.
        self._cpu_handles = [mutex.handle("uvm_redistribute") for mutex in state.cpu_mutexes]
        self._fpageqlock = state.fpageqlock.handle("uvm_redistribute")
        self._audit_handles = [mutex.handle("uvm_audit") for mutex in (*state.cpu_mutexes, state.fpageqlock)]
        self._bind_handles = [mutex.handle("uvm_cpu_attach") for mutex in state.cpu_mutexes]
        # What to retire when another thread takes over; guarded by the CPU's lock.
        self._own_handles: list[tuple[LockHandle, LockHandle, LockHandle]] = []
        self._redistributed_ns = [0] * state.param.ncpus  # when last; guarded by the CPU's lock
        for index in range(state.param.ncpus):
            handles = self._new_handles(index)
            self._own_handles.append(handles)
            state.cpus.append(PercpuCpu(state, index, *handles, self._global, None))
        state.counters.adder("free").add(self._global.free)

    def bind(self, index: int) -> Cpu:
        """Make a new Cpu for CPU `index`, built by the calling thread; the old one is left to its `stop`."""
        handles = self._new_handles(index)
        with self._bind_handles[index]:
            before = self._state.cpus[index]
            assert isinstance(before, PercpuCpu)
            cpu = PercpuCpu(self._state, index, *handles, self._global, before)
            self._state.cpus[index] = cpu
            before.stop(left_behind(index))
            retired = self._own_handles[index]
            self._own_handles[index] = handles
        alloc, free, fpageqlock = retired
        self._state.cpu_mutexes[index].retire(alloc)
        self._state.cpu_mutexes[index].retire(free)
        self._state.fpageqlock.retire(fpageqlock)
        return cpu

    def redistribute(self, index: int) -> int:
        """Chop off the cache of one CPU and splice it onto the global list (P8); O(buckets)."""
        with self._cpu_handles[index]:
            cpu = self._state.cpus[index]
            assert isinstance(cpu, PercpuCpu)
            self._redistributed_ns[index] = self._state.machine.clock_ns()
            chopped = cpu.chop()
            if not chopped:
                return 0
            pages = sum(map(len, chopped))
            zeropages = sum(len(part) for part in chopped if part.queue == ZEROS)
            with self._fpageqlock:
                for part in chopped:
                    self._global.splice(part, part[0].free_list, part[0].color)
            cpu.put_back(pages, zeropages)
        return pages

    def on_timer(self, index: int) -> None:
        """Hand a CPU's pages back unless that was done recently (P9)."""
        if not self._state.cpus[index].cached_pages():
            return  # a cache that was empty a moment ago is worth no lock
        with self._cpu_handles[index]:
            idle_ns = self._state.machine.clock_ns() - self._redistributed_ns[index]
        if idle_ns >= self._state.param.redistribute_interval_s * 1e9:
            self.redistribute(index)

    def global_free(self) -> int:
        """Pages on the global list."""
        return self._global.free

    def audit_locks(self) -> list[LockHandle]:
        """All CPU locks in ascending order, then uvm_fpageqlock."""
        return self._audit_handles

    def walk(self) -> Iterator[Walked]:
        """Walk the chunks of the global list, and every cache."""
        for queue, free_list, color, bucket in each(self._global.buckets):
            for chunk in bucket.chunks:
                real = real_entries(chunk)
                yield Walked("the global list", chunk, real, queue, free_list, color, Place.GLOBAL, None)
        for cpu in self._state.cpus:
            assert isinstance(cpu, PercpuCpu)
            where = f"the cache of CPU {cpu.index}"
            for queue, free_list, color, pages in each(cpu.lists):
                real = real_entries(pages)
                yield Walked(where, pages, real, queue, free_list, color, Place.CACHED, cpu.index)

    def findings(self) -> Iterator[str]:
        """Check the counts of the global list against what stands there (R3)."""
        stock, counters = self._global, self._state.counters
        standing = [0] * NQUEUES
        for walked in self.walk():
            if walked.place is Place.GLOBAL:
                standing[walked.queue] += len(walked.real)
        for queue, (counted, walked_npages) in enumerate(zip(stock.npages, standing, strict=True)):
            if counted != walked_npages:
                yield f"the global list counts {counted} pages on queue {queue}, {walked_npages} stand there"
        for name, truth in (("free", stock.free), ("zeropages", stock.npages[ZEROS])):
            if counters.load(name) != truth:
                yield f"uvmexp.{name} is {counters.load(name)}, {truth} such pages are on the global list"

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every CPU refuse, and let go of all pages."""
        for index, handle in enumerate(self._cpu_handles):
            with handle:
                cpu = self._state.cpus[index]
                assert isinstance(cpu, PercpuCpu)
                for pages in cpu.chop():
                    pages.clear()
                cpu.stop(refuse)
        with self._fpageqlock:
            self._global.clear()

    def _new_handles(self, index: int) -> tuple[LockHandle, LockHandle, LockHandle]:
        """Make what a Cpu needs: its own lock for allocating and for freeing, and the global lock."""
        own = self._state.cpu_mutexes[index]
        return (
            own.handle("uvm_pagealloc"),
            own.handle("uvm_pagefree"),
            self._state.fpageqlock.handle("uvm_pagealloc"),
        )
