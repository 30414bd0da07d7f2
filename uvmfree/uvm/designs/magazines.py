"""Bonwick's magazines: two stacks of M pages a CPU, over a depot of full ones that are exchanged by pointer.

    allocate   from the loaded magazine; it is empty: swap it with the previous one; that is empty, too: a full one
               from the depot takes its place
    free       onto the loaded magazine; it is full: swap; the other is full, too: that one goes to the depot

Between two exchanges of one CPU lie at least M operations: the shared lock is taken at most once in M, whatever the
load, as long as the depot has full magazines. A hold moves one pointer. No other design in this folder takes it more
seldom for so little; so this is the baseline that anything new has to beat.

=> Locks: the CPU's own for its two magazines, uvm_fpageqlock for the depot.
=> Bounds: a CPU has at most 2 M pages of each freelist. Nothing takes them back but a shortage: what an exited
   process leaves on an idle CPU stays there.
=> Counts as free: what is in the depot. The gate is at the depot (R5, R6): a CPU's own pages are its own.
=> Not in it: colours (R7; a magazine is one stack) and pages known to be zero (R8).

Source: Bonwick and Adams, "Magazines and Vmem", USENIX 2001, sections 3.1 and 3.2; their magazines grow when the
depot is contended, these have one size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from uvmfree.param import Param, tunable, whole
from uvmfree.uvm.cpu import Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.stackcpu import StackCpu
from uvmfree.uvm.traits import Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class MagazinesTunables:
    """The tunable of the magazines."""

    M: int = tunable(256, "pages", "in a magazine: at most 0.004 shared locks an operation, at most 512 pages a CPU")

    def __post_init__(self) -> None:
        whole("M", self.M, 1, 4096)


class Depot:
    """Magazines that are nobody's; guarded by uvm_fpageqlock.

    => `rows[free_list]`: full ones, by pointer in and out, the newest last. The first may have room: pages that come
       singly go there. One from which pages were unlinked has ghosts.
    => `npages`: on all of them. `pages_touched`, `items_touched`, `taken`: as in GlobalFreelist.
    """

    def __init__(self, system: str, nfreelists: int, size: int) -> None:
        self._system, self._size = system, size
        self.rows: list[deque[PageList]] = [deque() for _ in range(nfreelists)]
        self.pages_touched = self.items_touched = self.npages = 0
        self.taken: Sequence[Sequence[VmPage]] = ()

    def push(self, pg: VmPage, queue: int = UNKNOWN) -> None:
        """Put one page there."""
        row = self.rows[pg.free_list]
        if not row or len(row[0]) >= self._size:
            row.appendleft(PageList(Place.GLOBAL, None, UNKNOWN, pg.free_list))
        pg.on = row[0]
        row[0].append(pg)
        self.npages += 1
        self.pages_touched += 1

    def splice(self, magazine: PageList) -> None:
        """Put a magazine there: by pointer if it is full, else page by page."""
        if len(magazine) < self._size:
            for pg in magazine:
                self.push(pg)
            return
        magazine.place, magazine.owner = Place.GLOBAL, None
        self.rows[magazine[0].free_list].append(magazine)
        self.npages += len(magazine)
        self.items_touched += 1

    def take(self, free_list: int, index: int, most: int) -> PageList | None:
        """Take the newest magazine for a CPU, by pointer; None if there is none.

        => With at most `most` pages: what the reserves keep of it stays, page by page.
        """
        row = self.rows[free_list]
        while row:
            found = row.pop()
            if found.ghosts:
                found.sweep()
            self.npages -= len(found)
            if found:
                for pg in found[:-most]:
                    self.push(pg)
                del found[:-most]
                found.place, found.owner = Place.CACHED, index
                self.items_touched += 1
                return found
        return None

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle; O(1) on average."""
        on = pg.on
        assert isinstance(on, PageList)
        pg.on = self._system
        on.unlink(pg)
        self.npages -= 1
        self.pages_touched += 1

    def lists(self) -> Iterator[PageList]:
        """Walk all magazines."""
        return chain.from_iterable(self.rows)

    @property
    def stock(self) -> tuple[int, int]:
        """Pages there; none is known to be zero."""
        return self.npages, 0

    def check(self, where: str) -> Iterator[str]:
        """Check the count."""
        standing = sum(len(magazine.pages()) for magazine in self.lists())
        if standing != self.npages:
            yield f"{where} counts {self.npages} pages, {standing} stand there"

    def recolor(self, ncolors: int) -> None:
        """Change nothing: a magazine is of all colours."""

    def clear(self) -> None:
        """Let go of all pages."""
        for row in self.rows:
            row.clear()
        self.npages = 0


class MagazinesCpu(StackCpu):
    """A CPU with two magazines for each freelist; guarded by the CPU's own lock.

    => `loaded[free_list]`, `previous[free_list]`: frees and allocations go to the first. Between two calls the
       previous one is full or empty, but for one that the depot could not fill.
    """

    __slots__ = ("_depot", "_fpageqlock", "previous")

    _design: Magazines
    previous: list[PageList]

    def setup(self) -> None:
        """Take a handle of the depot's lock."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._depot = self._design.store
        self._size = self._design.tunables.M

    def empty(self) -> None:
        """Have empty magazines."""
        self.loaded, self.previous = ([self._own_list(row) for row in range(self._nfreelists)] for _ in range(2))

    def lists(self) -> Iterable[PageList]:
        """Return the magazines; the previous ones first: they are colder."""
        return (*self.previous, *self.loaded)

    def inherit(self, before: MagazinesCpu) -> None:
        """Take the magazines over; empty ones are made anew, to belong to the thread that is going to use them."""
        if before.cached():
            self.loaded, self.previous = before.loaded, before.previous
        else:
            self.empty()

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page onto the loaded magazine; before that swap the two if it is full, or give the other away."""
        row = pg.free_list
        loaded, previous = self.loaded[row], self.previous[row]
        if len(loaded) >= self._size:
            if previous:
                self.hand_back([previous], [self._fpageqlock])
                previous = self._own_list(row)
            self.previous[row], self.loaded[row] = loaded, previous
            loaded = previous
        pg.on = loaded
        loaded.append(pg)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page of one freelist after the other: loaded, previous, depot."""
        for row in want.freelists:
            local = True
            if not self.loaded[row]:
                local = bool(self.previous[row])
                if local:
                    self.loaded[row], self.previous[row] = self.previous[row], self.loaded[row]
                elif not self._exchange(want, row):
                    continue
            pg = self.loaded[row].pop()
            pg.on = self._system
            return pg, UNKNOWN, local
        return None

    def _exchange(self, want: Want, row: int) -> bool:
        """Have a full magazine from the depot in the place of the loaded one, which is empty."""
        self._fpageqlock.acquire()
        try:
            free = self._depot.npages
            if not self.may_take(free, want):
                return False
            found = self._depot.take(row, self.index, max(1, free - self._state.uvmexp.reserve_kernel))
        finally:
            self._fpageqlock.release()
        if found is not None:
            self.loaded[row] = found
            self.took(len(found))
        return found is not None


class Magazines(Design[MagazinesCpu]):
    """The depot, and two magazines for each CPU."""

    name = "magazines"
    summary = "Bonwick's: two magazines of M pages a CPU over a depot of full ones, exchanged by pointer"
    cpu_class = MagazinesCpu
    Tunables = MagazinesTunables
    CAUSES = ("pressure", "explicit", "retry")

    def make_store(self) -> Depot:
        """Make the depot."""
        return Depot(self.state.physmem.system, self.state.param.nfreelists, self.tunables.M)

    @classmethod
    def traits(cls, param: Param, tunables: MagazinesTunables) -> Traits:
        """No colours, no zeros; a bound, and nothing that flushes a CPU in peace."""
        others = super().traits(param, tunables)
        return replace(
            others, colors=None, zeros=False, bound=2 * tunables.M * param.nfreelists, refill=tunables.M, idle=None
        )
