"""NetBSD 10: seven pages of each colour a CPU, a lock for each bucket of the global lists.

    allocate   from the array of the wanted colour, of that one only; it is empty: one page from the CPU's own bucket,
               the next colour that has one, and the array of its colour is filled up to 6 under the same lock; or one
               page from another bucket
    free       into the array of the page's colour; it is full: all 7 go to the head of the bucket's list. A page of
               another bucket goes there at once
    hand back  nothing does, but for what stops everything (uvm_pgflcache_pause)

What the proposal became in the tree that it was made for. A machine has a bucket for each CPU package or NUMA node,
so most have one, and one lock.

=> Locks: none for the arrays, interrupts are off (splvm); one lock for each bucket, whatever the freelist.
=> Bounds: 7 pages of each colour and freelist a CPU; they stay until the CPU wants them.
=> Counts as free: all pages, cached ones too, summed up by who asks. A hit asks no reserve, a miss compares the
   reserves with what its bucket and freelist have (R5, R6). The pagedaemon is woken only when all buckets have
   refused (R4).
=> Off where there is one CPU, or a bucket for each: then every page goes by the bucket's lock.
=> Not in it: pages known to be zero (R8): idle zeroing was dropped.

Source: sys/uvm/uvm_pgflcache.c, uvm_pglist.h; uvm_pagealloc_pgb, uvm_pagefree, uvm_page_rebucket in uvm_page.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from uvmfree.errors import ParamError
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import CPU_OFF, LockRank, shared_lock
from uvmfree.kern.mutex import Mutex
from uvmfree.param import Param, tunable, whole
from uvmfree.uvm.cpu import Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import UNKNOWN, PageList, Place, VmPage
from uvmfree.uvm.pgflbuckets import Buckets, PgflBucket
from uvmfree.uvm.traits import Traits

MAXPGS: Final = 7
"""Pages in an array: what fits a cache line beside a count (PGFLCACHE, MAXPGS)."""

FILLPGS: Final = 6
"""Pages up to which a miss fills an array (FILLPGS)."""

MAX_BUCKETS: Final = 8
"""PGFL_MAX_BUCKETS."""

UVM_FREELIST_LOCK: Final = shared_lock(
    "uvm_freelist_lock", "the free lists of one bucket", "two only in ascending number of the bucket"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Netbsd10Tunables:
    """The tunable of the buckets."""

    nbuckets: int = tunable(1, "buckets", "one for each CPU package or NUMA node")

    def __post_init__(self) -> None:
        whole("nbuckets", self.nbuckets, 1, MAX_BUCKETS)


class Netbsd10Cpu(Cpu):
    """A CPU with an array for each freelist and colour; guarded by "interrupts off"."""

    __slots__ = ("_bucket", "_buckets", "_locks", "_number", "_off", "arrays")

    _design: Netbsd10
    _buckets: Buckets
    arrays: list[list[PageList]]
    idle_zeroing = False

    def setup(self) -> None:
        """Take handles of the buckets' locks, the own one first."""
        ncpus, self._buckets = self._state.param.ncpus, self._design.store
        nbuckets = len(self._buckets.buckets)
        self._number = self.index * nbuckets // ncpus
        self._off = nbuckets == ncpus
        numbers = [(self._number + step) % nbuckets for step in range(nbuckets)]
        self._locks = [(each, self.handle(self._design.shared_locks[each], "uvm_pagealloc")) for each in numbers]

    def empty(self) -> None:
        """Have empty arrays."""
        self.arrays = [
            [PageList(Place.CACHED, self.index, UNKNOWN, row, color) for color in range(self._colormask + 1)]
            for row in range(self._nfreelists)
        ]

    def lists(self) -> Iterable[PageList]:
        """Return the arrays."""
        return [array for row in self.arrays for array in row]

    def inherit(self, before: Netbsd10Cpu) -> None:
        """Take the arrays over."""
        self.arrays = before.arrays

    def publish(self, pages: int, zeropages: int) -> None:
        """Count nothing: whoever asks sums up."""

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: of each freelist the array of the very colour, then one bucket after the other."""
        arrays = self.arrays
        for free_list in want.freelists:
            if array := arrays[free_list][start]:
                pg = array.pop()
                pg.on = self._system
                self._asked = None  # a better freelist may have refused
                return pg, UNKNOWN, True
            for number, lock in self._locks:
                found = self._take(want, free_list, start, number, lock)
                if found is not None:
                    self._asked = None  # nobody is woken
                    return found, UNKNOWN, False
        self._asked = self._design.free()
        return None

    def _take(self, want: Want, free_list: int, start: int, number: int, lock: LockHandle) -> VmPage | None:
        """Take a page from a bucket; from the own one, if that was above the reserve, also fill its colour's array.

        => For any caller. What is compared is the count before the page leaves; so a fill may take of the reserve.
        """
        bucket: PgflBucket = self._buckets.buckets[number]
        if not bucket.nfree[free_list]:
            return None
        part: list[VmPage] = []
        lock.acquire()
        try:
            nfree = bucket.nfree[free_list]
            if not self.may_take(nfree, want):
                return None
            pg = bucket.pop(free_list, start)
            if pg is None:
                return None
            array = self.arrays[free_list][pg.color]
            if number == self._number and nfree > self._state.uvmexp.reserve_kernel and not self._off:
                part = bucket.take(free_list, pg.color, FILLPGS - len(array))
        finally:
            lock.release()
        array.adopt(part[::-1])
        self.took(1 + len(part))
        return pg

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page into the array of its colour, or into its bucket if that is another CPU's.

        => The seven pages of a full array go to the bucket first, the last one first.
        """
        array, number = self.arrays[pg.free_list][pg.color], self._buckets.number_of(pg)
        cached = number == self._number and not self._off
        if not cached:
            self._spill([pg], number)
            return
        if len(array) == MAXPGS:
            spilled = array[::-1]
            array.clear()
            self._spill(spilled, number)
        pg.on = array
        array.append(pg)

    def _spill(self, pages: list[VmPage], number: int) -> None:
        """Put pages into a bucket, in one hold."""
        lock = self._locks[(number - self._number) % len(self._locks)][1]
        self.put_back(pages, lock, self._buckets.buckets[number])


class Netbsd10(Design[Netbsd10Cpu]):
    """Buckets, and arrays for each CPU."""

    name = "netbsd10"
    summary = "NetBSD 10: seven pages of each colour a CPU, a lock for each bucket of the global lists"
    cpu_class = Netbsd10Cpu
    LOCKS = (CPU_OFF, UVM_FREELIST_LOCK)
    Tunables = Netbsd10Tunables
    CAUSES = ("explicit",)
    publishes = False

    def how_many(self, rank: LockRank) -> int:
        """Return the number of buckets; ParamError if CPUs cannot be dealt out to them evenly."""
        return _buckets(self.state.param, self.tunables)

    def make_store(self) -> Buckets:
        """Make the buckets."""
        param = self.state.param
        return Buckets(self.state.physmem.system, self.tunables.nbuckets, param.nfreelists, param.ncolors)

    @classmethod
    def traits(cls, param: Param, tunables: Netbsd10Tunables) -> Traits:
        """The very colour or the store; bounded; all that is not in use is free. ParamError as of how_many()."""
        _buckets(param, tunables)
        return replace(
            super().traits(param, tunables),
            colors="system",
            zeros=False,
            bound=MAXPGS * param.ncolors * param.nfreelists,
            refill=1 + FILLPGS,
            idle=None,
            free="all",
            short="all",
            gate="part",
        )

    def guarded(self) -> Iterable[tuple[Mutex, object]]:
        """Name each bucket."""
        return zip(self.shared_locks, self.store.buckets, strict=True)

    def free(self) -> int:
        """Sum up all free pages, cached ones too (uvm_availmem); without a lock. O(CPUs x colours)."""
        return self.stock()[0] + sum(self.cached(index) for index in range(len(self.cpus)))


def _buckets(param: Param, tunables: Netbsd10Tunables) -> int:
    if param.ncpus % tunables.nbuckets:
        fit = [str(number) for number in range(1, MAX_BUCKETS + 1) if not param.ncpus % number]
        raise ParamError(f"nbuckets={tunables.nbuckets}: must be one of {', '.join(fit)}: as many CPUs for each")
    return tunables.nbuckets
