"""Physical memory: the segments that RAM consists of, its pages, and their bytes.

A page has real bytes, which the Machine holds: zeroing one costs what zeroing costs, and a page that is handed to
two owners can be caught by what they write.

Source: uvm_physseg in sys/uvm/uvm_physseg.c of NetBSD 9.
"""

import itertools
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from uvmfree.errors import ClosedError
from uvmfree.kern.collector import collector_off
from uvmfree.machine.face import Ram
from uvmfree.uvm.page import VmPage, pages_from


@dataclass(frozen=True, slots=True)
class PhysSeg:
    """A run of page frames on one freelist: frames `start` to `end` - 1."""

    start: int
    end: int
    free_list: int


def split(npages: int, nfreelists: int) -> tuple[PhysSeg, ...]:
    """Cut RAM into one segment per freelist, as equal as can be.

    => The freelist of the highest number gets the lowest addresses: scarce memory, that only devices with few
       address lines need, is taken last (R10).
    """
    bounds = [npages * part // nfreelists for part in range(nfreelists + 1)]
    return tuple(
        PhysSeg(start, end, nfreelists - 1 - part) for part, (start, end) in enumerate(itertools.pairwise(bounds))
    )


class PhysMem:
    """The pages of a system and the RAM that holds their bytes.

    => Segments are in ascending order, do not overlap, and start at frame 0 or above.
    => `make_ram(nbytes)` makes the RAM (Machine.ram). `page`: what its pages are (Machine.lined).
    => `system` is the token that every page of it names while somebody holds it.
    => All is immutable after boot, but for the bytes: those belong to the page's holder.
    => Memory of the host is committed as pages are written to; populate() does so at once, O(npages).

    >>> with uvmfree.boot(npages=64, ncpus=1, nfreelists=2) as uvm:
    ...     pages = list(uvm.physmem)
    ...     print(uvm.physmem.npages, len(uvm.physmem.ram()), pages[0].free_list, pages[-1].free_list)
    64 262144 1 0
    """

    def __init__(
        self,
        segments: Sequence[PhysSeg],
        ncolors: int,
        pagesize: int,
        make_ram: Callable[[int], Ram],
        page: type[VmPage] = VmPage,
    ) -> None:
        self.segments = tuple(segments)
        self.pagesize = pagesize
        self.system = sys.intern(f"uvm {secrets.token_hex(8)}")
        self._segment_pages: list[list[VmPage]] = []
        with collector_off():
            for seg in self.segments:
                first = page(seg.start, seg.start & (ncolors - 1), seg.free_list, self.system)
                self._segment_pages.append(pages_from(first, seg.end - seg.start, ncolors))
        # Holes between segments are there too, which costs address space only: a frame's offset needs no search.
        self._ram: Ram | None = make_ram(self.segments[-1].end * pagesize)

    @property
    def npages(self) -> int:
        """Pages managed."""
        return sum(map(len, self._segment_pages))

    @property
    def end(self) -> int:
        """The page frame after the last one."""
        return self.segments[-1].end

    def __iter__(self) -> Iterator[VmPage]:
        """All pages, by ascending frame number."""
        return itertools.chain.from_iterable(self._segment_pages)

    def has(self, pg: VmPage) -> bool:
        """Whether this very page is one of them; O(segments)."""
        runs = zip(self.segments, self._segment_pages, strict=False)  # none any more, once it is closed
        return any(seg.start <= pg.pfn < seg.end and pages[pg.pfn - seg.start] is pg for seg, pages in runs)

    def by_freelist(self) -> list[tuple[PhysSeg, list[VmPage]]]:
        """Return each segment with its pages, by ascending frame number; the best freelist's segments first."""
        return sorted(
            zip(self.segments, self._segment_pages, strict=True), key=lambda of: (of[0].free_list, of[0].start)
        )

    def ram(self) -> memoryview:
        """Return a private view of all RAM: the bytes of a page start at `pfn * pagesize`."""
        ram = self._ram
        if ram is None:
            raise ClosedError("the memory of this system was given back; boot() another")
        return ram.view()

    def bytes_of(self, pg: VmPage) -> memoryview:
        """Return a private view of the bytes of a page; only its holder may write to them."""
        start = pg.pfn * self.pagesize
        return self.ram()[start : start + self.pagesize]

    def populate(self) -> None:
        """Touch every page of RAM once, as a machine's memory is there before its kernel runs.

        => Without it the first use of a page costs a page fault of the host, which no design is to blame for.
           Call it before measuring, and before pages are allocated: it writes zeros.
        """
        ram = self.ram()
        ram[:: self.pagesize] = bytes(len(ram) // self.pagesize)

    def close(self) -> None:
        """Give the memory back, as soon as nobody looks at it any more; idempotent."""
        self._segment_pages = []
        self._ram = None
