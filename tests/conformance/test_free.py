"""Freeing, in every design: to the current CPU, and every misuse an error that changes nothing."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import asks, by_frame, cached, counted, dirty, take
from uvmfree.uvm.page import VmPage


@asks(lambda traits: traits.freed == "store")
def test_a_freed_page_goes_to_the_store(boot: Boot) -> None:
    """R13: whichever CPU frees it, it is with none, and any CPU may have it."""
    uvm = boot(npages=128)
    pages = by_frame(uvm, uvm.param.npages)
    for number, pg in enumerate(pages):
        uvm.cpus[number % 2].pagefree(pg)
        assert (pg.place, pg.owner) == (uvmfree.Place.GLOBAL, None)
    assert cached(uvm) == 0


@asks(lambda traits: traits.freed != "store" and traits.lifo)
def test_a_page_goes_to_the_list_of_the_cpu_that_frees_it(boot: Boot) -> None:
    """R13 and P5: the current CPU's list, wherever the page was allocated."""
    uvm = boot(npages=128)
    zero, one = uvm.cpus
    pages = [pg for pg in by_frame(uvm, 12) if pg.color == 0]
    one.pagefree(pages[0])
    zero.pagefree(pages[1])
    one.pagefree(pages[2])
    assert [pg.owner for pg in pages] == [1, 0, 1]
    assert [stats.frees for stats in uvm.cpu_stats()] == [1, 2]
    assert [take(one, color=0), take(one, color=0), take(zero, color=0)] == [pages[2], pages[0], pages[1]]
    assert [stats.cpuhit for stats in uvm.cpu_stats()][1] == 2


def test_a_dirty_page_is_never_taken_for_a_zeroed_one(boot: Boot) -> None:
    """R13: a freed page goes to the UNKNOWN queue, though it came out zeroed."""
    uvm = boot()
    pg = take(uvm.cpus[0], zero=True)
    assert pg.zeroed
    dirty(uvm, pg)
    uvm.cpus[0].pagefree(pg)
    assert not pg.zeroed
    assert uvm.uvmexp.zeropages == 0


@pytest.mark.parametrize("freer", [0, 1])
def test_a_double_free_names_the_page_and_changes_nothing(boot: Boot, freer: int) -> None:
    """R13: on the same CPU or on another, from a cache or from the global list."""
    uvm = boot()
    pages = [take(uvm.cpus[0]) for _ in range(8)]
    for pg in pages[:4]:
        uvm.cpus[0].pagefree(pg)
    uvm.redistribute()
    for pg in pages[4:7]:
        uvm.cpus[0].pagefree(pg)
    before = counted(uvm)
    for pg in pages[:7]:
        with pytest.raises(uvmfree.DoubleFree) as refusal:
            uvm.cpus[freer].pagefree(pg)
        assert f"page {pg.pfn:#x}" in str(refusal.value)
        assert counted(uvm) == before
        uvm.audit()
    uvm.cpus[freer].pagefree(pages[7])


def test_a_page_that_was_never_allocated_is_refused(boot: Boot) -> None:
    """R13: it stands on a free list already; the error names it."""
    uvm = boot()
    before = counted(uvm)
    for pg in uvm.physmem:
        with pytest.raises(uvmfree.DoubleFree, match=f"page {pg.pfn:#x},"):
            uvm.cpus[1].pagefree(pg)
    assert counted(uvm) == before


def test_a_page_of_another_system_is_refused_by_both(boot: Boot) -> None:
    """R13: nothing changes in either system."""
    one, two = boot(), boot()
    held, free = take(two.cpus[0]), next(pg for pg in two.physmem if pg.place is not uvmfree.Place.ALLOCATED)
    take(one.cpus[0])
    before = counted(one), counted(two)
    for pg in (held, free, VmPage(3, 3, 0, "made by hand")):
        with pytest.raises(uvmfree.ForeignPage, match=f"page {pg.pfn:#x}, .* belongs to another system"):
            one.cpus[0].pagefree(pg)
        assert (counted(one), counted(two)) == before
        one.audit()
        two.audit()
    two.cpus[1].pagefree(held)


class Pretender:
    """Something that has what a page has, and is none."""

    on = "none"

    def __repr__(self) -> str:
        return "<pretender" + "!" * 500


@pytest.mark.parametrize(
    "thing", [3, None, "x", b"", [], object(), VmPage, Pretender()], ids=lambda thing: f"{thing!r:.20}"
)
def test_what_is_no_page_is_refused_by_name(boot: Boot, thing: Any) -> None:
    """R13: the error shows what was given, on one line, and nothing changes."""
    uvm = boot()
    take(uvm.cpus[0])
    before = counted(uvm)
    with pytest.raises(uvmfree.ForeignPage) as refusal:
        uvm.cpus[0].pagefree(thing)
    said = str(refusal.value)
    assert f"{thing!r:.40}" in said
    assert "not a page" in said
    assert len(said) < 200
    assert counted(uvm) == before
    assert refusal.value.__cause__ is None
    take(uvm.cpus[0])  # no lock is left held


def test_many_refusals_leave_a_working_system(boot: Boot) -> None:
    """R13: nothing changes, however often."""
    uvm = boot()
    pg = take(uvm.cpus[0])
    uvm.cpus[0].pagefree(pg)
    for _ in range(50):
        with pytest.raises(uvmfree.DoubleFree):
            uvm.cpus[1].pagefree(pg)
    again = take(uvm.cpus[0], color=pg.color)
    assert again is pg or not uvm.traits.lifo
    uvm.cpus[1].pagefree(again)
    assert again.owner == (None if uvm.traits.freed == "store" else 1)
