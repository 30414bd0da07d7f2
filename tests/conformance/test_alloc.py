"""Allocation, in every design: reserves, colours, freelists, strategies, counters and flags."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import counted, dirty, flags, free_all, is_zero, take, take_all
from tests.conformance.zeros import zero_free_pages


def test_the_reserve_is_kept_from_ordinary_threads(boot: Boot) -> None:
    """R5 and R6: refuse at reserve_kernel, but with USERESERVE only at reserve_pagedaemon."""
    uvm = boot(ncpus=3)
    cpu = uvm.cpus[0]
    taken = take_all(cpu)
    assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel == 15
    taken += take_all(cpu, use_reserve=True)
    assert uvm.uvmexp.free == uvm.uvmexp.reserve_pagedaemon == 1
    assert cpu.pagealloc() is None
    free_all(cpu, taken)


def test_kernel_threads_have_the_reserve_implied_and_the_pagedaemon_has_all(boot: Boot) -> None:
    """R5 and R6: what may be taken depends on who asks."""
    uvm = boot()
    left = []
    for lwp in ("user", "kernel", "pagedaemon"):
        with uvm.run_on(0, lwp=lwp) as cpu:  # type: ignore[arg-type]
            pages = take_all(cpu)
            left.append(uvm.uvmexp.free)
            assert cpu.pagealloc() is None
            assert cpu.pagealloc(zero=True, strat="only") is None
            assert (cpu.pagealloc(use_reserve=True) is None) == (lwp != "user")
        del pages
    assert left == [10, 1, 0]


def test_the_kind_of_a_thread_ends_with_its_part(boot: Boot) -> None:
    """R5: the reserve is for the thread while it is a kernel thread, and for no other thread or time."""
    uvm = boot()
    take_all(uvm.cpus[0])
    with uvm.run_on(0, lwp="kernel") as cpu:
        with uvm.run_on(1, lwp="user") as other:
            assert other.pagealloc() is None
        take(cpu)
    assert uvm.cpus[0].pagealloc() is None
    with uvm.run_on(0) as cpu:
        assert cpu.pagealloc() is None


def test_an_xc_thread_is_a_kernel_thread(boot: Boot) -> None:
    """R5: cross-calls run on kernel threads."""
    uvm = boot()
    take_all(uvm.cpus[0])
    with uvm:
        got: list[object] = []
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: got.append(cpu.pagealloc())), 10)
        assert len(got) == 2
        assert None not in got
        uvm.audit()


def test_colours_rotate_from_the_one_after_the_last(boot: Boot) -> None:
    """R7: without a colour wanted the search starts at nextcolor = (actual + 1) & colormask."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    assert [take(cpu).color for _ in range(6)] == [0, 1, 2, 3, 0, 1]
    assert take(cpu, color=7).color == 3
    assert take(cpu).color == 0
    assert [take(uvm.cpus[1]).color for _ in range(3)] == [0, 1, 2]  # each CPU has its own
    assert [take(cpu, color=color).color for color in (-1, 4, 1 << 70)] == [3, 0, 0]


def test_colours_rotate_through_what_a_cpu_freed_itself(boot: Boot) -> None:
    """R7 and R11: also when every page comes off the own list."""
    uvm = boot(ncolors=4)
    cpu = uvm.cpus[0]
    free_all(cpu, [take(cpu) for _ in range(16)])
    take(cpu, color=2)
    assert [take(cpu, zero=zero).color for zero in (False, True, False, False, True)] == [3, 0, 1, 2, 3]
    stats = uvm.cpu_stats()[0]
    assert (stats.cpuhit - 16 * (stats.cpumiss == 0), stats.colormiss) == (6, 0)


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


def test_a_wanted_zero_page_comes_from_the_zeroed_ones_first(boot: Boot) -> None:
    """R8: ZERO tries ZEROS then UNKNOWN; without it UNKNOWN then ZEROS."""
    uvm = boot(ncolors=1, npages=32, ncpus=1)
    cpu = uvm.cpus[0]
    zero_free_pages(uvm, 3, 4)
    uvm.audit()
    assert take(cpu).pfn == 31
    assert [take(cpu, zero=True).pfn for _ in range(3)] == [4, 3, 30]
    zero_free_pages(uvm, 29, 28)
    assert [take(cpu).pfn for _ in range(2)] == [27, 26]
    taken = [pg.pfn for pg in take_all(cpu, use_reserve=True)]
    assert taken[-1] == 29  # zeroed ones last, the head first, and one page stays
    assert uvm.uvmexp.zeropages == 1


def test_of_what_a_cpu_freed_itself_the_zeroed_pages_go_to_whoever_wants_zeros(boot: Boot) -> None:
    """R8: the same order of the queues on the own list."""
    uvm = boot(ncolors=2)
    cpu = uvm.cpus[0]
    pages = [take(cpu, color=0) for _ in range(6)]
    free_all(cpu, [take(cpu, color=1) for _ in range(6)] + pages)
    zero_free_pages(uvm, pages[0].pfn)
    zero_free_pages(uvm, pages[3].pfn)
    assert [take(cpu, color=1).color, take(cpu, zero=True)] == [1, pages[3]]
    assert [take(cpu, color=1).color, take(cpu)] == [1, pages[5]]
    assert [take(cpu, zero=True, color=0), take(cpu, zero=True, color=0)] == [pages[0], pages[4]]


def test_colours_in_rotation_before_the_next_freelist(boot: Boot) -> None:
    """R9: freelist outermost, then colours in rotation from the start colour."""
    uvm = boot(ncolors=4, nfreelists=2, npages=64, ncpus=1)
    cpu = uvm.cpus[0]
    one_each = {pg.color: pg for pg in take_all(cpu, strat="only", free_list=0)}
    for pg in one_each.values():
        cpu.pagefree(pg)
    got = [take(cpu, color=2) for _ in range(5)]
    assert [(pg.free_list, pg.color) for pg in got] == [(0, 2), (0, 3), (0, 0), (0, 1), (1, 2)]


def test_strategies(boot: Boot) -> None:
    """R10: NORMAL goes through all freelists and ignores free_list; ONLY one; FALLBACK is ONLY, then NORMAL."""
    uvm = boot(nfreelists=3, npages=96, ncpus=1)
    cpu = uvm.cpus[0]
    assert take(cpu, strat="normal", free_list=2).free_list == 0
    assert take(cpu, free_list=99).free_list == 0
    assert [take(cpu, strat="only", free_list=f).free_list for f in (2, 1, 0)] == [2, 1, 0]
    assert [take(cpu, strat="fallback", free_list=f).free_list for f in (2, 1, 0)] == [2, 1, 0]
    assert len(take_all(cpu, strat="only", free_list=1)) == 30
    assert cpu.pagealloc(strat="only", free_list=1, use_reserve=True) is None
    assert take(cpu, strat="fallback", free_list=1).free_list == 0
    assert len(take_all(cpu, strat="only", free_list=0)) == 27
    assert take(cpu, strat="fallback", free_list=1).free_list == 2
    assert {pg.free_list for pg in take_all(cpu)} == {2}


def test_a_freelist_of_priority_beats_zeroed_pages(boot: Boot) -> None:
    """R10: a dirty page of freelist 0 goes out before a zeroed one of freelist 1, though ZERO is wanted (R8)."""
    uvm = boot(nfreelists=2, npages=64, ncpus=1)
    zero_free_pages(uvm, *range(32))
    pages = [take(uvm.cpus[0], zero=True) for _ in range(33)]
    assert [pg.free_list for pg in pages] == [0] * 32 + [1]
    (stats,) = uvm.cpu_stats()
    assert (stats.zeromiss, stats.zerohit) == (32, 1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"strat": "any"}, "strat='any': must be 'normal', 'only' or 'fallback'"),
        ({"strat": None}, "strat=None"),
        ({"strat": "only", "free_list": 2}, "free_list=2: must be from 0 to 1"),
        ({"strat": "fallback", "free_list": -1}, "free_list=-1"),
        ({"strat": "only", "free_list": None}, "free_list=None"),
        ({"strat": "only", "free_list": True}, "free_list=True"),
        ({"color": "red"}, "color='red'"),
        ({"color": 1.0}, "color=1.0"),
        ({"strat": "only", "color": True}, "color=True"),
    ],
    ids=str,
)
def test_a_bad_argument_is_named_and_changes_nothing(boot: Boot, how: dict[str, Any], said: str) -> None:
    uvm = boot(nfreelists=2)
    take(uvm.cpus[0])
    before = counted(uvm)
    with pytest.raises(uvmfree.ArgumentError) as refusal:
        uvm.cpus[0].pagealloc(**how)
    assert said in str(refusal.value)
    assert counted(uvm) == before
    take(uvm.cpus[0])  # no lock is left held


def test_hits_and_misses(boot: Boot) -> None:
    """R11: own list or not; the start colour or not; for ZERO, known to be zero or not."""
    uvm = boot(ncolors=4, ncpus=2, npages=64)
    one = uvm.cpus[1]
    page = take(one)  # colour 0 of the global list
    take(one, color=2)
    one.pagefree(page)
    take(one, zero=True, color=0)  # its own page
    zero_free_pages(uvm, *(pg.pfn for pg in uvm.physmem if pg.color == 1))
    take(one, zero=True)
    take_all(one, color=3)
    stats = uvm.cpu_stats()[1]
    taken = 64 - uvm.uvmexp.free + 1  # one page was taken twice
    assert stats.allocs == taken == stats.cpuhit + stats.cpumiss == stats.colorhit + stats.colormiss
    assert (stats.cpuhit, stats.zerohit, stats.zeromiss) == (1, 1, 1)
    assert stats.colorhit == 4 + 16  # the four single ones, and all of colour 3
    exp = uvm.uvmexp.snapshot()
    assert (exp.cpuhit, exp.cpumiss, exp.colorhit, exp.colormiss, exp.pga_zerohit, exp.pga_zeromiss) == (
        (1, taken - 1, 20, taken - 20, 1, 1)
    )


def test_a_failure_counts_nothing(boot: Boot) -> None:
    """R11: hits and misses are those of successful searches."""
    uvm = boot()
    take_all(uvm.cpus[0])
    before = uvm.cpu_stats()
    assert uvm.cpus[0].pagealloc(zero=True, color=1) is None
    assert uvm.cpu_stats() == before


def test_a_page_comes_out_busy_clean_and_fake(boot: Boot) -> None:
    """R12: BUSY|CLEAN|FAKE; with ZERO, CLEAN is cleared and the page is zero, whatever it was."""
    uvm = boot(ncolors=2)
    cpu = uvm.cpus[0]
    for color, zero in ((0, False), (0, True), (1, True), (1, False)):
        pg = take(cpu, color=color)
        dirty(uvm, pg)
        pg.flags = 0
        cpu.pagefree(pg)
        again = take(cpu, color=color, zero=zero)
        assert again is pg
        assert flags(pg) == ({"BUSY", "FAKE", "ZERO"} if zero else {"BUSY", "CLEAN", "FAKE"})
        assert is_zero(uvm, pg) == zero
        assert pg.zeroed == zero


@pytest.mark.parametrize("how", [{}, {"color": 1}, {"strat": "only"}, {"strat": "fallback", "free_list": 1}], ids=str)
def test_a_wanted_zero_page_is_zero_by_every_way_to_it(boot: Boot, how: dict[str, Any]) -> None:
    """R12: own or global list, with or without a strategy: every byte of it is zero."""
    uvm = boot(nfreelists=2)
    cpu = uvm.cpus[0]
    pages = take_all(cpu, use_reserve=True)
    for pg in pages:
        dirty(uvm, pg)
    free_all(cpu, pages[:30])
    free_all(uvm.cpus[1], pages[30:])
    uvm.redistribute(1)
    got = take_all(cpu, zero=True, **how)
    assert len(got) > 20
    assert all(is_zero(uvm, pg) for pg in got)


def test_a_page_known_to_be_zero_is_not_zeroed_again(boot: Boot) -> None:
    """R12: only a page that is not known to be zero is zeroed."""
    uvm = boot(ncolors=1, ncpus=1)
    zero_free_pages(uvm, 9)
    pg = next(pg for pg in uvm.physmem if pg.pfn == 9)
    uvm.physmem.bytes_of(pg)[7] = 1  # a mark that zeroing would wipe out
    assert take(uvm.cpus[0], zero=True) is pg
    assert uvm.physmem.bytes_of(pg)[7] == 1
    assert flags(pg) == {"BUSY", "FAKE", "ZERO"}


def test_no_page_goes_out_twice(boot: Boot) -> None:
    uvm = boot(ncpus=4, npages=128)
    pages = [pg for cpu in uvm.cpus for pg in (take(cpu, zero=n % 2 == 0) for n in range(25))]
    assert len({pg.pfn for pg in pages}) == 100
