"""Allocation of several pages at once, contiguous or within a range of addresses: for devices and large pages.

A run is sought in the store first, with no lock held: it looks at the pages themselves rather than at lists. The
pages are looked at again under the locks of the store, and taken off their lists if they still stand there. That is
what kernels do, and it stops no CPU. It needs a store that tells (Design.store_tells).

If there is none, or others are faster each time, it is the one exception that may reach into other CPUs' lists (P7):
it takes every lock, in order, and takes the pages off whichever list they stand on. A cache that holds one of them is
handed back first, whole, because a cache is a stack and gives only at its head.

=> All or nothing: a failure has changed nothing (R27), not even a cache.
=> A page that is being zeroed is on no free list and is never taken (R28).
=> The search for a run begins where the last one was found, and goes on from the beginning of the segment: what lies
   below was looked at lately, in vain. In vain again, it looks there too.

Source: uvm_pglistalloc, uvm_pglist_alloc_contig, uvm_pglist_alloc_simple in sys/uvm/uvm_pglist.c of
NetBSD 9; uvm_physseg_get_start_hint. Under the store's lock alone: rmqueue_buddy in mm/page_alloc.c of Linux,
vm_page_alloc_contig_domain in sys/vm/vm_page.c of FreeBSD, uvm_pgfl_lock of NetBSD 10.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.uvm.design import Design
from uvmfree.uvm.locked import held
from uvmfree.uvm.page import PG_CLEAN, Place, VmPage
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.state import UvmState

SEEKS_MAX: Final = 16
"""Runs that are tried, before all CPUs are stopped for one: where many are at work, many lose a page meanwhile."""


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
        self._allocated = [0] * len(design.cpus)  # pages handed out; by CPU, under its guard
        self.drained = 0  # caches handed back for it; guarded by all locks
        # Segment's start -> frame after the last run found. Stored by who seeks a run, whatever locks that one holds:
        # it only says where to begin. All keys are there from the start: no reader sees a table grow.
        self._hints: dict[int, int] = {seg.start: 0 for seg in state.physmem.segments}
        self._guards, self._shared = design.outer_and_inner("uvm_pglistalloc")
        self._stops = not (design.store_tells and design.cpu_locks)  # one lock for all is stopped at once

    @property
    def allocated(self) -> int:
        """How many pages it has handed out; exact at rest."""
        return sum(self._allocated)

    def alloc(self, request: Request) -> list[VmPage]:
        """Allocate the pages of a request, by ascending frame number; OutOfPages if they are not to be had."""
        if not self._stops and request.contiguous and (run := self._take_from_store(request)):
            return run
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
            stands = {id(pg.on): pg.on for pg in chosen}.values()
            owners = {on.owner for on in stands if not isinstance(on, str) and on.place is Place.CACHED}
            self.drained += len(owners)
            self._design.gather(owner for owner in owners if owner is not None)
            self._design.remove(chosen)
            self._hand_out(chosen, 0)  # any CPU will do: all guards are held
        if owners:
            self._state.events.add("redistribute", "pglistalloc", None, began_ns, len(chosen))
        return sorted(chosen, key=lambda pg: pg.pfn)

    def _take_from_store(self, request: Request) -> list[VmPage] | None:
        """Take a run that lies in the store, and stop nobody; None if there is none.

        => One CPU's guard is held, because the counters are written by way of it: which one goes by the run.
        => Where another takes a page of it meanwhile, or that CPU is detached, the search goes on from there: up to
           SEEKS_MAX times, None then.
        """
        design, marks = self._design, self._state.uvmexp.marks
        for _ in range(SEEKS_MAX):
            if (run := _seek(self._state.physmem, request, self._hints, stored=True)) is None:
                return None
            index = run[0].pfn // request.size % len(self._guards)
            with self._guards[index]:
                cpu = design.cpus[index]
                with held(self._shared):
                    self._state.check_open()
                    before = design.stock()
                    if sum(before) <= marks.reserve_pagedaemon + marks.reserve_kernel:
                        return None
                    if cpu.stopped or not design.take_run(cpu, run):
                        continue
                    self._hand_out(run, index)
                    unknown, zeros = (now - then for now, then in zip(design.stock(), before, strict=True))
                if design.publishes:
                    cpu.publish(unknown + zeros, zeros)
                return run
        return None

    def _hand_out(self, pages: list[VmPage], index: int) -> None:
        """Mark pages that were taken, and count them by a CPU; under its guard."""
        for pg in pages:
            pg.flags = PG_CLEAN
        self._allocated[index] += len(pages)

    def _free(self) -> int:
        """All free pages, cached ones too; exact with all locks held."""
        design = self._design
        return sum(design.stock()) + sum(map(design.cached, range(len(design.cpus)))) + design.parked()


def _choose(physmem: PhysMem, request: Request, hints: dict[int, int]) -> list[VmPage]:
    """Find all pages of a request, with all locks held; OutOfPages if they are not there."""
    if request.contiguous:
        if (run := _seek(physmem, request, hints)) is not None:
            return run
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


def _seek(physmem: PhysMem, request: Request, hints: dict[int, int], *, stored: bool = False) -> list[VmPage] | None:
    """Find a run of free pages, or of pages that are in the store; None if there is none."""
    for seg, pages in physmem.by_freelist():
        hint = max(hints.get(seg.start, 0), request.low)
        first = _find_run(pages, seg.start, seg.end, request, hint, stored)
        if first is None and hint > seg.start:
            first = _find_run(pages, seg.start, min(seg.end, hint + request.size), request, request.low, stored)
        if first is not None:
            hints[seg.start] = first + request.size
            return pages[first - seg.start : first - seg.start + request.size]
    return None


def _free_pages(physmem: PhysMem, request: Request) -> Iterator[VmPage]:
    """Yield the free pages in range, the best freelist first."""
    for seg, pages in physmem.by_freelist():
        for pg in pages[max(0, request.low - seg.start) : max(0, request.high - seg.start)]:
            if not isinstance(on := pg.on, str) and on.place is not Place.ZEROING:
                yield pg


def _find_run(pages: list[VmPage], start: int, end: int, request: Request, low: int, stored: bool) -> int | None:
    """Return the first frame from `low` on of a run that meets the request within one segment, or None.

    => `stored`: only pages that are in the store.
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
            if isinstance(on, str) or (on.place is not Place.GLOBAL if stored else on.place is Place.ZEROING):
                first = _round_up(start + offset + 1, alignment)
                break
        else:
            return first
    return None


def _round_up(frame: int, alignment: int) -> int:
    return -(-frame // alignment) * alignment
