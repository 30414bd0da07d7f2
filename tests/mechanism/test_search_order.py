"""The order of the proposal's search, page by page: by colour, and what a miss brings along (Q9, Q15)."""

import pytest

import uvmfree
from tests.conformance.steps import dirty, is_zero, take
from tests.kern.tasks import begin, finish
from tests.mechanism.rig import SMALL, Boot, ReleaseMachine, free_globally, free_on, settle, take_everything
from uvmfree.uvm.page import PG_BUSY, PG_CLEAN, PG_FAKE, PG_ZERO, Place, VmPage


def by_colour(pages: list[VmPage]) -> dict[int, list[VmPage]]:
    return {color: [pg for pg in pages if pg.color == color] for color in range(4)}


@pytest.mark.parametrize("hoard_max", [None, 16], ids=["", "bounded"])
def test_by_colour_the_global_list_comes_before_the_caches_next_colour(boot: Boot, hoard_max: int | None) -> None:
    """Q9: own and global of the start colour, then of the next one."""
    uvm = boot(design="percpu", search="colour", hoard_max=hoard_max)
    pages = take_everything(uvm)
    colours = by_colour(pages)
    free_globally(uvm, colours[1][:1] + colours[3][:14])
    free_on(uvm, 0, colours[2][:1])
    assert [take(uvm.cpus[0], color=1, use_reserve=True).color for _ in range(3)] == [1, 2, 3]
    free_on(uvm, 1, [pg for pg in pages if pg.place is Place.ALLOCATED])
    settle(uvm)


def test_by_colour_no_page_is_missed_that_comes_to_a_colour_as_another_leaves() -> None:
    """R6 and Q9: between two colours the list is unlocked; as long as there is a page on it one is found."""
    machine = ReleaseMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": "percpu", "search": "colour"})
    colours = by_colour(take_everything(uvm))
    comes, leaves = colours[0][0], colours[1][0]
    free_globally(uvm, [leaves])

    def meanwhile() -> None:
        free_globally(uvm, [comes])
        with uvm.run_on(0, lwp="kernel") as cpu:
            assert cpu.pagealloc(color=1) is leaves

    machine.at, machine.then = "uvm_fpageqlock", lambda: finish(begin(meanwhile))
    with uvm.run_on(1, lwp="pagedaemon") as cpu:
        assert cpu.pagealloc(color=0) is comes
    uvm.close()


def test_without_it_the_caches_next_colour_comes_before_the_global_list(boot: Boot) -> None:
    """Q9: the whole cache first."""
    uvm = boot(design="percpu")
    pages = take_everything(uvm)
    colours = by_colour(pages)
    free_globally(uvm, colours[1][:1] + colours[3][:14])
    free_on(uvm, 0, colours[2][:1])
    assert [take(uvm.cpus[0], color=1, use_reserve=True).color for _ in range(3)] == [2, 1, 3]
    free_on(uvm, 1, [pg for pg in pages if pg.place is Place.ALLOCATED])
    settle(uvm)


@pytest.mark.parametrize("start", range(4))
def test_a_batch_begins_at_the_colour_after_the_page_that_was_wanted(boot: Boot, start: int) -> None:
    """Q15 and R7: that is where the next allocation will look."""
    uvm = boot(design="percpu", refill=3)
    cpu = uvm.cpus[0]
    assert take(cpu, color=start).color == start
    cached = sorted((pg.color - start) % 4 for pg in uvm.physmem if pg.place is Place.CACHED)
    assert cached == [1, 2]
    misses = uvm.cpu_stats()[0].cpumiss
    assert [(take(cpu).color - start) % 4 for _ in range(2)] == [1, 2]
    stats = uvm.cpu_stats()[0]
    assert (stats.cpumiss, stats.colormiss) == (misses, 0)


def test_the_global_list_is_searched_by_ascending_colours(boot: Boot, design: str) -> None:
    """R9: colours in rotation from the start colour, upwards."""
    uvm = boot(design=design)
    pages = take_everything(uvm)
    colours = by_colour(pages)
    free_globally(uvm, [*colours[0][:6], *colours[3][:6], *colours[2][:6]])
    got = [take(uvm.cpus[1], color=1, use_reserve=True).color for _ in range(17)]
    assert got == [2] * 6 + [3] * 6 + [0] * 5


def test_a_warm_page_that_is_wanted_zeroed_says_what_it_is(boot: Boot, design: str) -> None:
    """R12: BUSY, FAKE and ZERO, not CLEAN, by the short way too."""
    uvm = boot(design=design)
    cpu = uvm.cpus[0]
    for _ in range(4):
        pg = take(cpu)
        dirty(uvm, pg)
        assert pg.flags == PG_BUSY | PG_CLEAN | PG_FAKE
        cpu.pagefree(pg)
        pg = take(cpu, zero=True)
        assert is_zero(uvm, pg)
        assert pg.flags == PG_BUSY | PG_FAKE | PG_ZERO
    pages = [take(cpu) for _ in range(4)]
    for pg in pages:
        cpu.pagefree(pg)
    assert {take(cpu, zero=True).flags for _ in pages} == {PG_BUSY | PG_FAKE | PG_ZERO}
