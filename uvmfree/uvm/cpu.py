"""A CPU's part of the allocator: what pagealloc() and pagefree() are, whatever the design.

A design writes a Cpu of five members, and the base does the rest:

    setup   what never changes: handles of shared locks, tunables            (uvm/binding.py)
    empty   its lists, anew and empty                                         (uvm/binding.py)
    lists   all stands that only this CPU has                                 (uvm/binding.py)
    _put    a page that was freed, or zeroed ahead of time, to where it goes  (uvm/binding.py)
    _get    a page for a request, from the lists or by way of shared locks

A design whose hit has to be fast also writes a short way of pagealloc() and of pagefree(), which ends in _search()
and _finish() for all that is not a plain hit: with a call for each step a hit takes three times as long.

=> A local hit must load nothing that another CPU's thread counts references to: hence `__slots__`, and references of
   the Cpu's own.
=> Every call takes the guard by `_acquire` or `_acquire_free`, and *loads what is its own before it changes a page*:
   that is what refuses a call of a Cpu that was stopped (uvm/binding.py).

Source: uvm_pagealloc_strat, uvm_pagefree in sys/uvm/uvm_page.c of NetBSD 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from uvmfree.errors import ArgumentError, DoubleFree, ForeignPage
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.freelist import GlobalFreelist
from uvmfree.uvm.idlezero import IdleZero
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.state import Lwp as Lwp
from uvmfree.uvm.state import Strat as Strat

QUEUES: Final = ((UNKNOWN, ZEROS), (ZEROS, UNKNOWN))
"""Order of the queues, indexed by whether zeroed memory is wanted (R8): try1, try2."""

Found = tuple[VmPage, int, bool]
"""What a search finds: a page that names no stand any more, its queue, and whether the CPU itself had it (R11)."""


@dataclass(frozen=True, slots=True)
class Want:
    """What a caller asks for.

    => `zero`: filled with zeros. `use_reserve`: may use the kernel reserve. `freelists`: to be tried, in order (R10).
       `queues`: to be tried in each colour, in order (R8). The start colour is told beside it.
    """

    zero: bool
    use_reserve: bool
    freelists: tuple[int, ...]
    queues: tuple[int, int]


class Cpu(IdleZero, base=True):
    """One CPU's part of the allocator; subclassed by each design. `uvm.run_on(index)` yields it.

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm, uvm.run_on(0) as cpu:
    ...     pg = cpu.pagealloc(zero=True)
    ...     cpu.pagefree(pg)
    ...     stats = cpu.stats()
    ...     print(cpu.index, stats.cpumiss, stats.frees, cpu.cached())
    0 1 1 1

    => `_usual`: what callers want who name no strategy, by `2 * zero + use_reserve`: a miss makes none anew.   [i]
    => `_asked`: pages in the store when may_take() was asked last in this search; None while it was not.
    => `_retries`: whether a search that failed is tried again after the caches were handed back (Q5).          [i]
    """

    __slots__ = ("_asked", "_retries", "_usual")

    def __init__(self, design: Any, index: int, guard: Mutex) -> None:
        normal = tuple(range(design.state.param.nfreelists))
        self._usual = tuple(
            Want(zero, use_reserve, normal, QUEUES[zero]) for zero in (False, True) for use_reserve in (False, True)
        )
        self._asked: int | None = None
        self._retries: bool = design.state.param.drain_retry and "retry" in design.CAUSES
        super().__init__(design, index, guard)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page, from colour `start` on, and take it; with the guard held. To be written by a design.

        => Shared locks are taken here. may_take() is asked before a page leaves the store, or where the design has
           its gate. None: nothing has changed.
        """
        raise AssertionError("a design gives its Cpu a _get()")

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page, or return None; never sleeps (uvm_pagealloc_strat).

        => `zero`: fill it with zeros (R8, R12). `use_reserve`: may take from the kernel reserve (R5, R6).
        => `strat`, `free_list`: which freelists to try (R10). `color`: start there, modulo ncolors (R7).
        => Takes the locks of its design; none may be held. ArgumentError for an unknown strat or freelist.
        => O(1) where the CPU's list has a page; else what the design's refill costs. Zeroing is outside of all locks.
        """
        want = self._want(zero, use_reserve, strat, free_list)
        self._acquire()
        try:
            found, asked = self._search(want, self._start_color(color))
        finally:
            self._release()
        return self._finish(want, found, asked, color)

    def pagefree(self, pg: VmPage) -> None:
        """Free one page (uvm_pagefree, R13); wakes who waits for pages if some went to the store.

        => DoubleFree, ForeignPage: nothing has changed. A page belongs to its holder alone: two CPUs that free one
           page at the very same moment are a bug of the caller that only audit() is sure to find.
        """
        self._acquire_free()
        try:
            if pg.on is not self._system:
                raise self._refuse_free(pg)
            drained = self.drained
            self._put(pg, UNKNOWN)
            self.frees += 1
            gave = self.drained != drained
        except AttributeError:
            self.check_page(pg)
            raise
        finally:
            self._release_free()
        if gave:
            self._state.pageout.wake_waiters()

    # For a design to call.

    def may_take(self, free: int, want: Want) -> bool:
        """Return whether the reserves let the caller have one of `free` pages (R5, R6); the kick goes by it (R4).

        => With the guard held, and the lock that makes `free` exact.
        """
        self._asked = free
        return self.allows(free, want)

    def allows(self, free: int, want: Want) -> bool:
        """Return the same, and note nothing: for who does not hold the guard."""
        marks = self._state.uvmexp.marks
        if free > marks.reserve_kernel:
            return True
        lwp = self._state.lwp_of()
        if not want.use_reserve and lwp == "user":
            return False
        return free > marks.reserve_pagedaemon or lwp == "pagedaemon"

    def _own_list(self, free_list: int) -> PageList:
        """Make an empty list of this CPU's, for pages of a freelist of which nothing is known."""
        return PageList(Place.CACHED, self.index, UNKNOWN, free_list)

    def put_back(self, pages: Sequence[VmPage], lock: LockHandle, store: Any) -> None:
        """Put pages that are on no list any more into the store, one by one in one hold of its lock."""
        push = store.push
        lock.acquire()
        try:
            for pg in pages:
                push(pg, UNKNOWN)
        finally:
            lock.release()
        self.gave(len(pages))

    def take_one(
        self, want: Want, freelists: Sequence[int], start: int, lock: LockHandle, store: GlobalFreelist
    ) -> Found | None:
        """Take one page past the cache, from colour `start` on, if the reserves allow; in one hold of the lock."""
        found = None
        with lock:
            if self.may_take(store.free, want):
                for free_list in freelists:
                    if found := store.pop(free_list, start, QUEUES[False], self._colormask + 1):
                        break
        if found is None:
            return None
        self.took(1)
        return *found, False

    def _search(self, want: Want, start: int) -> tuple[Found | None, int | None]:
        """Find a page and count it (R11, R7, R12); with the guard held.

        => Returns also how many pages were in the store, if may_take() was asked: it decides about the kick.
        """
        self._asked = None
        found = self._get(want, start)
        if found is not None:
            pg, queue, local = found
            if local:
                self.cpuhit += 1
            else:
                self.cpumiss += 1
            if pg.color != start:
                self.colormiss += 1
            self.nextcolor = (pg.color + 1) & self._colormask
            if not want.zero:
                pg.flags = FRESH
            else:
                pg.flags = FRESH_ZERO
                if queue == ZEROS:
                    self.zerohit += 1
                else:
                    self.zeromiss += 1
        return found, self._asked

    def _finish(self, want: Want, found: Found | None, asked: int | None, color: int | None) -> VmPage | None:
        """Do what an allocation owes after its search: zeros (R12), the kick (R4), another try (Q5). No lock is held.

        => The kick goes by the count before the allocation.
        """
        pg = None
        if found is not None:
            pg = found[0]
            if want.zero and found[1] != ZEROS:
                self._pagezero(pg)
        if asked is not None:
            self._kick_if_short(asked)
            if pg is None and self._retries and self._state.relieve():
                return self._finish(want, self._search_again(want, color), None, color)
        return pg

    def _search_again(self, want: Want, color: int | None) -> Found | None:
        """Find a page after all, with what others have freed meanwhile; no lock is held."""
        self._acquire()
        try:
            return self._search(want, self._start_color(color))[0]
        finally:
            self._release()

    def _want(self, zero: bool, use_reserve: bool, strat: str, free_list: int) -> Want:
        """Return what a caller wants; ArgumentError names what cannot be."""
        if strat == "normal":
            return self._usual[2 * bool(zero) + bool(use_reserve)]
        return Want(bool(zero), bool(use_reserve), self._freelists(strat, free_list), QUEUES[bool(zero)])

    def _freelists(self, strat: str, free_list: int) -> tuple[int, ...]:
        """Return the freelists to try, in order (R10)."""
        if strat not in ("only", "fallback"):
            raise ArgumentError(f"strat={strat!r}: must be 'normal', 'only' or 'fallback'")
        if type(free_list) is not int or not 0 <= free_list < self._nfreelists:
            raise ArgumentError(f"free_list={free_list!r}: must be from 0 to {self._nfreelists - 1}")
        return (free_list,) if strat == "only" else (free_list, *range(self._nfreelists))

    def _start_color(self, color: int | None) -> int:
        """Return the colour at which the search starts (R7); with the guard held."""
        if color is None:
            return self.nextcolor
        if type(color) is not int:
            raise ArgumentError(f"color={color!r}: must be a whole number, taken modulo ncolors, or None")
        return color & self._colormask

    def _kick_if_short(self, asked: int) -> None:
        """Wake the pagedaemon if memory was short, with so many pages on the global list (R4); no lock is held."""
        if asked < self._state.uvmexp.marks.freetarg:
            self._state.pageout.kick_if_short(self._state.countable(asked))

    def _pagezero(self, pg: VmPage) -> None:
        """Fill a page with zeros; the caller holds the page and no lock (uvm_pagezero)."""
        start = pg.pfn * self._pagesize
        try:
            self._ram[start : start + self._pagesize] = self._zero_page
        except ValueError:
            self.check_running()  # the system was closed, and its RAM given back, between the lock and here
            raise

    def check_page(self, pg: object) -> None:
        """Refuse what is no page; for who found that it lacks what a page has. Nothing has changed."""
        if not isinstance(pg, VmPage):
            raise self._refuse_free(pg) from None

    def _refuse_free(self, pg: object) -> ForeignPage | DoubleFree:
        """Say why a page cannot be freed; nothing has changed."""
        if not isinstance(pg, VmPage):
            return ForeignPage(f"{pg!r:.60} is not a page; pagefree() takes what pagealloc() returned")
        if not self._state.physmem.has(pg):
            return ForeignPage(f"{pg!r} belongs to another system; free it where it was allocated")
        return DoubleFree(f"{pg!r} is free already; a page can be freed once after each pagealloc()")
