"""Free lists: stacks of pages by freelist, colour and queue, and the global list that they are spliced onto.

What a list has to do decides its shape. A CPU's list only gives and takes at its head: it is one Python list.
The global list must also take a CPU's whole list in one step (P8) and lose a page from its middle. So each of
its buckets is a stack of lists, *chunks*: splicing puts one more chunk on the stack, whatever its length.

A page that leaves from the middle leaves a *ghost* behind: an entry that is skipped when it comes to the head.
`pg.on` tells ghosts apart. It names the list on which the page really stands; if a page comes back to the
same list, its new entry is nearer the head and is met first. When ghosts outnumber pages the chunk is swept,
so unlinking costs O(1) on average and a list is never more than half ghosts.

Source: struct pgfreelist, pgflbucket in sys/uvm/uvm_pglist.h of NetBSD 9.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from uvmfree.uvm.page import NQUEUES, UNKNOWN, ZEROS, PageList, Place, Stand, VmPage

T = TypeVar("T")

Grid = list[list[list[PageList]]]
"""Free lists of one CPU, or the global ones of a design, indexed [queue][free_list][color]."""


def grid(
    nfreelists: int, ncolors: int, place: Place, owner: int | None, make: Callable[..., PageList] = PageList
) -> Grid:
    """Make empty lists, one for each queue, freelist and colour, each labelled with the three."""
    return [
        [[make(place, owner, queue, free_list, color) for color in range(ncolors)] for free_list in range(nfreelists)]
        for queue in range(NQUEUES)
    ]


def each(lists: Iterable[Iterable[Iterable[T]]]) -> Iterator[T]:
    """Walk what is indexed [queue][free_list][color]."""
    for rows in lists:
        for row in rows:
            yield from row


def in_turn(parts: Iterable[Iterable[VmPage]]) -> list[VmPage]:
    """Return the pages of several lists: the first of each, then the second of each, and so on."""
    return [pg for turn in zip_longest(*parts) for pg in turn if pg is not None]


@dataclass(frozen=True, slots=True)
class Walked:
    """One stand as an audit finds it, and what its position says that it must be.

    => `pages`: the stand itself. `real`: the pages that are on it; the other entries are ghosts.
    => `place`, `owner`: what stand and pages must be; no `owner`: it is the store's.
    """

    where: str
    pages: Stand
    real: Sequence[VmPage]
    place: Place
    owner: int | None

    @property
    def queue(self) -> int:
        """The queue that the stand is marked with."""
        return self.pages.queue

    @property
    def free_list(self) -> int | None:
        """The freelist that it is marked with."""
        return self.pages.free_list

    @property
    def color(self) -> int | None:
        """The colour that it is marked with."""
        return self.pages.color

    @property
    def home(self) -> bool:
        """Whether its pages name it."""
        return self.pages.home


class Bucket:
    """The global free pages of one freelist, colour and queue: a stack of chunks, head last.

    => A page that is taken names `system` from then on (VmPage.on): who holds the lock sees by a page whether it is
       here, and a run of pages can be taken from here while CPUs go on (uvm/pglist.py).
    """

    __slots__ = ("_label", "_system", "chunks")

    def __init__(self, system: str, queue: int, free_list: int | None = None, color: int | None = None) -> None:
        self._system, self._label = system, (queue, free_list, color)
        self.chunks: list[PageList] = []

    def push(self, pg: VmPage) -> None:
        """Put one page at the head."""
        if not self.chunks:
            self.chunks.append(PageList(Place.GLOBAL, None, *self._label))
        chunk = self.chunks[-1]
        pg.on = chunk
        chunk.append(pg)

    def pop(self) -> VmPage | None:
        """Take the page at the head; None if there is none."""
        while self.chunks:
            chunk = self.chunks[-1]
            while chunk:
                pg = chunk.pop()
                if pg.on is chunk:
                    pg.on = self._system
                    return pg
                chunk.ghosts -= 1
            self.chunks.pop()
        return None

    def take(self, n: int) -> list[VmPage]:
        """Take up to `n` pages from the head, the head last; O(pages)."""
        taken: list[VmPage] = []
        while len(taken) < n and (pg := self.pop()) is not None:
            taken.append(pg)
        taken.reverse()
        return taken

    def splice(self, pages: PageList) -> None:
        """Put a whole list at the head; O(1). The list belongs to the bucket from now on."""
        pages.place = Place.GLOBAL
        pages.owner = None
        self.chunks.append(pages)

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle; O(1) on average."""
        chunk = pg.on
        assert isinstance(chunk, PageList)
        pg.on = self._system
        chunk.unlink(pg)

    def check(self, where: str) -> Iterator[str]:
        """Say which chunks are not marked as what they stand among."""
        for chunk in self.chunks:
            if (chunk.queue, chunk.free_list, chunk.color) != self._label:
                yield (
                    f"{where}: a list among those of {named(*self._label)} is marked as "
                    f"{named(chunk.queue, chunk.free_list, chunk.color)}"
                )


def named(queue: int, free_list: int | None, color: int | None) -> str:
    """Say which list is meant."""
    return f"queue {queue}, freelist {free_list}, colour {color}"


class GlobalFreelist:
    """The global free list; everything in it is guarded by uvm_fpageqlock.

    => `npages[queue]` counts the pages on it. uvmexp.free follows that count, by an atomic update after the lock
       is dropped; under the lock this is the exact one.
    => `pages_touched` and `items_touched` count pages that were moved singly and runs that were moved by pointer:
       what a hold of the lock costs. `taken`: the last pages that were moved singly though nothing was stored to
       them here. Whoever asks may set all three back, under the lock (Mutex.guards).
    """

    def __init__(self, system: str, nfreelists: int, ncolors: int) -> None:
        self._system, self._nfreelists = system, nfreelists
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[VmPage]] = ()
        self.npages = [0] * NQUEUES
        self.recolor(ncolors)

    def recolor(self, ncolors: int) -> None:
        """Make new buckets, empty ones, for another number of colours; the old ones must be empty."""
        self._ncolors = ncolors
        self.buckets = [
            [[Bucket(self._system, queue, row, color) for color in range(ncolors)] for row in range(self._nfreelists)]
            for queue in range(NQUEUES)
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

        => Returns one list for each colour visited, each with its head last; O(colours + pages).
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

    def splice(self, pages: PageList) -> None:
        """Put a whole list at the head of its bucket (P8); O(1). One of mixed pages is pushed, page by page."""
        if pages.free_list is None or pages.color is None:
            for pg in pages.pages():
                self.push(pg, pages.queue)
            return
        self.npages[pages.queue] += len(pages)
        self.buckets[pages.queue][pages.free_list][pages.color].splice(pages)
        self.items_touched += 1

    def unlink(self, pg: VmPage) -> None:
        """Take a page of the list out of the middle; O(1) on average."""
        assert isinstance(pg.on, PageList)
        queue = pg.on.queue
        self.buckets[queue][pg.free_list][pg.color].unlink(pg)
        self.npages[queue] -= 1
        self.pages_touched += 1

    def lists(self) -> Iterator[PageList]:
        """Walk all chunks, those of one bucket from the bottom up."""
        for bucket in each(self.buckets):
            yield from bucket.chunks

    def check(self, where: str) -> Iterator[str]:
        """Check the counts against what stands here, and the chunks against their buckets (R3)."""
        standing = [0] * NQUEUES
        for queue, rows in enumerate(self.buckets):
            for bucket in each([rows]):
                standing[queue] += sum(len(chunk.pages()) for chunk in bucket.chunks)
                yield from bucket.check(where)
        for queue, (counted, walked) in enumerate(zip(self.npages, standing, strict=True)):
            if counted != walked:
                yield f"{where} counts {counted} pages on queue {queue}, {walked} stand there"

    @property
    def stock(self) -> tuple[int, int]:
        """Pages on the UNKNOWN and on the ZEROS queues."""
        return self.npages[UNKNOWN], self.npages[ZEROS]

    def clear(self) -> None:
        """Let go of all pages."""
        for chunk in self.lists():
            chunk.clear()
        for bucket in each(self.buckets):
            bucket.chunks.clear()
        self.npages = [0] * NQUEUES
