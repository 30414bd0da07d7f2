"""The proposal: per-CPU free lists split off from the global one.

Each CPU has a local cache of free pages under a lock of its own, which only that CPU takes in the normal course
of things. The global list stays, under uvm_fpageqlock. A free page stands on exactly one of them (P3).

    allocate   the local lists first, then the global list (P4); a miss fetches `refill` pages
    free       always to the local list (P5); with a bound half of the cache spills when it is full (Q2)
    hand back  chop each local list off and splice it onto the head of the global one (P8): by the xc thread
               once an interval, or at once if the system is struggling (P9), by the pagedaemon (P10)

=> A local hit takes the CPU's own lock and touches nothing that another CPU touches: no shared lock, no atomic
   operation, no shared counter. That is the whole point; bench/local_hit.py counts it.
=> uvmexp.free counts the pages on the global list, and not what is cached.
=> The shared counters are updated once for each batch, between the releases of uvm_fpageqlock and the CPU's lock.
   To whoever holds all locks they are exact; others may miss what CPUs have in hand just then (docs/locking.md).
=> Freelist order comes first (R9): the global list is asked for a better freelist before the cache for a worse one.

Source: the proposal, P3 to P9; compare sys/uvm/uvm_pgflcache.c of NetBSD 10 and mm/page_alloc.c of Linux.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from uvmfree.errors import ParamError
from uvmfree.param import PAGES_MAX, Param, tunable, whole
from uvmfree.uvm.cpu import Cpu, Found, Strat, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.freelist import Grid, each, grid
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.traits import Traits

NEVER: Final = (1 << 30) - 1
"""A count of frees that is not reached before somebody looks again: one digit of CPython, which compares fastest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PercpuTunables:
    """The tunables of the proposal."""

    refill: int = tunable(1, "pages", "fetched by a miss; 1 is the proposal's letter, more is question Q15")
    hoard_max: int | None = tunable(None, "pages", "in a cache, before half of them spill; None is as proposed (Q2)")
    search: str = tunable("local", "order", "local: cache, then global list, as proposed; colour: by colour (Q9)")

    def __post_init__(self) -> None:
        whole("refill", self.refill, 1, 4096)
        if self.hoard_max is not None:
            # A refill that is larger than the cache would spill what it has just fetched.
            whole("hoard_max", self.hoard_max, self.refill, PAGES_MAX, " of pages, or None")
        if self.search not in ("local", "colour"):
            raise ParamError(f"search={self.search!r}: must be 'local' or 'colour'")


class PercpuCpu(Cpu):
    """A CPU with a cache of free pages; guarded by the CPU's own lock.

    => `grid[queue][free_list][color]`: the cache. `_into` is its part for the UNKNOWN queue, where pages are freed;
       `_unknown` that of freelist 0, where the short way through pagealloc() looks.
    => `_spill_at`: the count of frees above which the cache may be beyond `_bound`: a hit pays nothing for the bound.
       It is 0, which asks at the next free, after all but a free that can have made the cache fuller.
    """

    __slots__ = ("_bound", "_by_color", "_fpageqlock", "_into", "_refill", "_spill_at", "_store", "_unknown", "grid")

    _design: Percpu

    def setup(self) -> None:
        """Take a handle of the global list's lock."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._store = self._design.store
        tunables: PercpuTunables = self._design.tunables
        self._refill, self._by_color = tunables.refill, tunables.search == "colour"
        self._bound = tunables.hoard_max or NEVER

    def empty(self) -> None:
        """Have an empty cache."""
        self._use(grid(self._nfreelists, self._colormask + 1, Place.CACHED, self.index))

    def _use(self, lists: Grid) -> None:
        self.grid, self._into, self._unknown, self._spill_at = lists, lists[UNKNOWN], lists[UNKNOWN][0], 0

    def lists(self) -> Iterable[PageList]:
        """Return the lists of the cache."""
        return each(self.grid)

    def inherit(self, before: PercpuCpu) -> None:
        """Take the cache over; empty lists are made anew, to belong to the thread that is going to use them."""
        self.empty()
        if before.cached():
            self._use(before.grid)

    def leave(self, heir: PercpuCpu) -> None:
        """Leave all pages to the global list; one that is being zeroed comes to the heir."""
        super().leave(heir)
        heir._spill_at = 0

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
            return super().pagealloc(zero, use_reserve, strat, free_list, color)
        self._acquire()
        try:
            start = self.nextcolor
            unknown = self._unknown[start]
            if unknown and not (zero and self.grid[ZEROS][0][start]):
                # The short way, taken by nearly every local hit: a page of the start colour from the first queue
                # to try, or from the second if the first is empty there. _search() would come to the same.
                pg = unknown.pop()
                pg.on = self._system
                self.nextcolor = (start + 1) & self._colormask
                self.cpuhit += 1
                if not zero:
                    pg.flags = FRESH
                    return pg
                self.zeromiss += 1
                pg.flags = FRESH_ZERO
                want = None
            else:
                want = self._usual[2 * zero + use_reserve]
                found, asked = self._search(want, start)
        finally:
            self._release()
        if want is not None:
            return self._finish(want, found, asked, None)
        self._pagezero(pg)
        return pg

    def pagefree(self, pg: VmPage) -> None:
        """Free one page to this CPU's cache (P5)."""
        gave = 0
        self._acquire_free()
        try:
            if pg.on is not self._system:
                raise self._refuse_free(pg)
            unknown = self._into[pg.free_list][pg.color]
            pg.on = unknown
            unknown.append(pg)
            self.frees = frees = self.frees + 1
            if frees > self._spill_at and self._room() < 0:
                gave = self._overflow()
        except AttributeError:
            self.check_page(pg)
            raise
        finally:
            self._release_free()
        if gave:
            self._state.pageout.wake_waiters()

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page back after zeroing."""
        self.grid[queue][pg.free_list][pg.color].put(pg)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: all of the cache before the global list, or with `search="colour"` its part of the colour."""
        mask = self._colormask
        turns = [((start + step) & mask, 1) for step in range(mask + 1)] if self._by_color else []
        turns.append((start, mask + 1))  # by colour too: a page that moved between two looks is found in one hold
        first_queue, second_queue = want.queues
        for free_list in want.freelists:
            for first, span in turns:
                try1, try2 = self.grid[first_queue][free_list], self.grid[second_queue][free_list]
                for step in range(first, first + span):
                    pages = try1[step & mask] or try2[step & mask]
                    if pages:
                        pg = pages.pop()
                        pg.on = self._system
                        return pg, pages.queue, True
                found = self._fetch(want, free_list, first, span)
                if found is not None:
                    return found
        return None

    def _fetch(self, want: Want, free_list: int, start: int, span: int) -> Found | None:
        """Take a page of `span` colours from the global list, and `refill` - 1 more into the cache.

        => The count under the lock is exact (R6). No cache must hoard what the reserve should keep: they are taken
           of what lies above, and with a bound only if there is room: the cache may be full of other colours.
        """
        refill, bounded = self._refill, self._bound != NEVER
        if bounded and refill > 1:
            refill = min(refill, 1 + max(0, self._room()))
        spare: list[tuple[int, list[VmPage]]] = []
        self._fpageqlock.acquire()  # `with` would cost a miss two calls
        try:
            store = self._store
            free = store.free
            if not self.may_take(free, want) or (found := store.pop(free_list, start, want.queues, span)) is None:
                return None
            wanted = min(refill, free - self._state.uvmexp.reserve_kernel) - 1
            for other in want.queues:
                if wanted > 0:
                    for batch in store.take(free_list, start + 1, wanted, other):
                        spare.append((other, batch))
                        wanted -= len(batch)
        finally:
            self._fpageqlock.release()
        pg, queue = found
        npages, nzeros = 1, int(queue == ZEROS)
        for other, batch in spare:
            self.grid[other][free_list][batch[0].color].adopt(batch)
            npages += len(batch)
            nzeros += len(batch) if other == ZEROS else 0
        self.took(npages, nzeros)
        if bounded:
            self._spill_at = 0
        return pg, queue, False

    def _room(self) -> int:
        """Return how many pages more the cache may hold, and note when to ask again; with the guard held."""
        room = self._bound - (self.frees + self.filled - self.cpuhit - self.cpumiss - self.drained)
        at = self.frees + room
        self._spill_at = NEVER if at > NEVER > self.frees else at
        return room

    def _overflow(self) -> int:
        """Move the coldest half of each list to the global one, with the guard held: the warm pages stay (R2)."""
        return self.hand_back([_cut(pages) for pages in each(self.grid) if pages], [self._fpageqlock])


def _cut(pages: PageList) -> PageList:
    """Cut the coldest half off a list of a cache."""
    cold = PageList(Place.CACHED, pages.owner, pages.queue, pages.free_list, pages.color)
    cold.adopt(pages[: (len(pages) + 1) // 2])
    del pages[: len(cold)]
    return cold


class Percpu(Design[PercpuCpu]):
    """The design of the proposal: a global list, and a cache for each CPU."""

    name = "percpu"
    summary = "the proposal: a cache of free pages per CPU, handed back to the global list once a second"
    cpu_class = PercpuCpu
    Tunables = PercpuTunables
    CAUSES = ("timer", "pressure", "explicit", "retry")

    @classmethod
    def traits(cls, param: Param, tunables: PercpuTunables) -> Traits:
        """The proposal's letter, and what the options make of it."""
        letter = replace(super().traits(param, tunables), bound=tunables.hoard_max, refill=tunables.refill)
        return replace(letter, colors="system") if tunables.search == "colour" else letter
