"""Contiguous and ranged allocation at its edges: boundary, segment, range; counts over several calls."""

from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import Boot, free_on, settle, take_everything


def frames(uvm: uvmfree.Uvm, size: int, **how: Any) -> list[int]:
    return [pg.pfn for pg in uvm.pglistalloc(size, **how)]


def only_free(uvm: uvmfree.Uvm, free: set[int]) -> None:
    """Take every page of a system but these."""
    free_on(uvm, 1, [pg for pg in take_everything(uvm) if pg.pfn in free])


@pytest.mark.parametrize("alignment", [1, 2])
def test_a_run_may_begin_right_behind_the_boundary_that_it_may_not_cross(
    boot: Boot, design: str, alignment: int
) -> None:
    """R26: from the last frame before a boundary on, the next candidate is the boundary itself."""
    uvm = boot(design=design)
    only_free(uvm, {*range(7, 12), *range(40, 64)})
    assert frames(uvm, 4, boundary=8, alignment=alignment) == [8, 9, 10, 11]
    uvm.audit()


def test_a_run_of_two_right_behind_each_boundary(boot: Boot, design: str) -> None:
    """R26: the shortest run that can cross one."""
    uvm = boot(design=design)
    only_free(uvm, {3, 4, 5, 11, 12, 13, *range(40, 60)})
    assert frames(uvm, 2, boundary=4, high=32) == [4, 5]
    assert frames(uvm, 2, boundary=4, high=32) == [12, 13]
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(2, boundary=4, high=32)
    uvm.audit()


def test_two_pages_are_neighbours_where_nothing_else_is_said(boot: Boot, design: str) -> None:
    """R25: one run is what is asked for by default, for the smallest run, too."""
    uvm = boot(design=design)
    only_free(uvm, {*range(1, 64, 2)})
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(2)
    assert frames(uvm, 2, nsegs=2) == [1, 3]
    uvm.audit()


def test_pages_in_range_only_whichever_segment_is_looked_at_first(boot: Boot, design: str) -> None:
    """R25 and R26: high is exclusive, also where a whole segment lies above it, and low where one lies below."""
    uvm = boot(design=design, npages=96, nfreelists=3)
    assert [(seg.start, seg.end) for seg in uvm.physmem.segments] == [(0, 32), (32, 64), (64, 96)]
    assert frames(uvm, 5, nsegs=5, high=32) == [0, 1, 2, 3, 4]
    assert frames(uvm, 5, nsegs=5, low=30, high=64) == [32, 33, 34, 35, 36]
    assert frames(uvm, 3, nsegs=3, low=31, high=33 + 32) == [37, 38, 64]
    with pytest.raises(uvmfree.OutOfPages, match="only 1 of 2 pages are free between frames 0x1f and 0x20"):
        uvm.pglistalloc(2, nsegs=2, low=31, high=32)
    uvm.audit()


def test_caches_that_were_handed_back_for_it_are_counted_over_all_calls(boot: Boot) -> None:
    """P7: a cause of redistribution like the others; pages handed out are counted too."""
    uvm = boot(design="percpu")
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[:20])
    for count in (1, 2, 3):
        free_on(uvm, 1, pages[20:40])
        assert frames(uvm, 20, low=20) == list(range(20, 40))
        assert uvm.redistributions()["pglistalloc"] == count
    assert frames(uvm, 2) == [0, 1]
    assert uvm.redistributions()["pglistalloc"] == 4
    uvm.audit()  # the pages that ranged allocation counts are those that no CPU does
    free_on(uvm, 1, [pg for pg in pages if pg.place is uvmfree.Place.ALLOCATED])
    settle(uvm)


def test_each_page_may_be_a_segment_of_the_boundary_by_itself(boot: Boot, design: str) -> None:
    """R25: a boundary of one page is a power of two, and a single page crosses none."""
    uvm = boot(design=design)
    assert frames(uvm, 1, boundary=1) == [0]
    assert frames(uvm, 1, boundary=2, alignment=2) == [2]


def test_on_a_single_cpu(boot: Boot, design: str) -> None:
    """R3: the shared counters follow by whatever CPU there is."""
    uvm = boot(design=design, ncpus=1)
    assert frames(uvm, 4) == [0, 1, 2, 3]
    assert uvm.uvmexp.free == 60
    uvm.audit()


@pytest.mark.parametrize("again", [{0, 1, 2, 3}, {2, 3, 4, 5}, {3, 4, 5, 6}, {10, 11, 12, 13}], ids=str)
def test_a_run_below_the_last_one_or_across_its_end_is_found_again(boot: Boot, design: str, again: set[int]) -> None:
    """R26: the search begins where the last run ended, and leaves nothing out when it starts over."""
    uvm = boot(design=design)
    assert frames(uvm, 4) == [0, 1, 2, 3]
    uvm.pglistfree(uvm.pglistalloc(4, low=10, high=14))  # the next search begins at frame 14
    pages = sorted((pg for pg in uvm.physmem), key=lambda pg: pg.pfn)
    uvm.pglistalloc(60, nsegs=60)
    free_on(uvm, 1, [pg for pg in pages if pg.pfn in again or (pg.pfn > 20 and pg.pfn % 2)])
    assert frames(uvm, 4) == sorted(again)
    uvm.audit()
