"""An anon: one virtual page of an anon map, where its contents are, and the stamps that they bear.

=> A page that was written to says in its bytes whose it is, at its beginning and at its end: owner, index, version.
   One that was never written to is all zeros. So a page that two owners have, a write that was lost, and a page that
   is not zero when it should be are found by whoever reads the page next.

Source: struct vm_anon in sys/uvm/uvm_anon.h of NetBSD 9.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import UvmError
from uvmfree.uvm.page import VmPage

STAMP: Final = struct.Struct("<3Q")
"""Owner, index, version; all zero in a page that was never written to."""


class StampError(UvmError):
    """The bytes of a page are not those that its owner left there; names the page. Memory is corrupt."""


class SwapReadError(UvmError):
    """A page could not be read back from swap; its contents are still there, and may be tried again."""


class AnonState(enum.Enum):
    """Where an anon's contents are, and whether somebody is at work on it."""

    UNTOUCHED = "nowhere: it reads as zeros"
    SWAPPED = "in a swap slot"
    RESIDENT = "in a page of RAM"
    PAGEIN = "being brought in"
    INUSE = "in a page of RAM, whose bytes are being accessed"
    PAGEOUT = "in a page of RAM, being written to swap"

    # Looked up several times in each access: Enum's own hash is a call of Python, of the name.
    __hash__ = object.__hash__


BUSY: Final = frozenset({AnonState.PAGEIN, AnonState.INUSE, AnonState.PAGEOUT})
"""Somebody is at work on the anon, and everybody else leaves it alone."""

_IN_RAM: Final = frozenset({AnonState.RESIDENT, AnonState.INUSE, AnonState.PAGEOUT})
"""The anon has a page."""

_QUEUED: Final = _IN_RAM - {AnonState.PAGEOUT}
"""It is on the inactive queue."""

_MOVES: Final = {
    AnonState.UNTOUCHED: {AnonState.PAGEIN},
    AnonState.SWAPPED: {AnonState.PAGEIN},
    AnonState.PAGEIN: {AnonState.INUSE, AnonState.UNTOUCHED, AnonState.SWAPPED},
    AnonState.INUSE: {AnonState.RESIDENT, AnonState.UNTOUCHED},
    AnonState.RESIDENT: {AnonState.INUSE, AnonState.PAGEOUT, AnonState.UNTOUCHED, AnonState.SWAPPED},
    AnonState.PAGEOUT: {AnonState.RESIDENT, AnonState.SWAPPED},
}
"""The legal changes of state."""


class Anon:
    """One virtual page.

    Guarded by (q) uvm_pageqlock, (b) whoever made it busy, (qb) both: changed under the lock, and while it is busy
    only by whoever made it so, who may therefore read it without; (i) immutable.

    => `index`: its number in the map.                                                                [i]
    => `state`.                                                                                       [q]
    => `pg`: the page of RAM. `slot`: the swap slot. Both: the slot is a copy, or is being written.   [qb]
    => `dirty`: it was written to since it was brought in, or last written to swap.                   [q]
    => `referenced`: it was accessed again since it was brought in, or the pagedaemon last came by.   [q]
    => `version`: what its stamps must say; 0 as long as it is all zeros.                             [b]
    => `writes`: the last version given; goes on after a discard, so that an earlier life is told by it. [b]
    """

    __slots__ = ("dirty", "index", "pg", "referenced", "slot", "state", "version", "writes")

    def __init__(self, index: int) -> None:
        """Make an anon that nobody has touched."""
        self.index = index
        self.state = AnonState.UNTOUCHED
        self.pg: VmPage | None = None
        self.slot: int | None = None
        self.dirty = self.referenced = False
        self.version = self.writes = 0

    def check(self, owner: int, view: memoryview, *, fresh: bool) -> None:
        """Check the bytes of its page, which the caller has made busy: the stamps, or that a fresh page is zero."""
        if fresh and bytes(view) != bytes(len(view)):
            at, byte = next((at, byte) for at, byte in enumerate(view) if byte)
            raise StampError(f"{self._whose(owner)}: byte {at} of a fresh page is {byte:#x} and not zero")
        wanted = (owner, self.index, self.version) if self.version else (0, 0, 0)
        for where, offset in (("begins", 0), ("ends", len(view) - STAMP.size)):
            found = STAMP.unpack_from(view, offset)
            if found != wanted:
                raise StampError(f"{self._whose(owner)}: {where} with owner, page, version {found}, not {wanted}")

    def write(self, owner: int, view: memoryview) -> None:
        """Stamp its page, which the caller has made busy, with its next version."""
        assert self.pg is not None
        self.pg.flags = 0
        self.writes += 1
        self.version = self.writes
        for offset in (0, len(view) - STAMP.size):
            STAMP.pack_into(view, offset, owner, self.index, self.version)

    def move(self, state: AnonState) -> None:
        """Change its state, with the lock held; AssertionError if that is no legal change."""
        if state not in _MOVES[self.state]:
            raise AssertionError(f"page {self.index} goes from {self.state} to {state}")
        self.state = state

    def _whose(self, owner: int) -> str:
        return f"{self.pg!r}, page {self.index} of map {owner}"


@dataclass(frozen=True, slots=True)
class AnonStats:
    """A map at one moment, and what it counted since it was made. Counted by kernel names where there are such.

    => In pages: `npages` of the map; of those `resident`, of those `dirty`; `swapped`; `busy` in any way;
       `inactive`: on the queue that the pagedaemon takes from. `swpages`, `swpginuse`: slots of the swap file.
    => `faults`: accesses that got their page. `fltpgwait`: waits for a busy page. `fltnoram`: no page was free.
       `flt_przero`: pages filled with zeros. `pgswapin`, `pgswapout`: pages read from, written to swap.
    => Of the pagedaemon: `pdfreed`: pages freed; `pdpageouts`: writes begun; `pdreact`: second chances;
       `pdbusy`: busy pages passed over.
    => `swap_full`: dirty pages that the pagedaemon found no slot for. `swap_write_errors`, `swap_read_errors`.
    """

    npages: int
    resident: int
    dirty: int
    swapped: int
    busy: int
    inactive: int
    swpages: int
    swpginuse: int
    faults: int
    fltpgwait: int
    fltnoram: int
    flt_przero: int
    pgswapin: int
    pgswapout: int
    pdfreed: int
    pdpageouts: int
    pdreact: int
    pdbusy: int
    swap_full: int
    swap_write_errors: int
    swap_read_errors: int


class Counts:
    """What a map counts; guarded by uvm_pageqlock."""

    def __init__(self) -> None:
        self.faults = self.fltpgwait = self.fltnoram = self.flt_przero = self.pgswapin = self.pgswapout = 0
        self.pdfreed = self.pdpageouts = self.pdreact = self.pdbusy = 0
        self.swap_full = self.swap_write_errors = self.swap_read_errors = 0


def findings(owner: int, anons: Iterable[Anon], queued: Container[int], pageouts: int) -> Iterator[str]:
    """Look at every anon of a map, with the lock held; one line for each finding.

    => `queued` are on the inactive queue; `pageouts` are said to be under way.
    """
    pages: dict[int, int] = {}
    slots: dict[int, int] = {}

    def who(anon: Anon) -> str:
        return f"page {anon.index} of map {owner} ({anon.state.name})"

    for anon in anons:
        if (anon.pg is not None) != (anon.state in _IN_RAM):
            yield f"{who(anon)} has {anon.pg!r}"
        if (anon.index in queued) != (anon.state in _QUEUED):
            yield f"{who(anon)} is {'' if anon.index in queued else 'not '}on the inactive queue"
        if anon.state is AnonState.SWAPPED and anon.slot is None:
            yield f"{who(anon)} has no slot"
        if anon.pg is not None and pages.setdefault(anon.pg.pfn, anon.index) != anon.index:
            yield f"{who(anon)} shares {anon.pg!r} with page {pages[anon.pg.pfn]}"
        if anon.slot is not None and slots.setdefault(anon.slot, anon.index) != anon.index:
            yield f"{who(anon)} shares slot {anon.slot} with page {slots[anon.slot]}"
        if anon.state not in BUSY and anon.version and not anon.dirty and anon.slot is None:
            yield f"{who(anon)} was written to, is clean and has no copy in swap"
        pageouts -= anon.state is AnonState.PAGEOUT
    if pageouts:
        yield f"map {owner} counts {pageouts} pageouts more than are under way"
