"""The stamps of pages in a stress run: whose a page is, in its bytes, where everybody who gets it in error shows.

=> A holder stamps (owner, frame number, version) at the beginning and at the end of a page, and checks both before
   it writes again, hands the page over or frees it. A page that has two holders, that was zeroed or paged over while
   it was held, or that is not zero when it should be, is a StampError at once.
"""

from typing import Final

from uvmfree.uvm.anonpage import STAMP, StampError
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm

Held = tuple[VmPage, int]
"""A page in somebody's hands, and the version that its stamps must show."""

TRAY, LOOSE, XCALL, EXHAUSTION, CPU0 = 1001, 1002, 1003, 1004, 2000
"""Owners in stamps, beside the anon maps, which are numbered from 1: pages on their way to another CPU, that the
pagedaemon may have, of a cross-call, of the fault `exhaustion`; and CPU i is CPU0 + i."""

_NAMES: Final = {
    TRAY: "on its way between CPUs",
    LOOSE: "left to the pagedaemon",
    XCALL: "held by a cross-call",
    EXHAUSTION: "held by the fault exhaustion",
}


class Stamper:
    """Stamps and checks pages for one thread, through a private view of RAM."""

    __slots__ = ("_last", "_pagesize", "_ram", "_zeros")

    def __init__(self, uvm: Uvm) -> None:
        # The bytes themselves: stamps are the test's own, and cost nothing where storing to RAM takes time.
        self._ram = uvm.physmem.ram()[:]
        self._pagesize = uvm.physmem.pagesize
        self._last = self._pagesize - STAMP.size
        self._zeros = bytes(self._pagesize)

    def stamp(self, pg: VmPage, owner: int, version: int) -> None:
        """Write whose a page is; the caller holds it."""
        at = pg.pfn * self._pagesize
        pg.flags = 0
        STAMP.pack_into(self._ram, at, owner, pg.pfn, version)
        STAMP.pack_into(self._ram, at + self._last, owner, pg.pfn, version)

    def check(self, pg: VmPage, owner: int, version: int) -> None:
        """Check that a page is still as its holder left it: StampError names the page and what stands there."""
        at = pg.pfn * self._pagesize
        wanted = (owner, pg.pfn, version)
        first, last = STAMP.unpack_from(self._ram, at), STAMP.unpack_from(self._ram, at + self._last)
        if first != wanted or last != wanted:
            where, found = ("begins", first) if first != wanted else ("ends", last)
            raise StampError(f"{pg!r}, {named(owner)}: {where} with {_read(found)}, not with {_read(wanted)}")
        if not isinstance(pg.on, str):
            raise StampError(f"{pg!r}, {named(owner)}: stands on a free list")

    def check_zero(self, pg: VmPage) -> None:
        """Check that a page which was asked for as zeroed is zero."""
        at = pg.pfn * self._pagesize
        found = bytes(self._ram[at : at + self._pagesize])
        if found != self._zeros:
            where, byte = next((where, byte) for where, byte in enumerate(found) if byte)
            raise StampError(
                f"{pg!r}: byte {where} of a page that was asked for as zeroed is {byte:#x}; "
                f"it begins with {_read(STAMP.unpack_from(found))}"
            )


def named(owner: int) -> str:
    """Return who an owner in a stamp is."""
    if owner >= CPU0:
        return f"held by CPU {owner - CPU0}"
    return _NAMES.get(owner, f"of map {owner}" if owner else "nobody's")


def _read(stamp: tuple[int, ...]) -> str:
    owner, number, version = stamp
    return f"({named(owner)}, page {number:#x}, version {version})"
