"""The global free lists of NetBSD 10: buckets, each with a list for each freelist and colour, and a lock of its own.

Source: struct pgflbucket in sys/uvm/uvm_pglist.h, uvm_page_rebucket, uvm_page_get_bucket in sys/uvm/uvm_page.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from uvmfree.uvm.freelist import Bucket
from uvmfree.uvm.page import UNKNOWN, PageList, VmPage

RUN: Final = 8
"""Neighbouring pages of each colour that are in one bucket, where that does not go by NUMA node."""


class PgflBucket:
    """The free pages of one bucket; guarded by its lock.

    => `rows[free_list][color]`: a list. `nfree[free_list]`: how many pages; read without the lock, too, to pass an
       empty one by: what is missed comes a moment later.
    => `pages_touched`, `items_touched`, `taken`: as in GlobalFreelist.
    """

    def __init__(self, system: str, nfreelists: int, ncolors: int) -> None:
        self.rows = [[Bucket(system, UNKNOWN, row, color) for color in range(ncolors)] for row in range(nfreelists)]
        self.nfree = [0] * nfreelists
        self.pages_touched = self.items_touched = 0
        self.taken: Sequence[Sequence[VmPage]] = ()

    def push(self, pg: VmPage, queue: int) -> None:
        """Put a page at the head of its list."""
        self.rows[pg.free_list][pg.color].push(pg)
        self.nfree[pg.free_list] += 1
        self.pages_touched += 1

    def pop(self, free_list: int, start: int) -> VmPage | None:
        """Take a page: colours in rotation from `start` on."""
        row = self.rows[free_list]
        for color in (*range(start, len(row)), *range(start)):
            pg: VmPage | None = row[color].pop()
            if pg is not None:
                self.nfree[free_list] -= 1
                self.pages_touched += 1
                return pg
        return None

    def take(self, free_list: int, color: int, most: int) -> list[VmPage]:
        """Take up to `most` pages of one colour, the head last."""
        part = self.rows[free_list][color].take(most)
        self.nfree[free_list] -= len(part)
        self.pages_touched += len(part)
        self.taken = (part,)
        return part

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle."""
        self.rows[pg.free_list][pg.color].unlink(pg)
        self.nfree[pg.free_list] -= 1
        self.pages_touched += 1


class Buckets:
    """The store: all buckets."""

    def __init__(self, system: str, nbuckets: int, nfreelists: int, ncolors: int) -> None:
        self._system, self._nfreelists = system, nfreelists
        self.buckets = [PgflBucket(system, nfreelists, ncolors) for _ in range(nbuckets)]
        self._ncolors = ncolors

    def number_of(self, pg: VmPage) -> int:
        """Return which bucket a page belongs to."""
        return pg.pfn // self._ncolors // RUN % len(self.buckets)

    def recolor(self, ncolors: int) -> None:
        """Have empty buckets for other colours."""
        self._ncolors = ncolors
        for bucket in self.buckets:
            bucket.__init__(self._system, self._nfreelists, ncolors)  # type: ignore[misc]

    def clear(self) -> None:
        """Let go of all pages."""
        self.recolor(self._ncolors)

    def push(self, pg: VmPage, queue: int) -> None:
        """Put a page into its bucket."""
        self.buckets[self.number_of(pg)].push(pg, queue)

    def splice(self, part: PageList) -> None:
        """Put an array's pages into their bucket, the last one first."""
        for pg in reversed(part):
            self.push(pg, UNKNOWN)

    def unlink(self, pg: VmPage) -> None:
        """Take a page out of the middle."""
        self.buckets[self.number_of(pg)].unlink(pg)

    def lists(self) -> Iterator[PageList]:
        """Walk all lists."""
        for bucket in self.buckets:
            yield from (chunk for row in bucket.rows for colour in row for chunk in colour.chunks)

    @property
    def stock(self) -> tuple[int, int]:
        """Pages there; none is known to be zero."""
        return sum(sum(bucket.nfree) for bucket in self.buckets), 0

    def check(self, where: str) -> Iterator[str]:
        """Check the counts, and that each page is in its bucket."""
        for number, bucket in enumerate(self.buckets):
            for free_list, row in enumerate(bucket.rows):
                pages = [pg for colour in row for chunk in colour.chunks for pg in chunk.pages()]
                if len(pages) != (nfree := bucket.nfree[free_list]):
                    yield f"bucket {number} counts {nfree} pages of freelist {free_list}, {len(pages)} stand there"
                if any(self.number_of(pg) != number for pg in pages):
                    yield f"bucket {number} has pages of another one"
