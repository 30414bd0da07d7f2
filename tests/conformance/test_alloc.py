"""Allocation, in every design: reserves, freelists, strategies, counters and flags. Colours: test_colors.py."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, cached, counted, counts, dirty, flags, free_all, is_zero, take, take_all


def beyond(uvm: uvmfree.Uvm) -> int:
    """Return how many pages a fill may take of the reserve: a part of the store is asked once, before the first."""
    return uvm.traits.refill - 1 if uvm.traits.gate == "part" else 0


def test_the_reserve_is_kept_from_ordinary_threads(boot: Boot) -> None:
    """R5 and R6: refuse at reserve_kernel, but with USERESERVE only at reserve_pagedaemon."""
    uvm = boot(ncpus=3)
    cpu = uvm.cpus[0]
    taken = take_all(cpu)
    assert uvm.uvmexp.reserve_kernel == 15
    free = uvm.uvmexp.free
    assert 15 - beyond(uvm) <= free <= 15, f"{free} pages are left of a reserve of 15"
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
    assert 10 - beyond(uvm) <= left[0] <= 10
    assert left[1:] == [1, 0]


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


def test_strategies(boot: Boot) -> None:
    """R10: NORMAL goes through all freelists and ignores free_list; ONLY one; FALLBACK is ONLY, then NORMAL."""
    uvm = boot(nfreelists=3, npages=96, ncpus=1)
    cpu, each = uvm.cpus[0], uvm.param.npages // 3
    assert take(cpu, strat="normal", free_list=2).free_list == 0
    assert take(cpu, free_list=99).free_list == 0
    assert [take(cpu, strat="only", free_list=f).free_list for f in (2, 1, 0)] == [2, 1, 0]
    assert [take(cpu, strat="fallback", free_list=f).free_list for f in (2, 1, 0)] == [2, 1, 0]
    kept = uvm.uvmexp.reserve_kernel if uvm.traits.gate == "part" else 0
    assert len(take_all(cpu, strat="only", free_list=1)) == each - 2 - kept
    assert (cpu.pagealloc(strat="only", free_list=1, use_reserve=True) is None) == (kept == 0)
    assert take(cpu, strat="fallback", free_list=1).free_list == 0
    assert len(take_all(cpu, strat="only", free_list=0)) == each - 5 - kept
    assert take(cpu, strat="fallback", free_list=1).free_list == 2
    assert {pg.free_list for pg in take_all(cpu)} == {2}


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


def test_a_failure_counts_nothing(boot: Boot) -> None:
    """R11: hits and misses are those of successful searches."""
    uvm = boot()
    take_all(uvm.cpus[0])
    before = counts(uvm)
    assert uvm.cpus[0].pagealloc(zero=True, color=1) is None
    assert counts(uvm) == before


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
        assert again is pg or not uvm.traits.lifo
        assert flags(again) == ({"BUSY", "FAKE", "ZERO"} if zero else {"BUSY", "CLEAN", "FAKE"})
        assert is_zero(uvm, again) == zero or again is not pg
        assert again.zeroed == zero


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


def test_no_page_goes_out_twice(boot: Boot) -> None:
    uvm = boot(ncpus=4, npages=128)
    pages = [pg for cpu in uvm.cpus for pg in (take(cpu, zero=n % 2 == 0) for n in range(25))]
    assert len({pg.pfn for pg in pages}) == 100


def test_hits_and_misses_add_up(boot: Boot) -> None:
    """R11: each allocation is a hit or a miss of each kind; a page of the start colour is a hit of colours."""
    uvm = boot(npages=96)
    cpu = uvm.cpus[0]
    hits = wishes = 0
    held: list[uvmfree.VmPage] = []
    for number in range(60):
        start = number % 3 if number % 2 else cpu.nextcolor
        zero = number % 5 == 0
        pg = take(cpu, zero=zero, color=number % 3 if number % 2 else None)
        hits += pg.color == start
        wishes += zero
        held.append(pg)
        if number % 4 == 0:
            cpu.pagefree(held.pop(0))
    stats = uvm.cpu_stats()[0]
    assert stats.allocs == 60 == stats.cpuhit + stats.cpumiss == stats.colorhit + stats.colormiss
    assert (stats.frees, stats.colorhit, stats.zerohit + stats.zeromiss) == (15, hits, wishes)
    assert stats.cpumiss >= -(-stats.filled // uvm.traits.refill) > 0 or uvm.traits.bound == 0
    exp = uvm.uvmexp.snapshot()
    assert (exp.cpuhit, exp.cpumiss, exp.colorhit, exp.colormiss, exp.pga_zerohit, exp.pga_zeromiss) == (
        (stats.cpuhit, stats.cpumiss, hits, 60 - hits, stats.zerohit, stats.zeromiss)
    )


def test_where_the_reserves_are_asked(boot: Boot) -> None:
    """R6 and Q7: before any page is taken; or at the store, and what a cache holds is its CPU's all the same."""
    uvm = boot()
    traits, cpu = uvm.traits, uvm.cpus[0]
    pages = take_all(cpu, use_reserve=True)
    assert (uvm.uvmexp.free, uvm.cached_pages()) == (1, (0, 0))
    free_all(cpu, pages[:3])
    free, mine = uvm.uvmexp.free, uvm.cached_pages()[0]
    assert free == 1 + (3 - mine if traits.free == "store" else 3)
    before = uvm.cpu_stats()
    if traits.gate != "system":
        assert len(take_all(cpu)) == (mine if traits.freed == "cache" else 0)
    else:
        assert cpu.pagealloc() is None
        assert (uvm.cpu_stats(), uvm.cached_pages()[0]) == (before, mine)
        assert len(take_all(cpu, use_reserve=True)) == (0 if traits.free == "store" else free - 1)
        with uvm.run_on(0, lwp="pagedaemon") as daemon:
            assert take(daemon) in uvm.physmem
    assert uvm.cpus[1].pagealloc() is None


@pytest.mark.parametrize("lwp", ["user", "kernel"])
def test_what_is_counted_when_the_daemon_is_woken(boot: Boot, lwp: Any) -> None:
    """R4, R17 and Q3: a miss that finds memory short wakes the daemon; whether caches are memory is the design's."""
    uvm = boot(npages=256, pagesize=1 << 14)
    traits = uvm.traits
    pages = uvm.pglistalloc(uvm.param.npages, nsegs=uvm.param.npages)
    free_all(uvm.cpus[0], pages[: uvm.uvmexp.freemin + 1])
    assert all_free(uvm) == uvm.uvmexp.freemin + 1
    with uvm.run_on(1, lwp=lwp) as cpu:
        for _ in range(uvm.design.parked()):
            take(cpu)  # what CPUs share beside the store comes without a look at it
        kicks = uvm.pageout.kicks
        memory = all_free(uvm) if traits.short == "all" else all_free(uvm) - cached(uvm)
        cpu.pagealloc()
    assert uvm.pageout.kicks - kicks == (memory < uvm.uvmexp.freemin)
    assert memory < uvm.uvmexp.freemin or traits.short == "all" or traits.freed != "cache"  # else nothing was shown
