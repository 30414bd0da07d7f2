"""Contiguous and ranged allocation: what may be asked for, what comes out, what a failure leaves behind."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import dirty, take_all
from tests.mechanism.rig import (
    Boot,
    all_free,
    free_globally,
    free_on,
    settle,
    state,
    take_everything,
)
from uvmfree.uvm.page import PG_CLEAN, Place, VmPage

RESERVES = 11
"""Pages that pglistalloc leaves alone on 2 CPUs: 5 each for the kernel, 1 for the pagedaemon."""


def frames(pages: list[VmPage]) -> list[int]:
    return [pg.pfn for pg in pages]


def only_free(uvm: uvmfree.Uvm, free: set[int], owner: int = 1) -> list[VmPage]:
    """Take every page of a system but these, which one CPU frees; return those that are held."""
    pages = take_everything(uvm)
    free_on(uvm, owner, [pg for pg in pages if pg.pfn in free])
    return [pg for pg in pages if pg.pfn not in free]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("size", {"size": 0}),
        ("size", {"size": -3}),
        ("size", {"size": 2.0}),
        ("size", {"size": True}),
        ("low", {"low": -1}),
        ("low", {"low": "0"}),
        ("high", {"high": 0}),
        ("high", {"high": 1.5}),
        ("high", {"low": 8, "high": 8}),
        ("high", {"low": 9, "high": 5}),
        ("high", {"low": 9, "high": 16, "alignment": 8}),
        ("alignment", {"alignment": 0}),
        ("alignment", {"alignment": 3}),
        ("alignment", {"alignment": -4}),
        ("alignment", {"alignment": None}),
        ("boundary", {"boundary": 6}),
        ("boundary", {"boundary": -8}),
        ("boundary", {"boundary": False}),
        ("boundary", {"size": 5, "boundary": 4}),
        ("boundary", {"size": 2, "boundary": 1}),
        ("nsegs", {"nsegs": 0}),
        ("nsegs", {"nsegs": -1}),
        ("nsegs", {"nsegs": "1"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("waitok", [False, True], ids=["", "waitok"])
def test_a_wrong_argument_is_named(boot: Boot, design: str, name: str, wrong: dict[str, Any], waitok: bool) -> None:
    """R25: what each argument may be; the error names it and its value, and nothing has changed."""
    uvm = boot(design=design)
    before = state(uvm)
    with pytest.raises(uvmfree.ArgumentError, match=f"^{name}=") as refusal:
        uvm.pglistalloc(**{"size": 1} | wrong, waitok=waitok)
    assert repr(wrong.get(name)) in str(refusal.value)
    assert state(uvm) == before


def test_the_limits_of_the_arguments_are_allowed(boot: Boot, design: str) -> None:
    """R25: boundary 0 is none and boundary == size is none crossed; low is rounded up; high is exclusive."""
    uvm = boot(design=design)
    assert frames(uvm.pglistalloc(4, boundary=4)) == [0, 1, 2, 3]
    assert frames(uvm.pglistalloc(1, low=9, high=17, alignment=8)) == [16]
    assert frames(uvm.pglistalloc(2, low=20, high=22)) == [20, 21]
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(2, low=22, high=23)
    assert frames(uvm.pglistalloc(1, low=63, high=10**9)) == [63]
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(1, low=64)
    uvm.audit()


@pytest.mark.parametrize(
    ("how", "contiguous"),
    [
        ({}, True),  # one segment for four pages
        ({"nsegs": 1}, True),
        ({"nsegs": 3}, True),
        ({"nsegs": 4}, False),
        ({"nsegs": 9}, False),
        ({"nsegs": 4, "alignment": 2}, True),
        ({"nsegs": 4, "boundary": 16}, True),
        ({"nsegs": 4, "low": 1, "high": 60}, False),
    ],
    ids=str,
)
def test_when_it_has_to_be_one_run(boot: Boot, design: str, how: dict[str, Any], contiguous: bool) -> None:
    """R26: if nsegs < pages, or alignment > a page, or boundary != 0; else any free pages in range."""
    uvm = boot(design=design)
    held = only_free(uvm, set(range(0, 64, 2)))
    before = state(uvm)
    if contiguous:
        with pytest.raises(uvmfree.OutOfPages, match="R26"):
            uvm.pglistalloc(4, **how)
        assert state(uvm) == before
        free_on(uvm, 0, [pg for pg in held if pg.pfn in (41, 43)])
        pages = uvm.pglistalloc(4, **how)
        assert frames(pages) == list(range(40, 44))
    else:
        pages = uvm.pglistalloc(4, **how)
        low = how.get("low", 0)
        assert frames(pages) == [pfn for pfn in range(low, 64) if pfn % 2 == 0][:4]
    assert {(pg.place, pg.flags) for pg in pages} == {(Place.ALLOCATED, PG_CLEAN)}
    uvm.audit()


def test_a_single_page_is_a_run_wherever_it_is(boot: Boot, design: str) -> None:
    """R26: of one page, in one segment, is asked for what is there; alignment and boundary still count."""
    uvm = boot(design=design)
    only_free(uvm, {*range(40, 64), 7, 33})
    assert frames(uvm.pglistalloc(1)) == [7]
    assert frames(uvm.pglistalloc(1, alignment=16)) == [48]
    assert frames(uvm.pglistalloc(8, boundary=8, alignment=2, low=41)) == [56, *range(57, 64)]
    uvm.audit()


def test_a_run_avoids_each_boundary_and_keeps_its_alignment(boot: Boot, design: str) -> None:
    """R26: among free pages, the first place that meets both, looking on from where the last run was found."""
    uvm = boot(design=design)
    only_free(uvm, {*range(6, 40), *range(49, 64, 2)})
    assert frames(uvm.pglistalloc(4, boundary=8)) == [8, 9, 10, 11]
    assert frames(uvm.pglistalloc(6, boundary=16, alignment=4)) == list(range(16, 22))
    assert frames(uvm.pglistalloc(3, boundary=32, alignment=2)) == [22, 23, 24]
    assert frames(uvm.pglistalloc(8, boundary=8)) == list(range(32, 40))
    assert frames(uvm.pglistalloc(4, boundary=4)) == [12, 13, 14, 15]  # nothing further on: from the beginning
    assert frames(uvm.pglistalloc(6, boundary=32)) == list(range(25, 31))
    uvm.audit()


@pytest.mark.parametrize("how", [{}, {"nsegs": 8}, {"size": 1}, {"waitok": True}], ids=str)
def test_it_leaves_the_reserves_alone(boot: Boot, variant: dict[str, Any], how: dict[str, Any]) -> None:
    """R27: refused while free pages, cached ones too, are not more than both reserves; nothing changes."""
    uvm = boot(**variant)
    pages = take_everything(uvm)
    free_globally(uvm, pages[:4])
    free_on(uvm, 1, pages[4:RESERVES])
    before = state(uvm)
    with pytest.raises(uvmfree.OutOfPages, match=f"{RESERVES} are free, which is what the reserves keep"):
        uvm.pglistalloc(**{"size": 8} | how)
    assert state(uvm) == before
    uvm.audit()
    free_on(uvm, 1, [pages[RESERVES]])
    assert len(uvm.pglistalloc(**{"size": 8} | how)) == how.get("size", 8)
    uvm.audit()


@pytest.mark.parametrize(
    "how",
    [
        {"size": 13},
        {"size": 25, "nsegs": 25},
        {"size": 12, "alignment": 16},
        {"size": 12, "boundary": 16, "low": 21},
        {"size": 9, "nsegs": 9, "low": 30},
        {"size": 65, "nsegs": 65},
    ],
    ids=str,
)
def test_all_or_nothing(boot: Boot, variant: dict[str, Any], how: dict[str, Any]) -> None:
    """R27: a request that cannot be met leaves every counter, cache and list as it was, in order."""
    uvm = boot(**variant, nfreelists=2)
    free = {*range(4, 16), *range(20, 32)}
    held = take_everything(uvm)
    by_frame = {pg.pfn: pg for pg in held}
    free_globally(uvm, [by_frame[pfn] for pfn in free if pfn % 3 == 0])
    free_on(uvm, 0, [by_frame[pfn] for pfn in free if pfn % 3 == 1])
    free_on(uvm, 1, [by_frame[pfn] for pfn in free if pfn % 3 == 2])
    uvm.cpus[1].pageidlezero()
    before = state(uvm)
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(**how)
    assert state(uvm) == before
    uvm.audit()


def test_cached_pages_are_found_whoever_has_them(boot: Boot, variant: dict[str, Any]) -> None:
    """R28 and P7: a run over the pages of every CPU's cache and of the global list."""
    uvm = boot(**variant, ncpus=3, npages=96)
    pages = take_everything(uvm)
    for index in range(3):
        free_on(uvm, index, pages[16 + 8 * index : 24 + 8 * index])
    uvm.cpus[1].pageidlezero()
    free_on(uvm, 0, pages[60:80])
    uvm.redistribute(0)
    free_on(uvm, 0, pages[58:60])
    zeropages = sum(pg.zeroed for pg in pages if pg.place is not Place.ALLOCATED)
    assert zeropages > 0
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(25)
    assert frames(uvm.pglistalloc(22, low=19)) == list(range(58, 80))
    run = uvm.pglistalloc(22)
    assert frames(run) == list(range(16, 38))
    assert not any(pg.zeroed for pg in run)
    assert (all_free(uvm), uvm.uvmexp.zeropages) == (2, 0)
    uvm.audit()


def test_only_the_caches_that_hold_a_page_of_the_answer_are_handed_back(boot: Boot) -> None:
    """R28 and P7: counted as causes of redistribution."""
    uvm = boot(design="percpu", ncpus=3, npages=96)
    pages = take_everything(uvm)
    for index in range(3):
        free_on(uvm, index, pages[16 * index : 16 * index + 16])
    before = uvm.redistributions()["pglistalloc"]
    assert frames(uvm.pglistalloc(4, low=14)) == [14, 15, 16, 17]
    assert uvm.redistributions()["pglistalloc"] == before + 2
    assert uvm.cached_pages() == (0, 0, 16)
    uvm.audit()


@pytest.mark.parametrize("how", [{"size": 12}, {"size": 16, "nsegs": 16}], ids=str)
def test_a_page_that_is_being_zeroed_is_never_taken(boot: Boot, design: str, how: dict[str, Any]) -> None:
    """R28 and R16: asked in the middle of idle zeroing, for more than there is without that page."""
    uvm = boot(design=design)
    held = take_everything(uvm)
    free_on(uvm, 1, [pg for pg in held if pg.pfn in range(16, 32) and pg.pfn != 20])
    free_on(uvm, 1, [pg for pg in held if pg.pfn == 20])  # the warmest of colour 0, where the search begins
    seen: list[VmPage] = []
    got: list[VmPage] = []

    def runnable() -> bool:
        being = [pg for pg in uvm.physmem if pg.place is Place.ZEROING]
        if being and not seen:
            seen.extend(being)
            assert being[0].pfn == 20  # in the way of 12 in a row
            before = state(uvm)
            with pytest.raises(uvmfree.OutOfPages):
                uvm.pglistalloc(**how)
            assert state(uvm) == before
            got.extend(uvm.pglistalloc(15, nsegs=15))
            assert being[0].place is Place.ZEROING
            uvm.audit()
        return False

    with uvm.run_on(1) as cpu:
        assert cpu.pageidlezero(runnable) == 1
    assert seen[0] not in got
    assert len(got) == 15
    assert (seen[0].place is Place.ALLOCATED, seen[0].zeroed, seen[0].owner) == (False, True, 1)
    uvm.audit()


def test_a_run_stays_within_a_segment_and_the_best_freelist_is_first(boot: Boot, variant: dict[str, Any]) -> None:
    """R26: one run within one physical segment. Freelist 0 has the highest frames, and is asked first."""
    uvm = boot(**variant, npages=96, nfreelists=3)
    assert [(seg.start, seg.end, seg.free_list) for seg in uvm.physmem.segments] == [
        (0, 32, 2), (32, 64, 1), (64, 96, 0),
    ]  # fmt: skip
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(33)
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(16, low=20, high=44)
    assert frames(uvm.pglistalloc(30)) == list(range(64, 94))
    assert frames(uvm.pglistalloc(3)) == [32, 33, 34]
    assert frames(uvm.pglistalloc(32)) == list(range(32))
    uvm.audit()


def test_any_pages_come_from_the_best_freelist_and_by_ascending_frame(boot: Boot, design: str) -> None:
    """R26: pages that need not be a run may come from all segments."""
    uvm = boot(design=design, npages=96, nfreelists=3)
    assert frames(uvm.pglistalloc(30, nsegs=30)) == list(range(64, 94))
    assert frames(uvm.pglistalloc(6, nsegs=6)) == [32, 33, 34, 35, 94, 95]
    assert frames(uvm.pglistalloc(40, nsegs=40, low=5, high=60)) == [*range(5, 21), *range(36, 60)]
    uvm.audit()


@pytest.mark.parametrize("fails", [False, True], ids=["", "fails"])
def test_it_kicks_the_daemon_at_the_end_if_memory_is_short(boot: Boot, design: str, fails: bool) -> None:
    """R29 and R17: by the count of free pages before it, whether it got what it wanted or not."""
    uvm = boot(design=design)
    marks = uvm.uvmexp.marks
    uvm.pglistalloc(64 - marks.freemin)
    assert (uvm.uvmexp.free, uvm.pageout.kicks) == (marks.freemin, 0)
    uvm.pglistalloc(1)
    assert uvm.pageout.kicks == 0
    if fails:
        with pytest.raises(uvmfree.OutOfPages):
            uvm.pglistalloc(marks.freemin)
    else:
        uvm.pglistalloc(1)
    assert uvm.pageout.kicks == 1


def test_pages_are_freed_to_the_cpu_that_the_caller_plays(boot: Boot, variant: dict[str, Any]) -> None:
    """R28: pglistfree() is a free like any other, and refuses like any other."""
    uvm = boot(**variant)
    pages = uvm.pglistalloc(6)
    with uvm.run_on(1):
        uvm.pglistfree(pages[:3])
    uvm.pglistfree(pages[3:])
    assert [pg.owner for pg in pages] == [1, 1, 1, 0, 0, 0]
    with pytest.raises(uvmfree.DoubleFree):
        uvm.pglistfree(pages[:1])
    settle(uvm)


def test_what_comes_out_is_a_page_like_any_other(boot: Boot, variant: dict[str, Any]) -> None:
    """R28: freed and allocated again, by pagealloc as well, zeroed where that is asked for."""
    uvm = boot(**variant)
    for pg in uvm.pglistalloc(64):
        dirty(uvm, pg)
        uvm.pglistfree([pg])
    zeroed = take_all(uvm.cpus[0], zero=True)
    assert not any(any(uvm.physmem.bytes_of(pg)) for pg in zeroed)
    free_on(uvm, 1, zeroed)
    settle(uvm)
