"""A physical page and where it is.

A page's place is the list that it stands on: `pg.list` is that list, or None while somebody holds the page.
The list says whose it is (`PageList.place`, `PageList.owner`), so that handing a whole list from a CPU to the
global free list re-labels every page on it by one store. That is what makes the splice of P8 O(buckets).

Source: struct vm_page in sys/uvm/uvm_page.h of NetBSD 9.
"""

from __future__ import annotations

import enum
from typing import Final

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


class Place(enum.Enum):
    """Where a page is; every page is in exactly one place (R3)."""

    GLOBAL = "on the global free list"
    CACHED = "in a CPU's cache"
    ALLOCATED = "allocated"
    ZEROING = "being filled with zeros"


class PageList(list["VmPage"]):
    """A stack of free pages of one freelist, colour and queue; its end is the head of the list (R2).

    Guarded by (c) the lock of the CPU that owns it, or (f) uvm_fpageqlock; (i) immutable.

    => A page that is being zeroed is on such a list too, of place ZEROING, and on no free list (R16).
    => `place`, `owner`: where its pages are, and the CPU that it belongs to, or None.   [c, f]
    => `queue`: UNKNOWN or ZEROS.                                                        [i]
    => `ghosts`: entries left behind by pages that were unlinked from the middle. An entry is real if
       `pg.list is` this list and no entry nearer the head names the page too.           [c, f]
    """

    __slots__ = ("ghosts", "owner", "place", "queue")

    def __init__(self, place: Place, owner: int | None, queue: int) -> None:
        super().__init__()
        self.place = place
        self.owner = owner
        self.queue = queue
        self.ghosts = 0


class VmPage:
    """One page of RAM.

    Guarded by (h) its holder while it is allocated, else the lock of the list that it stands on; (i) immutable.

    => `pfn`: page frame number.                                                                      [i]
    => `color`: frame number & colormask (R1). `free_list`: the freelist that it belongs to.          [i]
    => `list`: the free list that it stands on, None while allocated.                                 [h]
    => `flags`: PG_*; of use to the holder.                                                           [h]
    => `system`: the token of the system that it belongs to (R13). An interned string, because a free-threaded
       interpreter does not count references to those: every pagefree() loads it.                     [i]
    """

    __slots__ = ("color", "flags", "free_list", "list", "pfn", "system")

    def __init__(self, pfn: int, color: int, free_list: int, system: str) -> None:
        self.pfn = pfn
        self.color = color
        self.free_list = free_list
        self.list: PageList | None = None
        self.flags = 0
        self.system = system

    @property
    def place(self) -> Place:
        """Where the page is; without the lock of that place, where it was a moment ago."""
        on = self.list
        return Place.ALLOCATED if on is None else on.place

    @property
    def owner(self) -> int | None:
        """The CPU on whose list the page stands, or None (R1)."""
        on = self.list
        return None if on is None else on.owner

    @property
    def zeroed(self) -> bool:
        """Whether the page is known to be zero: it stands on a ZEROS queue, or was handed out as zero."""
        on = self.list
        return bool(self.flags & PG_ZERO) if on is None else on.queue == ZEROS

    def __repr__(self) -> str:
        where = self.place.value
        if self.owner is not None:
            where += f" (CPU {self.owner})"
        return f"<page {self.pfn:#x}, color {self.color}, freelist {self.free_list}, {where}>"
