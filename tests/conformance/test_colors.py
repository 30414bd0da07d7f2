"""Colours, in every design that keeps them, and what is left of them in one that does not."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import asks, by_frame, counted, free_all, take, take_all


def one_by_one(traits: uvmfree.Traits) -> bool:
    """Whether a design keeps colours and brings no page that was not asked for, so that each next one is known."""
    return traits.colors is not None and traits.refill == 1


def test_the_next_colour_is_the_one_after_the_last(boot: Boot) -> None:
    """R7: nextcolor = (actual + 1) & colormask, whichever colour that was; on each CPU by itself."""
    uvm = boot(ncolors=8)
    for number, color in enumerate([None, None, 3, 5, None, 9, None, 0, None]):
        cpu = uvm.cpus[number % 2]
        pg = take(cpu, color=color, zero=number % 3 == 0)
        assert cpu.nextcolor == (pg.color + 1) % 8
        if number % 4 == 0:
            cpu.pagefree(pg)


@pytest.mark.parametrize("how", [{}, {"color": 1}, {"zero": True, "color": 3}], ids=str)
def test_a_failure_moves_nothing(boot: Boot, how: dict[str, Any]) -> None:
    """R7 and R11: also when it was a search with a colour that failed."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    pages = take_all(cpu)
    before, nextcolor = counted(uvm), cpu.nextcolor
    assert cpu.pagealloc(**how) is None
    assert (counted(uvm), cpu.nextcolor) == (before, nextcolor)
    free_all(cpu, pages)
    take(cpu, use_reserve=True)


@asks(lambda traits: traits.colors in ("system", "cache"))
@pytest.mark.parametrize("color", range(4))
def test_a_wanted_colour_that_the_store_has_is_had(boot: Boot, color: int) -> None:
    """R7: from a CPU that has no other page at hand."""
    uvm = boot(ncolors=4)
    uvm.redistribute()
    got = take(uvm.cpus[1], color=color).color
    assert got == color, f"colour {got} came for colour {color}, which the store has"
    assert uvm.cpu_stats()[1].colorhit == 1


@asks(lambda traits: traits.colors and traits.freed != "store")
def test_where_a_colour_is_looked_for_first(boot: Boot) -> None:
    """R9 and Q9: a page of another colour from the cache, or one of the right colour from the store."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    other = next(pg for pg in by_frame(uvm, 8) if pg.color == 3)
    cpu.pagefree(other)
    pg = take(cpu, color=0)
    if uvm.traits.colors == "system":
        assert pg.color == 0
    else:
        assert pg is other


@asks(lambda traits: traits.colors is None)
def test_without_colours_a_wish_for_one_costs_nothing_and_gives_nothing(boot: Boot) -> None:
    """R7: any page is as good; what comes out is counted by its colour all the same (R11)."""
    uvm = boot(ncolors=4)
    one, two = boot(ncolors=4), uvm
    wishes = [(number * 7) % 4 for number in range(30)]
    wished = [take(one.cpus[0], color=color).pfn for color in wishes]
    assert wished == [take(two.cpus[0]).pfn for _ in wishes]
    assert one.cpu_stats()[0].colorhit == sum(pfn % 4 == color for pfn, color in zip(wished, wishes, strict=True))


@asks(one_by_one)
def test_colours_rotate_from_the_one_after_the_last(boot: Boot) -> None:
    """R7: without a colour wanted the search starts at nextcolor = (actual + 1) & colormask."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    assert [take(cpu).color for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    assert take(cpu, color=7).color == 3
    assert take(cpu).color == 0
    assert [take(uvm.cpus[1]).color for _ in range(3)] == [0, 1, 2]  # each CPU has its own
    assert [take(cpu, color=color).color for color in (-1, 4, 1 << 70)] == [3, 0, 0]


@asks(one_by_one)
def test_colours_rotate_through_what_a_cpu_freed_itself(boot: Boot) -> None:
    """R7 and R11: also when every page comes off the own list."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    free_all(cpu, [take(cpu) for _ in range(16)])
    take(cpu, color=2)
    assert [take(cpu, zero=zero).color for zero in (False, True, False, False, True)] == [3, 0, 1, 2, 3]
    stats = uvm.cpu_stats()[0]
    assert (stats.cpuhit - 16 * (stats.cpumiss == 0), stats.colormiss) == (6, 0)


@asks(one_by_one)
@pytest.mark.parametrize("refusal", [{}, {"strat": "only", "free_list": 1, "use_reserve": True}], ids=str)
def test_a_failure_moves_no_colour(boot: Boot, refusal: dict[str, Any]) -> None:
    """R7: nextcolor changes on success only."""
    uvm = boot(ncolors=4, nfreelists=2)
    cpu = uvm.cpus[0]
    pages = take_all(cpu, strat="only", free_list=1, use_reserve=True) + take_all(cpu)
    for color in range(4):
        cpu.pagefree(pages.pop(next(n for n, pg in enumerate(pages) if pg.color == color and pg.free_list == 0)))
        last = take(cpu, color=color, use_reserve=True)
        before = counted(uvm)
        for wanted in (None, 0, 1, 2, 3):
            assert cpu.pagealloc(color=wanted, **refusal) is None
        assert counted(uvm) == before
        assert cpu.nextcolor == (last.color + 1) % 4
        pages.append(last)
    free_all(cpu, pages)
    assert take(cpu).color == 0


@asks(one_by_one)
def test_colours_in_rotation_before_the_next_freelist(boot: Boot) -> None:
    """R9: freelist outermost, then colours in rotation from the start colour."""
    uvm = boot(ncolors=4, nfreelists=2, npages=64, ncpus=1)
    cpu = uvm.cpus[0]
    one_each = {pg.color: pg for pg in take_all(cpu, strat="only", free_list=0)}
    for pg in one_each.values():
        cpu.pagefree(pg)
    got = [take(cpu, color=2) for _ in range(5)]
    assert [(pg.free_list, pg.color) for pg in got] == [(0, 2), (0, 3), (0, 0), (0, 1), (1, 2)]
