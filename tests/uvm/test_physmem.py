"""RAM: how it is cut into segments, and that each page has bytes of its own."""

import gc
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uvmfree.machine.threads import MappedRam
from uvmfree.uvm.page import Place
from uvmfree.uvm.physmem import PhysMem, PhysSeg, split


@given(npages=st.integers(8, 5000), nfreelists=st.integers(1, 8))
def test_segments_cover_all_frames_as_equally_as_can_be(npages: int, nfreelists: int) -> None:
    segments = split(npages, nfreelists)
    assert segments[0].start == 0
    assert segments[-1].end == npages
    assert all(one.end == two.start for one, two in itertools.pairwise(segments))
    sizes = [seg.end - seg.start for seg in segments]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert [seg.free_list for seg in segments] == list(range(nfreelists))[::-1]


def test_the_lowest_addresses_are_on_the_last_freelist() -> None:
    """R10: what is scarce is taken last."""
    assert split(10, 2) == (PhysSeg(0, 5, 1), PhysSeg(5, 10, 0))


def test_pages_have_their_colour_freelist_and_system() -> None:
    """R1: the colour is the frame number & colormask; the freelist is the segment's."""
    physmem = PhysMem([PhysSeg(0, 3, 1), PhysSeg(8, 13, 0)], ncolors=4, pagesize=512, make_ram=MappedRam)
    pages = list(physmem)
    assert [pg.pfn for pg in pages] == [0, 1, 2, 8, 9, 10, 11, 12]
    assert [pg.color for pg in pages] == [0, 1, 2, 0, 1, 2, 3, 0]
    assert [pg.free_list for pg in pages] == [1] * 3 + [0] * 5
    assert {pg.on for pg in pages} == {physmem.system}
    assert {(pg.place, pg.owner, pg.zeroed) for pg in pages} == {(Place.ALLOCATED, None, False)}
    assert physmem.npages == 8
    physmem.close()


def test_each_page_has_bytes_of_its_own() -> None:
    physmem = PhysMem([PhysSeg(0, 3, 0), PhysSeg(8, 10, 0)], ncolors=4, pagesize=512, make_ram=MappedRam)
    for pg in physmem:
        assert physmem.bytes_of(pg) == bytes(512)
        physmem.bytes_of(pg)[:] = bytes([pg.pfn + 1]) * 512
    for pg in physmem:
        assert physmem.bytes_of(pg) == bytes([pg.pfn + 1]) * 512
        assert physmem.ram()[pg.pfn * 512] == pg.pfn + 1
    physmem.close()


def test_populating_leaves_zeros() -> None:
    physmem = PhysMem(split(16, 1), ncolors=1, pagesize=4096, make_ram=MappedRam)
    physmem.populate()
    assert physmem.ram() == bytes(16 * 4096)
    physmem.close()


def test_closing_waits_for_nobody_who_still_looks() -> None:
    physmem = PhysMem(split(16, 1), ncolors=1, pagesize=512, make_ram=MappedRam)
    ram = physmem.ram()
    ram[0] = 7
    physmem.close()
    assert ram[0] == 7
    assert physmem.npages == 0
    ram.release()


def test_two_memories_are_two_systems() -> None:
    one, two = (PhysMem(split(16, 1), ncolors=1, pagesize=512, make_ram=MappedRam) for _ in range(2))
    assert one.system != two.system
    one.close()
    two.close()


@pytest.mark.parametrize("nfreelists", [1, 3])
def test_a_page_says_who_and_where_it_is(nfreelists: int) -> None:
    physmem = PhysMem(split(30, nfreelists), ncolors=4, pagesize=512, make_ram=MappedRam)
    pg = list(physmem)[-1]
    assert repr(pg) == "<page 0x1d, color 1, freelist 0, allocated>"
    physmem.close()


def test_populating_touches_every_page() -> None:
    class Dirty:
        """RAM of which every byte is 1."""

        def __init__(self, nbytes: int) -> None:
            self.bytes = bytearray(b"\1" * nbytes)

        def view(self) -> memoryview:
            return memoryview(self.bytes)

    physmem = PhysMem(split(8, 2), 1, 512, Dirty)
    physmem.populate()
    assert [physmem.bytes_of(pg)[0] for pg in physmem] == [0] * 8
    assert sum(physmem.ram()) == 8 * 511


@pytest.mark.parametrize("collecting", [True, False])
def test_whoever_has_no_garbage_collected_has_none_collected_afterwards(collecting: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collecting else gc.disable)()
    try:
        PhysMem(split(8, 1), 1, 512, MappedRam)
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()


def test_a_page_of_the_same_frame_elsewhere_is_none_of_these() -> None:
    one, other = (PhysMem(split(8, 2), 1, 512, MappedRam) for _ in range(2))
    assert all(one.has(pg) and not other.has(pg) for pg in one)
    one.close()
    assert not any(one.has(pg) for pg in other)
