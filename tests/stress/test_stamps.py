"""The stamps of a stress run: whatever is wrong with a page's bytes or place is said, with whose it was."""

from collections.abc import Iterator

import pytest

import uvmfree
from uvmfree.stress.stamps import CPU0, LOOSE, Stamper, named
from uvmfree.uvm.anonpage import STAMP, StampError
from uvmfree.uvm.page import VmPage

PAGESIZE = 512


class Desk:
    """A page in hand, stamped by CPU 1."""

    def __init__(self, uvm: uvmfree.Uvm) -> None:
        self.uvm = uvm
        self.stamper = Stamper(uvm)
        pg = uvm.cpus[0].pagealloc()
        assert pg is not None
        self.pg: VmPage = pg
        self.stamper.stamp(pg, CPU0 + 1, 3)

    def write(self, offset: int, *stamp: int) -> None:
        STAMP.pack_into(self.uvm.physmem.bytes_of(self.pg), offset, *stamp)

    def complaint(self) -> str:
        with pytest.raises(StampError) as wrong:
            self.stamper.check(self.pg, CPU0 + 1, 3)
        assert repr(self.pg) in str(wrong.value)
        return str(wrong.value)


@pytest.fixture
def desk() -> Iterator[Desk]:
    uvm = uvmfree.boot(npages=64, ncpus=2, pagesize=PAGESIZE)
    yield Desk(uvm)
    uvm.close()


def test_a_page_with_two_holders_is_found_at_either_end(desk: Desk) -> None:
    """R3: the stamp of somebody else, at the beginning or only at the end."""
    desk.stamper.check(desk.pg, CPU0 + 1, 3)
    desk.write(PAGESIZE - STAMP.size, LOOSE, desk.pg.pfn, 1)
    assert "held by CPU 1: ends with (left to the pagedaemon, page " in desk.complaint()
    desk.write(0, 1, 7, 9)
    assert "begins with (of map 1, page 0x7, version 9), not with (held by CPU 1, page " in desk.complaint()


def test_a_page_that_is_held_and_free_is_found(desk: Desk) -> None:
    """R3: its stamps are right, and it stands on a list."""
    desk.uvm.cpus[0].pagefree(desk.pg)
    assert desk.complaint().endswith("held by CPU 1: stands on a free list")


def test_a_page_that_should_be_zero_says_which_byte_is_not(desk: Desk) -> None:
    """R12: and whose it was, by the stamp that it begins with."""
    with pytest.raises(StampError, match=r"byte 0 of a page .* begins with \(held by CPU 1, page "):
        desk.stamper.check_zero(desk.pg)
    desk.uvm.physmem.bytes_of(desk.pg)[:] = bytes(PAGESIZE)
    desk.stamper.check_zero(desk.pg)
    desk.uvm.physmem.bytes_of(desk.pg)[PAGESIZE - 1] = 0xA5
    with pytest.raises(StampError, match=r"byte 511 .* is 0xa5; it begins with \(nobody's, page 0x0, version 0\)"):
        desk.stamper.check_zero(desk.pg)


def test_every_owner_has_a_name() -> None:
    assert [named(owner) for owner in (0, 4, LOOSE, CPU0, CPU0 + 3)] == [
        "nobody's", "of map 4", "left to the pagedaemon", "held by CPU 0", "held by CPU 3",
    ]  # fmt: skip
