"""The proposal: what a local hit costs, what a miss fetches, and how pages are handed back."""

from collections import Counter
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.kern.tasks import WAIT_S
from tests.uvm.machines import ClockMachine, CounterMachine
from tests.uvm.zeros import zero_free_pages
from uvmfree.uvm.page import Place


def boot(machine: Any = None, **tunables: Any) -> uvmfree.Uvm:
    small = {"npages": 256, "ncpus": 2, "ncolors": 4, "design": "percpu", "redistribute_interval_s": 3600}
    return uvmfree.boot(machine, **small | tunables)


def locks(uvm: uvmfree.Uvm) -> dict[str, int]:
    return {record.name: record.acquired for record in uvm.lockstat()}


@pytest.mark.parametrize("zero", [False, True])
def test_a_local_hit_takes_its_own_lock_and_touches_nothing_shared(zero: bool) -> None:
    """P4 and P5: no shared lock and no atomic operation, not even for uvmexp.free; counted, not argued."""
    uvm = boot(lockstat=True)  # not started: threads of its own take locks of their own
    with uvm.run_on(0) as cpu:
        free_all(cpu, [take(cpu) for _ in range(40)])
        before, stats, free = locks(uvm), uvm.cpu_stats()[0], uvm.uvmexp.free
        for _ in range(5):
            pages = [take(cpu, zero=zero) for _ in range(40)]
            free_all(cpu, pages)
        after = locks(uvm)
        assert {name for name in after if after[name] != before[name]} == {"uvm_cpu[0]"}
        assert after["uvm_cpu[0]"] - before["uvm_cpu[0]"] == 5 * 80
        now = uvm.cpu_stats()[0]
        assert (now.atomics, now.filled, now.drained) == (stats.atomics, stats.filled, stats.drained)
        assert (now.cpuhit - stats.cpuhit, now.cpumiss) == (200, stats.cpumiss)
        assert uvm.uvmexp.free == free == 256 - 40
        uvm.audit()
    uvm.close()


@pytest.mark.parametrize(
    "how", [{"color": 2}, {"strat": "only"}, {"strat": "fallback"}, {"zero": True, "color": 1}], ids=str
)
def test_a_local_hit_the_long_way_touches_nothing_shared_either(how: dict[str, Any]) -> None:
    """P4: with a strategy or a colour wanted."""
    uvm = boot(lockstat=True)
    cpu = uvm.cpus[0]
    free_all(cpu, [take(cpu) for _ in range(40)])
    before, atomics = locks(uvm), uvm.cpu_stats()[0].atomics
    for _ in range(40):
        take(cpu, **how)
    assert {name for name, acquired in locks(uvm).items() if acquired != before[name]} == {"uvm_cpu[0]"}
    assert uvm.cpu_stats()[0].atomics == atomics
    uvm.close()


def test_the_whole_cache_before_the_global_list_then_one_shared_lock_a_miss() -> None:
    """P4 and R9: a page of another colour from the cache goes out before one of the right colour from the stock."""
    uvm = boot(lockstat=True)
    cpu = uvm.cpus[0]
    cached = take(cpu, color=3)
    cpu.pagefree(cached)
    before, atomics = locks(uvm), uvm.cpu_stats()[0].atomics
    assert take(cpu, color=0) is cached
    assert locks(uvm)["uvm_fpageqlock"] == before["uvm_fpageqlock"]
    take(cpu, color=0)
    assert locks(uvm)["uvm_fpageqlock"] == before["uvm_fpageqlock"] + 1
    assert uvm.cpu_stats()[0].atomics == atomics + 1
    uvm.audit()
    uvm.close()


def test_a_better_freelist_is_fetched_before_a_worse_one_is_taken_from_the_cache() -> None:
    """R9 and R10: freelist outermost, also across cache and global list."""
    uvm = boot(nfreelists=2)
    cpu = uvm.cpus[0]
    cpu.pagefree(take(cpu, strat="only", free_list=1))
    assert take(cpu).free_list == 0
    assert take(cpu, strat="fallback", free_list=1).free_list == 1
    uvm.close()


def test_queues_within_a_colour_of_the_cache_and_of_the_global_list() -> None:
    """R8 and R9: in each colour try1 then try2; all of the cache first."""
    uvm = boot(ncolors=1, npages=64)
    cpu = uvm.cpus[0]
    pages = [take(cpu) for _ in range(4)]
    free_all(cpu, pages)
    zero_free_pages(uvm, pages[0].pfn, pages[1].pfn, 7)
    uvm.audit()
    assert uvm.uvmexp.zeropages == 1
    assert [take(cpu, zero=zero) for zero in (True, False, True, False)] == [pages[0], pages[3], pages[1], pages[2]]
    assert take(cpu, zero=True).pfn == 7
    assert uvm.uvmexp.zeropages == 0
    uvm.audit()
    uvm.close()


def test_a_free_page_stands_on_one_list_only() -> None:
    """P3: in one CPU's cache or on the global list; free counts the latter (R3)."""
    uvm = boot()
    pages = [take(uvm.cpus[0]) for _ in range(10)]
    free_all(uvm.cpus[1], pages)
    assert {(pg.place, pg.owner) for pg in pages} == {(Place.CACHED, 1)}
    assert (uvm.uvmexp.free, uvm.cached_pages()) == (246, (0, 10))
    uvm.audit()
    uvm.close()


def test_pages_in_other_caches_are_not_found_and_the_reserve_does_not_guard_a_cache() -> None:
    """R6 is kept for the global list; what is cached is its CPU's alone."""
    uvm = boot()
    pages = take_all(uvm.cpus[0])
    assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel
    free_all(uvm.cpus[0], pages[:5])
    assert uvm.cpus[1].pagealloc() is None
    assert len(take_all(uvm.cpus[0])) == 5
    uvm.audit()
    uvm.close()


def test_redistribution_moves_lists_and_not_pages() -> None:
    """P8: all of them, in order, whatever their length: the very list objects end up on the global list."""
    for npages in (8, 200):
        uvm = boot(nfreelists=2)
        cpu: Any = uvm.cpus[0]
        pages = [take(cpu) for _ in range(npages)]
        free_all(cpu, pages)
        zero_free_pages(uvm, *[pg.pfn for pg in pages[::3]])
        lists = [pg.on for pg in pages]
        atomics = uvm.cpu_stats()[0].atomics
        assert uvm.redistribute(0) == npages
        assert all(pg.on is before for pg, before in zip(pages, lists, strict=True))
        assert {(pg.place, pg.owner) for pg in pages} == {(Place.GLOBAL, None)}
        assert (uvm.uvmexp.free, uvm.uvmexp.zeropages) == (256, len(pages[::3]))
        assert uvm.cached_pages() == (0, 0)
        assert uvm.cpu_stats()[0].atomics == atomics + 2  # one for each counter, not one a page
        assert uvm.cpu_stats()[0].drained == npages
        again = [take(uvm.cpus[1], color=0) for _ in range(2)]
        newest = [pg for pg in pages[::-1] if pg.color == 0 and pg.free_list == 0 and not pg.zeroed]
        assert again == newest[:2] or npages == 8
        uvm.audit()
        uvm.close()


def test_a_redistribution_takes_each_lock_once_and_an_empty_cache_costs_no_shared_lock() -> None:
    """P8: one short hold of the global lock for the whole cache."""
    uvm = boot(lockstat=True)
    cpu = uvm.cpus[0]
    free_all(cpu, [take(cpu) for _ in range(100)])
    before = locks(uvm)
    uvm.redistribute(0)
    after = locks(uvm)
    assert {name: after[name] - before[name] for name in after} == {
        "uvm_fpageqlock": 1,
        "uvm_cpu[0]": 1,
        "uvm_cpu[1]": 0,
        "xcall": 0,
        "uvm_pageout_lock": 0,
    }
    uvm.redistribute(0)
    assert locks(uvm)["uvm_fpageqlock"] == after["uvm_fpageqlock"]
    uvm.close()


def test_the_timer_hands_pages_back_unless_that_was_done_recently() -> None:
    """P9: an xc thread looks once an interval, and (a) leaves alone what was done since the last."""
    machine = ClockMachine(now_s=100.0)
    with boot(machine, redistribute_interval_s=1.0) as uvm:

        def look(now_s: float) -> tuple[int, ...]:
            """Set the time, let every xc thread look up, and wait until it has."""
            machine.now_s = now_s
            for _ in range(2):  # a thread looks at its timer after each call: the second has seen the first's
                uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
            return uvm.cached_pages()

        def cache() -> None:
            for cpu in uvm.cpus:
                free_all(cpu, [take(cpu) for _ in range(10)])

        assert look(100.0) == (0, 0)
        cache()
        assert look(100.9) == (10, 10)
        assert look(101.0) == (0, 0)
        machine.now_s = 101.8
        uvm.redistribute(0)
        cache()
        assert look(102.0) == (10, 0)  # done 0.2 s ago on CPU 0
        assert look(102.9) == (10, 0)
        assert look(103.0) == (0, 0)
        uvm.audit()


@pytest.mark.parametrize("refill", [1, 2, 5, 32])
def test_a_miss_fetches_a_batch_spread_over_the_colours(refill: int) -> None:
    """P4: the page, and refill - 1 more into the cache; one shared lock and one atomic operation for all."""
    uvm = boot(refill=refill, lockstat=True)
    cpu: Any = uvm.cpus[0]
    pg = take(cpu, color=2)
    assert pg.color == 2
    stats = uvm.cpu_stats()[0]
    assert (stats.filled, stats.cached, stats.cpumiss, stats.atomics) == (refill, refill - 1, 1, 1)
    assert uvm.uvmexp.free == 256 - refill
    assert locks(uvm)["uvm_fpageqlock"] == 1
    by_colour = [sum(p.color == color for p in uvm.physmem if p.place is Place.CACHED) for color in range(4)]
    assert sum(by_colour) == refill - 1
    assert max(by_colour) - min(by_colour) <= 1
    assert {p.owner for p in uvm.physmem if p.place is Place.CACHED} <= {0}
    uvm.audit()
    assert len([take(cpu) for _ in range(refill - 1)]) == stats.cached
    assert uvm.cpu_stats()[0].cpumiss == 1
    uvm.audit()
    uvm.close()


def test_a_batch_stops_at_the_kernel_reserve() -> None:
    """R6: a cache does not hoard what the reserve should keep; one page at a time is taken from it."""
    uvm = boot(npages=64, refill=4096)
    with uvm.run_on(0) as cpu:
        take(cpu)
        assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel == 10
        assert uvm.cached_pages() == (53, 0)
    with uvm.run_on(1, lwp="kernel") as cpu:
        for left in range(9, 0, -1):
            take(cpu)
            assert (uvm.uvmexp.free, uvm.cached_pages()[1]) == (left, 0)
        assert cpu.pagealloc() is None
    uvm.audit()
    uvm.close()


def test_a_batch_takes_from_both_queues_and_counts_zeroed_pages() -> None:
    """R3: zeropages follows what a batch takes; pages keep their queue in the cache (R8)."""
    uvm = boot(npages=64, ncolors=2, refill=12)
    zero_free_pages(uvm, *range(8))
    cpu: Any = uvm.cpus[0]
    assert take(cpu, zero=True).pfn < 8
    assert uvm.uvmexp.zeropages == 0
    assert uvm.uvmexp.free == 52
    assert Counter(pg.zeroed for pg in uvm.physmem if pg.owner == 0) == {True: 7, False: 4}
    uvm.audit()
    assert [take(cpu, zero=True).pfn < 8 for _ in range(8)] == [True] * 7 + [False]
    uvm.redistribute()
    assert uvm.uvmexp.zeropages == 0
    uvm.audit()
    uvm.close()


def test_a_batch_is_of_the_freelist_that_was_asked_for() -> None:
    """R10: a refill does not bring in pages of another freelist."""
    uvm = boot(nfreelists=2, refill=16)
    take(uvm.cpus[0], strat="only", free_list=1)
    assert {pg.free_list for pg in uvm.physmem if pg.place is Place.CACHED} == {1}
    uvm.audit()
    uvm.close()


@pytest.mark.parametrize("refill", [1, 16])
def test_free_lags_by_what_is_in_hand_and_is_updated_with_the_list_lock_dropped(refill: int) -> None:
    """P1: too high while pages are taken, too low while they are handed back; checked locks see the lock dropped."""
    machine = CounterMachine()
    uvm = boot(machine, refill=refill)
    lags: list[tuple[int, int]] = []
    machine.before_add = lambda name, n: lags.append((n, uvm.counter_lag()))
    pages = [take(uvm.cpus[0]) for _ in range(20)]
    assert set(lags) == {(-refill, refill)}
    lags.clear()
    free_all(uvm.cpus[1], pages)
    uvm.cpus[1].pagefree(take(uvm.cpus[1]))
    assert lags == []
    uvm.redistribute(1)
    assert lags == [(20, -20)]
    assert uvm.counter_lag() == 0
    uvm.audit()
    uvm.close()
