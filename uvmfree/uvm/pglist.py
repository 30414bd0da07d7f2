"""Allocation of several pages at once, contiguous or within a range of addresses: for devices and large pages.

It is the one exception that may reach into other CPUs' lists (P7): it takes every lock, in order, looks at the
pages themselves rather than at lists, and takes those that it wants off whichever list they stand on. A cache that
holds one of them is handed back first, whole, because a cache is a stack and gives only at its head.

=> All or nothing: a failure has changed nothing (R27), not even a cache.
=> A page that is being zeroed is on no free list and is never taken (R28).
=> The search for a run begins where the last one was found, and goes on from the beginning of the segment: what lies
   below was looked at lately, in vain, under every lock.

Source: uvm_pglistalloc, uvm_pglist_alloc_contig, uvm_pglist_alloc_simple in sys/uvm/uvm_pglist.c of
NetBSD 9; uvm_physseg_get_start_hint.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import PG_CLEAN, Place, VmPage
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.state import UvmState


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, in pages and page frames; checked by `checked()` (R25).

    => Frames from `low` on and below `high`; a run starts at a multiple of `alignment` and crosses no multiple of
       `boundary`, if that is not 0. `nsegs`: into how many pieces the pages may fall.
    """

    size: int
    low: int
    high: int
    alignment: int
    boundary: int
    nsegs: int

    @property
    def contiguous(self) -> bool:
        """Whether the pages have to be one run (R26)."""
        return self.nsegs < self.size or self.alignment > 1 or self.boundary != 0


def checked(size: int, low: int, high: int | None, alignment: int, boundary: int, nsegs: int, *, end: int) -> Request:
    """Check the arguments (R25); `end` is the frame after the last one of RAM. ArgumentError names the argument."""
    given = {"size": size, "low": low, "alignment": alignment, "boundary": boundary, "nsegs": nsegs}
    for name, value in given.items() if high is None else (given | {"high": high}).items():
        if type(value) is not int:
            raise ArgumentError(f"{name}={value!r}: must be a whole number of pages")
    if size < 1:
        raise ArgumentError(f"size={size}: must be at least 1 page")
    if low < 0:
        raise ArgumentError(f"low={low}: must be a page frame number, 0 or more")
    if alignment < 1 or alignment & (alignment - 1):
        raise ArgumentError(f"alignment={alignment}: must be a power of two, at least 1 page")
    if boundary < 0 or boundary & (boundary - 1):
        raise ArgumentError(f"boundary={boundary}: must be a power of two in pages, or 0 for none")
    if 0 < boundary < size:
        raise ArgumentError(f"boundary={boundary}: {size} pages in one run would have to cross it")
    if nsegs < 1:
        raise ArgumentError(f"nsegs={nsegs}: must be at least 1")
    low = _round_up(low, alignment)
    if high is not None and high <= low:
        raise ArgumentError(f"high={high}: must be above low, which is {low} after rounding up to the alignment")
    return Request(size, low, end if high is None else min(high, end), alignment, boundary, nsegs)


class PgList:
    """Contiguous and ranged allocation for one system."""

    def __init__(self, state: UvmState, design: Design[Any]) -> None:
        self._state = state
        self._design = design
        self.allocated = 0  # pages handed out; guarded by all locks
        self.drained = 0  # caches handed back for it; guarded by all locks
        self._hints: dict[int, int] = {}  # segment's start -> frame after the last run found; guarded by all locks

    def alloc(self, request: Request) -> list[VmPage]:
        """Allocate the pages of a request, by ascending frame number; OutOfPages if they are not to be had."""
        return self._take(request, lambda: _choose(self._state.physmem, request, self._hints))

    def alloc_some(self, request: Request) -> list[VmPage]:
        """Allocate as many pages as there are, down to the reserves, of a request that needs no run (R29)."""

        def some() -> list[VmPage]:
            marks = self._state.uvmexp.marks
            spare = self._free() - marks.reserve_pagedaemon - marks.reserve_kernel
            found = _free_pages(self._state.physmem, request)
            return list(islice(found, min(request.size, spare)))

        return self._take(request, some)

    def _take(self, request: Request, choose: Callable[[], list[VmPage]]) -> list[VmPage]:
        began_ns = self._state.machine.clock_ns()
        with self._design.stopped("uvm_pglistalloc"):
            marks = self._state.uvmexp.marks
            free = self._free()
            if free <= marks.reserve_pagedaemon + marks.reserve_kernel:
                raise OutOfPages(f"{request.size} pages: {free} are free, which is what the reserves keep (R27)")
            chosen = choose()
            owners = {pg.owner for pg in chosen if pg.place is Place.CACHED}
            self.drained += len(owners)
            self._design.gather(owner for owner in owners if owner is not None)
            self._design.remove(chosen)
            for pg in chosen:
                pg.flags = PG_CLEAN
            self.allocated += len(chosen)
        if owners:
            self._state.events.add("redistribute", "pglistalloc", None, began_ns, len(chosen))
        return sorted(chosen, key=lambda pg: pg.pfn)

    def _free(self) -> int:
        """All free pages, cached ones too; exact with all locks held."""
        design = self._design
        return sum(design.stock()) + sum(map(design.cached, range(len(design.cpus)))) + design.parked()


def _choose(physmem: PhysMem, request: Request, hints: dict[int, int]) -> list[VmPage]:
    """Find all pages of a request, with all locks held; OutOfPages if they are not there."""
    if request.contiguous:
        for seg, pages in physmem.by_freelist():
            hint = max(hints.get(seg.start, 0), request.low)
            first = _find_run(pages, seg.start, seg.end, request, hint)
            if first is None and hint > seg.start:
                first = _find_run(pages, seg.start, min(seg.end, hint + request.size), request, request.low)
            if first is not None:
                hints[seg.start] = first + request.size
                return pages[first - seg.start : first - seg.start + request.size]
        raise OutOfPages(
            f"no run of {request.size} free pages between frames {request.low:#x} and {request.high:#x}, "
            f"aligned to {request.alignment}, within boundary {request.boundary} (R26)"
        )
    found = _free_pages(physmem, request)
    chosen = list(islice(found, request.size))
    if len(chosen) < request.size:
        raise OutOfPages(
            f"only {len(chosen)} of {request.size} pages are free between frames {request.low:#x} and "
            f"{request.high:#x}"
        )
    return chosen


def _free_pages(physmem: PhysMem, request: Request) -> Iterator[VmPage]:
    """Yield the free pages in range, the best freelist first."""
    for seg, pages in physmem.by_freelist():
        for pg in pages[max(0, request.low - seg.start) : max(0, request.high - seg.start)]:
            if _is_free(pg):
                yield pg


def _find_run(pages: list[VmPage], start: int, end: int, request: Request, low: int) -> int | None:
    """Return the first frame from `low` on of a run that meets the request within one segment, or None.

    => Looks at a candidate from its end: a page that is not free rules out every run that would contain it.
    """
    size, alignment, boundary = request.size, request.alignment, request.boundary
    end = min(end, request.high)
    first = _round_up(max(start, low), alignment)
    while first + size <= end:
        if boundary and first // boundary != (first + size - 1) // boundary:
            first = _round_up(_round_up(first + 1, boundary), alignment)
            continue
        for offset in range(first - start + size - 1, first - start - 1, -1):
            on = pages[offset].on
            if on is None or on.place is Place.ZEROING:
                first = _round_up(start + offset + 1, alignment)
                break
        else:
            return first
    return None


def _is_free(pg: VmPage) -> bool:
    return pg.on is not None and pg.on.place is not Place.ZEROING


def _round_up(frame: int, alignment: int) -> int:
    return -(-frame // alignment) * alignment
