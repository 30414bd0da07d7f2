"""A physical page and where it is.

A page's place is the list that it stands on: `pg.on` is that list, or its system's token while somebody holds it.
The list says whose it is (`PageList.place`, `PageList.owner`), so that handing a whole list from a CPU to the
global free list re-labels every page on it by one store. That is what makes the splice of P8 O(buckets).

Source: struct vm_page in sys/uvm/uvm_page.h of NetBSD 9.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import cycle, islice, repeat
from typing import Final, Protocol

PG_BUSY: Final = 0x1
"""Somebody is at work on the page; it was just allocated."""
PG_CLEAN: Final = 0x2
"""The page has not been written to since it was read in or allocated."""
PG_FAKE: Final = 0x4
"""The page has no valid contents yet."""
PG_ZERO: Final = 0x8
"""The page was handed out filled with zeros; stays until the holder clears it."""

FRESH: Final = PG_BUSY | PG_CLEAN | PG_FAKE
"""The flags of a page that comes out of the allocator (R12)."""
FRESH_ZERO: Final = PG_BUSY | PG_FAKE | PG_ZERO
"""The same after a ZERO allocation: CLEAN is cleared (R12)."""

UNKNOWN: Final = 0
"""The queue of free pages whose contents are anything (PGFL_UNKNOWN)."""
ZEROS: Final = 1
"""The queue of free pages that are known to be all zero (PGFL_ZEROS)."""
NQUEUES: Final = 2
NO_QUEUE: Final = -1
"""Of a list that is no free list: what is on it stands on no queue."""

SWEEP_MIN: Final = 64
"""Ghosts that a list may hold before it is swept, however few its pages: below, a sweep costs more than it saves."""


class Place(enum.Enum):
    """Where a page is; every page is in exactly one place (R3)."""

    GLOBAL = "on the global free list"
    CACHED = "in a CPU's cache"  # with no owner: parked, in a cache that CPUs share
    ALLOCATED = "allocated"
    ZEROING = "being filled with zeros"


class Stand(Protocol):
    """Whatever a free page is on: a list, an array, a bucket, a unit of lists, a tree with a bitmap.

    => Moving it by pointer relabels it (`place`, `owner`) and touches none of its pages.
    => `place`, `owner`: where its pages are, and the CPU whose they are, or None. `queue`: UNKNOWN, ZEROS, NO_QUEUE.
    => `free_list`, `color`: of all pages that may be on it; None where that may be any.
    => `ghosts`: entries that are no pages on it any more. `home`: whether its pages name it.
    => Guarded by the lock of whoever it belongs to: that CPU's guard, or a shared lock of the design.
    """

    place: Place
    owner: int | None
    ghosts: int

    @property
    def queue(self) -> int:
        """The queue of its pages."""

    @property
    def free_list(self) -> int | None:
        """Their freelist."""

    @property
    def color(self) -> int | None:
        """Their colour."""

    @property
    def home(self) -> bool:
        """Whether `pg.on` of its pages is this."""

    def pages(self) -> Sequence[VmPage]:
        """Return the pages that really are on it, the head last; for audits and for what is done at rest."""

    def __len__(self) -> int:
        """Return how many entries it has, ghosts among them."""

    def clear(self) -> object:
        """Let go of all pages, at the end of a system."""


class PageList(list["VmPage"]):
    """A stack of free pages; its end is the head of the list (R2). The Stand of nearly every design.

    => A page that is being zeroed is on such a list too, of place ZEROING, and on no free list (R16).
    => An entry is real if `pg.on is` this list and no entry nearer the head names the page. The others are ghosts,
       left behind by pages that were unlinked from the middle.
    => Immutable: `queue`, `free_list`, `color`. The rest is guarded as a Stand is.
    """

    __slots__ = ("color", "free_list", "ghosts", "owner", "place", "queue")

    home = True

    def __init__(
        self, place: Place, owner: int | None, queue: int, free_list: int | None = None, color: int | None = None
    ) -> None:
        super().__init__()
        self.place = place
        self.owner = owner
        self.queue = queue
        self.free_list = free_list
        self.color = color
        self.ghosts = 0

    def pages(self) -> list[VmPage]:
        """Return the pages that really stand here, head last; O(entries)."""
        real = {pg.pfn: pg for pg in reversed(self) if pg.on is self}
        return list(reversed(real.values()))

    def put(self, pg: VmPage) -> None:
        """Put a page at the head."""
        pg.on = self
        self.append(pg)

    def adopt(self, pages: Sequence[VmPage]) -> None:
        """Put pages at the head, the last of them first in line; what they stood on has forgotten them."""
        for pg in pages:
            pg.on = self
        self += pages

    def unlink(self, pg: VmPage) -> None:
        """Account for a page that left by another way than the head: it was the head, or a ghost is left.

        => The sweep takes O(entries) under the lock, once for as many ghosts as it removes: O(1) on average.
        """
        if self[-1] is pg:
            self.pop()
            return
        self.ghosts += 1
        if self.ghosts > SWEEP_MIN and self.ghosts * 2 > len(self):
            self.sweep()

    def sweep(self) -> None:
        """Remove all ghosts."""
        self[:] = self.pages()
        self.ghosts = 0


class VmPage:
    """One page of RAM.

    Guarded by (h) its holder while it is allocated, else the lock of the list that it stands on; (i) immutable.

    => `pfn`: page frame number.                                                                      [i]
    => `color`: frame number & colormask (R1). `free_list`: the freelist that it belongs to.          [i]
    => `on`: the Stand that it is on, or while somebody holds it the token of its system (R13). That is an interned
       string, because a free-threaded interpreter does not count references to those: every call loads it. [h]
    => `flags`: PG_*; of use to the holder.                                                           [h]

    >>> with uvmfree.boot(npages=64, ncpus=1) as uvm, uvm.run_on(0) as cpu:
    ...     pg = cpu.pagealloc(zero=True)
    ...     print(pg.place, pg.owner, pg.zeroed)
    ...     cpu.pagefree(pg)
    ...     print(pg.place, pg.owner, bytes(uvm.physmem.bytes_of(pg)[:4]))
    Place.ALLOCATED None True
    Place.CACHED 0 b'\\x00\\x00\\x00\\x00'
    """

    __slots__ = ("color", "flags", "free_list", "on", "pfn")

    def __init__(self, pfn: int, color: int, free_list: int, system: str) -> None:
        self.pfn = pfn
        self.color = color
        self.free_list = free_list
        self.on: Stand | str = system
        self.flags = 0

    @property
    def place(self) -> Place:
        """Where the page is; without the lock of that place, where it was a moment ago."""
        on = self.on
        return Place.ALLOCATED if isinstance(on, str) else on.place

    @property
    def owner(self) -> int | None:
        """The CPU on whose list the page stands, or None (R1)."""
        on = self.on
        return None if isinstance(on, str) else on.owner

    @property
    def zeroed(self) -> bool:
        """Whether the page is known to be zero: it stands on a ZEROS queue, or was handed out as zero."""
        on = self.on
        return bool(self.flags & PG_ZERO) if isinstance(on, str) else on.queue == ZEROS

    def __repr__(self) -> str:
        where = self.place.value
        if self.owner is not None:
            where += f" (CPU {self.owner})"
        return f"<page {self.pfn:#x}, color {self.color}, freelist {self.free_list}, {where}>"


def pages_from(first: VmPage, count: int, ncolors: int) -> list[VmPage]:
    """Return `count` pages, `first` and those that follow it: like it in all but frame number and colour.

    => Each slot of all pages at once, without a call for each page: a machine of 256 CPUs has millions.
    """
    cls = type(first)
    pages = [first, *map(cls.__new__, repeat(cls, count - 1))]
    differ: dict[str, Iterable[int]] = {
        "pfn": range(first.pfn, first.pfn + count),
        "color": islice(cycle(range(ncolors)), first.color, first.color + count),
    }
    for part in cls.__mro__:
        for name in part.__dict__.get("__slots__", ()):
            slot = part.__dict__[name]
            deque(map(slot.__set__, pages, differ.get(name) or repeat(slot.__get__(first))), maxlen=0)
    return pages
