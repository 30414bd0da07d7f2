"""Free lists: stacks of pages by freelist, colour and queue, and the global list that they are spliced onto.

What a list has to do decides its shape. A CPU's list only gives and takes at its head: it is one Python list.
The global list must also take a CPU's whole list in one step (P8) and lose a page from its middle. So each of
its buckets is a stack of lists, *chunks*: splicing puts one more chunk on the stack, whatever its length.

A page that leaves from the middle leaves a *ghost* behind: an entry that is skipped when it comes to the head.
`pg.list` tells ghosts apart. It names the list on which the page really stands; if a page comes back to the
same list, its new entry is nearer the head and is met first. When ghosts outnumber pages the chunk is swept,
so unlinking costs O(1) on average and a list is never more than half ghosts.

Source: struct pgfreelist, pgflbucket in sys/uvm/uvm_pglist.h of NetBSD 9.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from uvmfree.uvm.page import NQUEUES, PageList, Place, VmPage

T = TypeVar("T")

Lists = list[list[list[PageList]]]
"""Free lists of one CPU, or the global ones of a design, indexed [queue][free_list][color]."""

SWEEP_MIN: Final = 64
"""Ghosts that a list may hold before it is swept, however few its pages: below, a sweep costs more than it saves."""


def cpu_lists(nfreelists: int, ncolors: int, new: Callable[[int], PageList]) -> Lists:
    """Make the empty lists of one CPU, indexed [queue][free_list][color]; `new(queue)` makes one."""
    return [[[new(queue) for _ in range(ncolors)] for _ in range(nfreelists)] for queue in range(NQUEUES)]


def each(lists: Iterable[Iterable[Iterable[T]]]) -> Iterator[tuple[int, int, int, T]]:
    """Walk what is indexed [queue][free_list][color]; yield the three and the element."""
    for queue, rows in enumerate(lists):
        for free_list, row in enumerate(rows):
            for color, element in enumerate(row):
                yield queue, free_list, color, element


@dataclass(frozen=True, slots=True)
class Walked:
    """One free list as an audit finds it, and what its position in the design says that it must be.

    => `real`: the pages that really stand on it, by the design's own meaning of that; the other entries are ghosts.
    => `queue` to `owner`: what list and pages must be. `home`: whether it is the list that its pages name.
    """

    where: str
    pages: PageList
    real: list[VmPage]
    queue: int
    free_list: int
    color: int
    place: Place
    owner: int | None
    home: bool = True


def real_entries(pages: PageList) -> list[VmPage]:
    """Return the pages that really stand on a list, head last; O(entries)."""
    seen: set[int] = set()
    real: list[VmPage] = []
    for pg in reversed(pages):
        if pg.list is pages and pg.pfn not in seen:
            seen.add(pg.pfn)
            real.append(pg)
    real.reverse()
    return real


class Bucket:
    """The global free pages of one freelist, colour and queue: a stack of chunks, head last."""

    __slots__ = ("_queue", "chunks")

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self.chunks: list[PageList] = []

    def push(self, pg: VmPage) -> None:
        """Put one page at the head."""
        if not self.chunks:
            self.chunks.append(PageList(Place.GLOBAL, None, self._queue))
        chunk = self.chunks[-1]
        pg.list = chunk
        chunk.append(pg)

    def pop(self) -> VmPage | None:
        """Take the page at the head; None if there is none."""
        while self.chunks:
            chunk = self.chunks[-1]
            while chunk:
                pg = chunk.pop()
                if pg.list is chunk:
                    pg.list = None
                    return pg
                chunk.ghosts -= 1
            self.chunks.pop()
        return None

    def take(self, n: int) -> list[VmPage]:
        """Take up to `n` pages from the head in O(chunks touched), the head last; they still name their chunk."""
        taken: list[VmPage] = []
        while self.chunks and n > 0:
            chunk = self.chunks[-1]
            if chunk.ghosts:
                self._sweep(chunk)
            part = chunk[-n:]
            del chunk[-n:]
            if not chunk:
                self.chunks.pop()
            taken = part + taken
            n -= len(part)
        return taken

    def splice(self, pages: PageList) -> None:
        """Put a whole list at the head; O(1). The list belongs to the bucket from now on."""
        pages.place = Place.GLOBAL
        pages.owner = None
        self.chunks.append(pages)

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle; O(1) on average."""
        chunk = pg.list
        assert chunk is not None
        pg.list = None
        if chunk[-1] is pg:
            chunk.pop()
            return
        chunk.ghosts += 1
        if chunk.ghosts > SWEEP_MIN and chunk.ghosts * 2 > len(chunk):
            self._sweep(chunk)

    def pages(self) -> Iterator[VmPage]:
        """Walk the pages that really stand here, head last; for audits."""
        for chunk in self.chunks:
            yield from real_entries(chunk)

    @staticmethod
    def _sweep(chunk: PageList) -> None:
        chunk[:] = real_entries(chunk)
        chunk.ghosts = 0


class GlobalFreelist:
    """The global free list; everything in it is guarded by uvm_fpageqlock.

    => `npages[queue]` counts the pages on it. uvmexp.free follows that count, by an atomic update after the lock
       is dropped; under the lock this is the exact one.
    => `pages_touched` and `items_touched` count pages that were moved singly and runs that were moved by pointer:
       what a hold of the lock costs. `taken`: the last pages that were moved singly though nothing was stored to
       them here. Whoever asks may set all three back, under the lock (Mutex.guards).
    """

    def __init__(self, nfreelists: int, ncolors: int) -> None:
        self._nfreelists = nfreelists
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[VmPage]] = ()
        self.npages = [0] * NQUEUES
        self.recolor(ncolors)

    def recolor(self, ncolors: int) -> None:
        """Make new buckets, empty ones, for another number of colours; the old ones must be empty."""
        self._ncolors = ncolors
        self.buckets = [
            [[Bucket(queue) for _ in range(ncolors)] for _ in range(self._nfreelists)] for queue in range(NQUEUES)
        ]

    @property
    def free(self) -> int:
        """Pages on the list."""
        return sum(self.npages)

    def push(self, pg: VmPage, queue: int) -> None:
        """Put a page at the head of its bucket."""
        self.buckets[queue][pg.free_list][pg.color].push(pg)
        self.npages[queue] += 1
        self.pages_touched += 1

    def pop(self, free_list: int, start_color: int, queues: tuple[int, ...], span: int) -> tuple[VmPage, int] | None:
        """Take one page: `span` colours in rotation from `start_color`, in each the queues in order (R9).

        => Returns the page and the queue that it came from, or None.
        """
        for step in range(span):
            color = (start_color + step) % self._ncolors
            for queue in queues:
                pg = self.buckets[queue][free_list][color].pop()
                if pg is not None:
                    self.npages[queue] -= 1
                    self.pages_touched += 1
                    return pg, queue
        return None

    def take(self, free_list: int, start_color: int, n: int, queue: int) -> list[list[VmPage]]:
        """Take up to `n` pages of one queue, spread evenly over the colours from `start_color` on.

        => Returns one list for each colour visited, each with its head last; O(colours), not O(pages).
        """
        batches: list[list[VmPage]] = []
        buckets = self.buckets[queue][free_list]
        left = n
        for step in range(self._ncolors):
            share = -(-left // (self._ncolors - step))
            batch = buckets[(start_color + step) % self._ncolors].take(share)
            if batch:
                batches.append(batch)
            left -= len(batch)
        self.npages[queue] -= n - left
        self.pages_touched += n - left
        self.taken = batches
        return batches

    def splice(self, pages: PageList, free_list: int, color: int) -> None:
        """Put a CPU's whole list at the head of its bucket (P8); O(1)."""
        self.npages[pages.queue] += len(pages)
        self.buckets[pages.queue][free_list][color].splice(pages)
        self.items_touched += 1

    def unlink(self, pg: VmPage) -> None:
        """Take a page of the list out of the middle; O(1) on average."""
        assert pg.list is not None
        queue = pg.list.queue
        self.buckets[queue][pg.free_list][pg.color].unlink(pg)
        self.npages[queue] -= 1
        self.pages_touched += 1

    def clear(self) -> None:
        """Let go of all pages; for the end of a system."""
        for queue in self.buckets:
            for row in queue:
                for bucket in row:
                    for chunk in bucket.chunks:
                        chunk.clear()
                    bucket.chunks.clear()
        self.npages = [0] * NQUEUES
