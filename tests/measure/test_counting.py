"""What is counted of page operations, by hand: each figure of a tally pinned, on a few pages and CPUs.

=> The same beside a slow reference: test_counting_beside_naive.py.
"""

from __future__ import annotations

from typing import Any

import pytest

import uvmfree
from uvmfree.errors import DoubleFree, ForeignPage, OutOfPages
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.counting import Counts, counted_boot
from uvmfree.measure.run import run
from uvmfree.measure.tally import WARM_PAGES, Tally, TallyFigures, figures_of
from uvmfree.measure.workloads import Workload, forkexit, handoff
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import traits_of
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Lane, drive


def counted(design: str = "percpu", kind: type[Counts] = Counts, **tunables: Any) -> tuple[Uvm, Counts]:
    """Boot a counted system of 2 CPUs, 64 pages and one colour, if nothing else is said."""
    param = Param.of({"npages": 64, "ncpus": 2, "ncolors": 1, "design": design} | tunables)
    machine = VirtualMachine(ncpus=param.ncpus, lockholds=True)
    assert machine.lockholds is not None
    counts = kind(machine.lockholds)
    return counted_boot(machine, param, counts), counts


def take(uvm: Uvm, cpu: int, pages: int) -> list[VmPage]:
    taken = [uvm.cpus[cpu].pagealloc() for _ in range(pages)]
    return [pg for pg in taken if pg is not None]


def give(uvm: Uvm, cpu: int, pages: list[VmPage]) -> None:
    for pg in pages:
        uvm.cpus[cpu].pagefree(pg)


def figures(uvm: Uvm, counts: Counts) -> TallyFigures:
    return figures_of(counts.end(uvm))


def held(tally: Tally) -> dict[str, tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]]:
    return {one.caller: (one.items, one.pages) for one in tally.held}


def test_parked_pages_of_unequal_caches_are_counted_after_each_operation() -> None:
    """10 allocated, 6 freed elsewhere and 1 where they were: 1 + 2 + ... + 7 parked after 17 operations."""
    uvm, counts = counted()
    pages = take(uvm, 0, 10)
    give(uvm, 1, pages[:6])
    give(uvm, 0, pages[6:7])
    found = figures(uvm, counts)
    assert (found.parked_pages_max, found.parked_pages_mean) == (7, 28 / 17)
    assert uvm.cached_pages() == (1, 6)


def test_what_was_parked_before_a_redistribution_stays_the_peak() -> None:
    uvm, counts = counted()
    give(uvm, 1, take(uvm, 0, 10))
    uvm.redistribute(1)
    give(uvm, 0, take(uvm, 0, 2))
    tally = counts.end(uvm)
    assert tally.parked_pages_max == 10
    assert tally.parked_pages_total == sum(range(11)) + 1 + 2
    assert tally.parked == (*[0] * 10, *range(1, 11), 0, 0, 1, 2)


def test_pages_that_a_miss_brought_along_are_parked() -> None:
    uvm, counts = counted(refill=8)
    take(uvm, 0, 1)
    assert figures(uvm, counts).parked_pages_max == 7


def test_what_is_taken_from_a_cache_is_seen_whatever_takes_it() -> None:
    """Under the CPU's guard, and by no call of that CPU."""
    uvm, counts = counted()
    give(uvm, 1, take(uvm, 0, 6))
    with uvm.design.stopped("uvm_pglistalloc"):
        uvm.design.gather((1,))
    take(uvm, 0, 1)
    assert counts.end(uvm).parked == (*[0] * 6, *range(1, 7), 0)


def test_where_every_free_page_can_be_had_by_every_cpu_none_is_parked() -> None:
    uvm, counts = counted("fpageqlock")
    give(uvm, 1, take(uvm, 0, 20))
    found = figures(uvm, counts)
    assert (found.parked_pages_max, found.parked_pages_mean, found.stranded_1s_pages) == (0, 0.0, 0)


@pytest.mark.parametrize("beyond", [0, 1, 2])
def test_a_page_is_warm_if_its_cpu_has_handed_out_at_most_so_many_since(beyond: int) -> None:
    """What was freed last comes first; what was freed first has the longest way."""
    pages = WARM_PAGES + 1 + beyond
    uvm, counts = counted(npages=1024)
    give(uvm, 0, take(uvm, 0, pages))
    take(uvm, 0, pages)
    found = figures(uvm, counts)
    assert found.warm_percent == 100 * (WARM_PAGES + 1) / (2 * pages)
    assert found.reuse_pages_median == (pages - 1) // 2


def test_what_another_cpu_freed_is_not_warm_and_what_another_handed_out_is_not_in_between() -> None:
    uvm, counts = counted()
    mine, other = take(uvm, 0, 2)
    give(uvm, 0, [mine])
    give(uvm, 1, [other])
    take(uvm, 1, 1)  # CPU 1 freed it last: warm, at a distance of 0
    take(uvm, 0, 1)  # and this one CPU 0
    uvm.redistribute()
    give(uvm, 1, [mine, other])
    uvm.redistribute()
    take(uvm, 0, 2)  # freed by CPU 1
    tally = counts.end(uvm)
    assert (tally.allocations, tally.own, tally.reuse_pages) == (6, 2, ((0, 2),))
    assert figures_of(tally).warm_percent == 100 * 2 / 6


def test_a_page_that_went_through_the_store_and_came_back_is_as_warm_as_it_was() -> None:
    uvm, counts = counted()
    give(uvm, 0, take(uvm, 0, 3))
    uvm.redistribute()
    take(uvm, 0, 1)
    assert counts.end(uvm).own == 1


def test_a_page_that_was_in_a_run_since_is_not_warm() -> None:
    uvm, counts = counted("fpageqlock")
    (pg,) = take(uvm, 0, 1)
    give(uvm, 0, [pg])
    (ran,) = uvm.pglistalloc(1, low=pg.pfn, high=pg.pfn + 1)
    assert ran is pg
    uvm.design.pagefree_global(pg)  # as the pagedaemon does, for no CPU
    uvm.cpus[0].pagealloc(color=pg.color)
    assert counts.end(uvm).own == 0


def test_a_colour_is_right_if_it_is_the_one_at_which_the_search_began() -> None:
    """Of 4 colours the cache has one page: whatever is asked for, that comes first."""
    uvm, counts = counted(ncolors=4)
    first, _, third = take(uvm, 0, 3)
    assert (first.color, third.color) == (0, 2)
    give(uvm, 0, [first])
    assert uvm.cpus[0].pagealloc(color=6) is first  # 6 is colour 2
    give(uvm, 0, [third])
    assert uvm.cpus[0].pagealloc(color=6) is third
    assert figures(uvm, counts).color_right_percent == 80.0


def test_an_allocation_that_fails_beside_pages_of_another_cpu_is_told_from_one_that_had_to() -> None:
    uvm, counts = counted(npages=32)
    pages = take(uvm, 0, 22)  # down to the kernel reserve
    assert take(uvm, 0, 1) == []
    give(uvm, 0, pages[:1])
    assert take(uvm, 1, 1) == []
    assert len(take(uvm, 0, 1)) == 1
    tally = counts.end(uvm)
    assert (tally.allocations, tally.failed, tally.failed_beside) == (23, 2, 1)
    assert tally.operations == 26
    assert figures_of(tally).failed_while_free_elsewhere == 1


def test_pages_of_the_own_cache_that_do_not_serve_are_no_pages_elsewhere() -> None:
    """Of two freelists the second is used up, and the CPU has cached a page of the first."""
    uvm, counts = counted(nfreelists=2)
    (pg,) = take(uvm, 0, 1)
    while uvm.cpus[1].pagealloc(strat="only", free_list=1) is not None:
        pass
    give(uvm, 0, [pg])
    assert pg.free_list == 0
    assert uvm.cpus[0].pagealloc(strat="only", free_list=1) is None
    assert uvm.cpus[1].pagealloc(strat="only", free_list=1) is None
    tally = counts.end(uvm)
    assert (tally.failed, tally.failed_beside) == (3, 1)


@pytest.mark.parametrize(("design", "items"), [("percpu", 0), ("fpageqlock", 1)])
def test_a_run_that_is_not_to_be_had_is_a_hold_and_no_operation(design: str, items: int) -> None:
    """Where the list tells, nothing was touched; where it does not, a hold counts one page."""
    uvm, counts = counted(design)
    take(uvm, 0, 1)
    with pytest.raises(OutOfPages):
        uvm.pglistalloc(64, alignment=64)
    tally = counts.end(uvm)
    assert (tally.operations, tally.failed) == (1, 0)
    assert held(tally)["uvm_pglistalloc"] == (((items, 1),),) * 2


def test_a_miss_touches_what_it_fetches_and_a_hit_holds_no_shared_lock() -> None:
    uvm, counts = counted(refill=8)
    take(uvm, 0, 9)  # fetches 8 twice
    tally = counts.end(uvm)
    assert held(tally) == {"uvm_pagealloc": (((8, 2),),) * 2}
    found = figures_of(tally)
    assert (found.held_items_p50, found.held_items_p99, found.held_items_max, found.held_pages_max) == (8, 8, 8, 8)


def test_a_chunk_that_moves_by_pointer_is_one_item_and_touches_no_page() -> None:
    """12 pages in 4 colours: 4 lists."""
    uvm, counts = counted(ncolors=4)
    give(uvm, 1, take(uvm, 0, 12))
    uvm.redistribute()
    assert held(counts.end(uvm))["uvm_redistribute"] == (((4, 1),), ((0, 1),))


def test_a_run_hands_the_caches_back_by_pointer_and_takes_its_pages_singly() -> None:
    """Pages of both CPUs in 2 colours each: 4 lists, and 16 pages."""
    uvm, counts = counted(ncolors=2)
    pages = sorted(take(uvm, 0, 30), key=lambda pg: pg.pfn)
    give(uvm, 0, pages[::2])
    give(uvm, 1, pages[1::2])
    lists = 2 if {pg.color for pg in pages[::2]} == {0} else 4
    frames = {pg.pfn for pg in pages}
    low = next(pfn for pfn in range(0, 64, 16) if frames >= set(range(pfn, pfn + 8)))
    uvm.pglistalloc(8, low=low, high=low + 8, alignment=8)
    tally = held(counts.end(uvm))
    assert tally["uvm_pglistalloc"] == (((8 + lists, 1),), ((8, 1),))


def test_under_one_lock_every_operation_is_a_hold_of_one_page_and_a_run_of_as_many_as_it_has() -> None:
    uvm, counts = counted("fpageqlock")
    give(uvm, 1, take(uvm, 0, 5))
    uvm.pglistalloc(16, alignment=16)
    one = (((1, 5),),) * 2
    assert held(counts.end(uvm)) == {
        "uvm_pagealloc": one,
        "uvm_pagefree": one,
        "uvm_pglistalloc": (((16, 1),),) * 2,
    }


def test_blocks_are_free_without_a_page_in_use_and_the_stores_without_one_in_a_cache() -> None:
    """Three blocks and 100 pages: one page in use in the first, one cached in the second."""
    uvm, counts = counted(npages=3 * 512 + 100)
    used, cached = uvm.pglistalloc(1, low=5, high=6)[0], uvm.pglistalloc(1, low=700, high=701)[0]
    give(uvm, 1, [cached])
    found = figures(uvm, counts)
    assert (found.free_512_blocks, found.store_512_blocks) == (2, 1)
    assert used.pfn == 5


@pytest.mark.parametrize(
    ("interval_s", "stranded"), [(0.5, (0, 0, 0)), (3.0, (20, 0, 0)), (5.5, (20, 20, 0)), (20.5, (20, 20, 20))]
)
def test_what_is_stranded_is_looked_at_1_and_5_and_20_seconds_later(
    interval_s: float, stranded: tuple[int, ...]
) -> None:
    """What the other CPU cannot reach, until the timer hands it back; in RAM enough that the daemon sleeps."""
    uvm, counts = counted(npages=4096, redistribute_interval_s=interval_s)
    with uvm:
        pages = take(uvm, 0, 30)
        give(uvm, 0, pages[:20])
        give(uvm, 1, pages[20:])
        tally = counts.end(uvm)
    assert tally.stranded_pages == stranded


@pytest.mark.parametrize("design", ["fpageqlock", "percpu"])
def test_what_is_refused_is_not_counted_and_changes_no_count(design: str) -> None:
    uvm, counts = counted(design)
    other, _ = counted(design)
    give(uvm, 0, take(uvm, 0, 1))
    (pg,) = take(uvm, 0, 1)
    give(uvm, 0, [pg])
    with pytest.raises(DoubleFree):
        uvm.cpus[1].pagefree(pg)
    with pytest.raises(ForeignPage):
        uvm.cpus[0].pagefree(take(other, 0, 1)[0])
    with pytest.raises(ForeignPage):
        uvm.cpus[0].pagefree("a page")  # type: ignore[arg-type]
    uvm.redistribute()
    assert take(uvm, 0, 1) == [pg]
    tally = counts.end(uvm)
    assert (tally.operations, tally.reuse_pages) == (5, ((0, 2),))


@pytest.mark.parametrize("design", ["fpageqlock", "percpu"])
def test_a_cpu_that_another_strand_takes_over_is_counted_on(design: str) -> None:
    uvm, counts = counted(design)
    with uvm:
        for _ in range(3):
            with uvm.run_on(1) as cpu:
                pg = cpu.pagealloc()
                assert pg is not None
                cpu.pagefree(pg)
        tally = counts.end(uvm)
    assert (tally.operations, tally.allocations, tally.reuse_pages) == (6, 3, ((0, 2),))


def test_a_run_in_which_nothing_happens_has_figures() -> None:
    uvm, counts = counted()
    found = figures(uvm, counts)
    assert (found.parked_pages_mean, found.held_items_p99, found.failed_while_free_elsewhere) == (0.0, 0, 0)
    assert found.warm_percent is found.color_right_percent is found.reuse_pages_median is None


class Checked(Counts):
    """Counts whose parked pages are compared with all caches, after every single operation."""

    checked = most = 0

    def operated(self) -> None:
        """Walk every cache."""
        super().operated()
        assert self.parked == sum(cpu.cached() for cpu in self.cpus)
        self.checked += 1
        self.most = max(self.most, self.parked)


def caches(design: str) -> bool:
    """Whether pages ever stand where one CPU alone allocates from."""
    return traits_of(Param(npages=4096, ncpus=4, design=design)).freed not in ("both", "store")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "design", [*(name for name in uvmfree.DESIGNS if caches(name)), "tests.conformance.linux_like:LinuxLike"]
)
@pytest.mark.parametrize("load", [handoff, forkexit], ids=lambda made: str(made.__name__))
@pytest.mark.parametrize(
    "tunables",
    [
        {"percpu.refill": 4, "percpu.hoard_max": 12, "xnu.refill_limit": 4},
        {"percpu.refill": 1, "xnu.refill_limit": 1, "redistribute_interval_s": 0.001},
        {"percpu.refill": 8, "idlezero": True, "idle_interval_s": 0.001, "drain_retry": True},
    ],
    ids=["bounded", "redistributed", "zeroed"],
)
def test_parked_pages_are_exact_while_cpus_are_in_the_midst_of_calls(
    load: Any, tunables: dict[str, Any], design: str
) -> None:
    """In virtual time a strand may stop wherever it takes a shared step, with pages in hand, and others go on."""
    workload: Workload = load(4, 200)
    uvm, counts = counted(design, Checked, npages=4096, ncpus=4, ncolors=2, **tunables)
    made = workload.load(uvm)
    with uvm:
        drive(uvm, made.bodies, seconds=0.0022)
        uvm.audit()
    assert isinstance(counts, Checked)
    assert counts.checked > 1000
    assert counts.most > 0


def test_parked_pages_are_exact_while_an_idle_cpu_fills_pages_with_zeros() -> None:
    """A page that is being zeroed is in no cache; another CPU's operation may end just then."""
    uvm, counts = counted(kind=Checked, npages=4096, ncolors=2, idlezero=True, idle_interval_s=0.001)
    give(uvm, 0, take(uvm, 0, 400))

    def work(cpu: Cpu, lane: Lane) -> None:
        for _ in range(1500):
            uvm.machine.charge(700)
            pg = cpu.pagealloc()
            if pg is not None:
                cpu.pagefree(pg)

    with uvm:
        drive(uvm, [lambda cpu, lane: None, work])
        zeroed = uvm.cpu_stats()[0].zeroed
        assert zeroed > 20
    assert isinstance(counts, Checked)
    assert counts.checked == 800 + 3000


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_what_is_counted_takes_no_virtual_time_and_changes_nothing(design: str) -> None:
    workload, param = handoff(2, 100), Param(npages=2048, ncpus=2, design=design)
    runs = []
    for lockholds in (False, True):
        machine = VirtualMachine(ncpus=2, lockstat=True, lockholds=lockholds)
        made = run(
            workload,
            param,
            design,
            0,
            lockstat=True,
            stop=lambda: False,
            machine=machine,
            holds=machine.lockholds,
        )
        assert made is not None
        runs.append(made)
    plain, tallied = runs
    assert plain.tally is None
    assert tallied.tally is not None
    for name in ("drive", "cpus", "locks", "uvmexp", "redistributions", "waits", "counts", "samples", "events"):
        assert getattr(plain, name) == getattr(tallied, name), name
