"""Every figure of a run made by hand, against numbers worked out by hand beside it.

=> Unequal caches, a lag of either sign, locks of several designs by several callers, requests of order > 0, CPUs that
   stalled for different times: nothing that figures() adds up, leaves out or divides by is the same number twice.
"""

from dataclasses import asdict, fields, replace
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure import workloads
from uvmfree.measure.observer import Seen
from uvmfree.measure.run import Figures, Run, Waits, figures, locks_of, run
from uvmfree.param import Param
from uvmfree.uvm.anonpage import AnonStats
from uvmfree.uvm.pageout import WAIT_BUCKETS as SLEEP_BUCKETS
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import CpuStats, UvmExpSnapshot
from uvmfree.workload import pressure
from uvmfree.workload.driver import Drive
from uvmfree.workload.load import Load


def cpu(index: int, **counted: int) -> CpuStats:
    """Make what a CPU counted; all that is not named is a number that no figure may use."""
    unused = {one.name: 7_000_000 + at for at, one in enumerate(fields(CpuStats))}
    return CpuStats(**{**unused, "index": index, **counted})


def lock(name: str, caller: str, acquired: int, contended: int, wait_ns: int, longest_ns: int) -> LockStat:
    kind = {"uvm_fpageqlock": "shared", "uvm_cpu": "cpu"}.get(name.partition("[")[0], "other")
    hist = (0,) * WAIT_BUCKETS
    return LockStat(name, caller, acquired, contended, wait_ns, longest_ns, 5_555, 555, 55, hist, kind=kind)


def exp(**counted: int) -> UvmExpSnapshot:
    unused = {one.name: 8_000_000 + at for at, one in enumerate(fields(UvmExpSnapshot))}
    return UvmExpSnapshot(**{**unused, **counted})


def anons(**counted: int) -> AnonStats:
    unused = {one.name: 9_000_000 + at for at, one in enumerate(fields(AnonStats))}
    return AnonStats(**{**unused, **counted})


LOCKS = (
    lock("uvm_fpageqlock", "uvm_pagealloc", 300, 30, 40_000_000, 9_000_000),
    lock("uvm_fpageqlock", "uvm_pagefree", 100, 11, 8_000_000, 3_000_000),
    lock("uvm_cpu[0]", "uvm_pagealloc", 500, 6, 1_000_000, 700_000),
    lock("uvm_cpu[1]", "uvm_pagefree", 700, 1, 11_000_000, 11_000_000),
    # No page locks: neither waits nor acquisitions of these count.
    lock("uvm_pageout_lock", "uvm_wait", 10_000, 5_000, 500_000_000, 90_000_000),
    lock("uvm_pageqlock", "uvm_fault", 20_000, 6_000, 600_000_000, 80_000_000),
    lock("swapio", "uvm_swap_io", 30_000, 7_000, 700_000_000, 70_000_000),
)

RUN = Run(
    design="percpu",
    repetition=2,
    lockstat=True,
    drive=Drive(wall_ns=100_000_000, stall_ns=(30_000_000, 10_000_000, 0), failed=(4, 0, 3), interrupted=False),
    cpus=(
        cpu(0, allocs=400, frees=100, cpuhit=130, filled=270, drained=8, atomics=35),
        cpu(1, allocs=200, frees=300, cpuhit=20, filled=180, drained=32, atomics=50),
        cpu(2, allocs=0, frees=36, cpuhit=0, filled=0, drained=0, atomics=0),
    ),
    locks=LOCKS,
    seen=Seen(
        5,
        stranded_pages_max=91,
        cached_pages_max=95,
        lag_pages_max=17,
        gap_pages_max=99,
        beside_free_ns_max=2_500_000,
    ),
    uvmexp=exp(pdwoke=14),
    ranged_pages=64,
    redistributions={"timer": 1, "pressure": 2, "retry": 3, "pglistalloc": 4, "rate-limited": 5, "other": 600},
    waits=Waits(21, 6, 700, 800, 33_000_000, 12_000_000, (0,) * SLEEP_BUCKETS),
    anons=None,
    counts={
        "page_operations": 1600,
        "allocations": 750,
        "runs_asked": 9,
        "runs_met": 8,
        "runs_failed": 1,
        "runs_pages": 64,
    },
)

EXPECTED = Figures(
    page_operations=1600,  # what was asked for
    page_operations_done=1100,  # 600 allocated, 64 in runs, 436 freed
    local_hit_percent=20.0,  # 150 of 750 asked for
    shared_locks_per_op=0.25,  # 300 + 100 in 1600
    atomics_per_op=0.053125,  # 85 in 1600
    wait_share_percent=23.076923076923077,  # 60 ms of 3 * 100 - 40
    contended_percent=3.0,  # 30 + 11 + 6 + 1 of 300 + 100 + 500 + 700
    longest_wait_us=11_000.0,  # of uvm_cpu[1], not of the 90 ms of a lock of another kind
    stranded_pages_max=91,
    moved_per_op=0.30625,  # 450 filled and 40 drained in 1600
    lag_pages_max=17,
    gap_pages_max=99,
    failed_allocs=7,
    stall_percent=13.333333333333334,  # 40 ms of 3 * 100
    wall_ms=100.0,
    redistributed_timer=1,
    redistributed_pressure=2,
    redistributed_retry=3,
    redistributed_pglistalloc=4,
    redistributions_rate_limited=5,
    daemon_wakeups=14,
    waits=21,
    wait_timeouts=6,
    wait_total_ms=33.0,
    wait_longest_ms=12.0,
    beside_free_longest_ms=2.5,
    faults=None,
    faults_per_s=None,
    pageins=None,
    pageouts=None,
    runs_asked=9,
    runs_met=8,
    runs_failed=1,
    runs_pages=64,
    false_oom=None,
)


def differing(found: Figures, expected: Figures) -> dict[str, tuple[object, object]]:
    """Return the figures that are not what they should be, up to the last bit of a division."""
    pairs = {name: (value, getattr(expected, name)) for name, value in asdict(found).items()}
    return {name: (is_, should) for name, (is_, should) in pairs.items() if is_ != pytest.approx(should)}


def test_every_figure_of_a_run() -> None:
    assert differing(figures(RUN), EXPECTED) == {}


def test_a_design_with_one_lock_has_its_waits_alone() -> None:
    """Of the 260 ms that three threads did not stall, 48 in 400 acquisitions."""
    one = replace(RUN, design="fpageqlock", locks=LOCKS[:2] + LOCKS[4:])
    changed = replace(EXPECTED, wait_share_percent=100 * 48 / 260, contended_percent=10.25, longest_wait_us=9_000.0)
    assert differing(figures(one), changed) == {}


def test_locks_are_known_by_their_kind_and_not_by_their_names() -> None:
    """A design has shared locks of its own; what stands for interrupts that are off is no lock."""
    names = {"uvm_fpageqlock": "bucket[3]", "uvm_cpu[0]": "pcp[0]", "uvm_cpu[1]": "pcp[1]"}
    other = replace(RUN, locks=tuple(replace(each, name=names.get(each.name, each.name)) for each in LOCKS))
    assert differing(figures(other), EXPECTED) == {}
    off = replace(RUN, locks=(*LOCKS, replace(LOCKS[-1], name="splvm[0]", kind="off")))
    assert differing(figures(off), EXPECTED) == {}


def test_what_kernel_threads_waited_is_told_apart() -> None:
    """They hold nobody up by waiting. What a failed allocation hands back itself is the players' time."""
    back = lock("uvm_cpu[2]", "uvm_redistribute", 0, 0, 75_000_000, 50_000_000)
    run = replace(RUN, locks=(*LOCKS, back), redistributions=RUN.redistributions | {"retry": 0})
    told = replace(EXPECTED, kernel_wait_ms=75.0, redistributed_retry=0)
    assert differing(figures(run), told) == {}
    found = figures(replace(run, redistributions=RUN.redistributions))
    assert (found.kernel_wait_ms, found.longest_wait_us) == (0.0, 50_000.0)
    assert found.wait_share_percent == pytest.approx(100 * 135 / 260)


def test_what_is_missing_does_not_make_rates_better() -> None:
    """A design that did half of the work has the same divisor."""
    half = replace(RUN, ranged_pages=0, cpus=(replace(RUN.cpus[0], frees=0), *RUN.cpus[1:]))
    assert differing(figures(half), replace(EXPECTED, page_operations_done=936)) == {}


def test_a_record_that_does_not_tell_what_was_asked_for_is_divided_by_what_was_done() -> None:
    told = replace(
        EXPECTED,
        page_operations=1100,
        local_hit_percent=25.0,  # 150 of 600
        shared_locks_per_op=400 / 1100,
        atomics_per_op=85 / 1100,
        moved_per_op=490 / 1100,
        **dict.fromkeys(("runs_asked", "runs_met", "runs_failed", "runs_pages")),
    )
    assert differing(figures(replace(RUN, counts={})), told) == {}


def test_a_map_has_figures_of_its_own() -> None:
    """50 faults in 0.1 s. What finds no page is a fault, counted by the map, not by the lane as well."""
    counts = RUN.counts | {"false_oom": 2, "out_of_pages": 400}
    found = replace(RUN, anons=anons(faults=50, pgswapin=12, pgswapout=13, fltnoram=5), counts=counts)
    told = replace(EXPECTED, failed_allocs=5, faults=50, faults_per_s=500.0, pageins=12, pageouts=13, false_oom=2)
    assert differing(figures(found), told) == {}


def test_a_run_in_which_nothing_happened_has_figures_of_0() -> None:
    """Nothing is divided by nothing: no operation, no lock, threads that did nothing but stall."""
    idle = replace(RUN, cpus=(), locks=(), ranged_pages=0, counts={}, drive=Drive(5, (5,), (0,), False))
    found = figures(idle)
    assert (found.page_operations, found.shared_locks_per_op, found.local_hit_percent) == (0, 0.0, 0.0)
    assert (found.contended_percent, found.wait_share_percent, found.longest_wait_us) == (0.0, 0.0, 0.0)
    assert found.stall_percent == 100.0


@pytest.mark.parametrize(
    ("cached", "lag", "stranded", "gap"),
    [
        ((10, 3, 5), 4, 15, 14),  # all but the least can be out of reach; 18 are cached, of which 4 are counted
        ((10, 3, 5), -4, 15, 22),  # the counter is behind: 4 more are free than it says
        ((0, 0, 9), 0, 9, 9),
        ((9,), 0, 0, 9),  # a CPU alone reaches its own
    ],
)
def test_what_an_observer_saw_at_one_moment(cached: tuple[int, ...], lag: int, stranded: int, gap: int) -> None:
    seen = Seen()
    seen.add(cached, lag)
    assert (seen.stranded_pages_max, seen.cached_pages_max) == (stranded, sum(cached))
    assert (seen.lag_pages_max, seen.gap_pages_max) == (abs(lag), gap)


def test_a_peak_is_of_each_alone_and_stays() -> None:
    """The most of each is seen at another moment; a lag below nought is as large as one above."""
    seen = Seen()
    for cached, lag in (((8, 1), 2), ((5, 5), -7), ((0, 3), 6), ((0, 0), 0)):
        seen.add(cached, lag)
    assert seen.samples == 4
    assert seen.stranded_pages_max == 8  # 8 + 1 - 1
    assert seen.cached_pages_max == 10
    assert seen.lag_pages_max == 7
    assert seen.gap_pages_max == 17  # 10 cached, and 7 more that the counter does not say


def test_the_locks_of_several_runs_stay_apart() -> None:
    assert locks_of([RUN, replace(RUN, locks=LOCKS[:1])]) == [*LOCKS, LOCKS[0]]


def test_what_was_waited_for_is_taken_down_as_it_was_counted() -> None:
    names = ("sleeps", "timeouts", "wakeups", "kicks", "sleep_ns_total", "sleep_ns_max")
    pageout: Any = SimpleNamespace(**{name: 11 + at for at, name in enumerate(names)}, sleep_hist=[3, 1, 4])
    assert Waits.of(pageout) == Waits(11, 12, 13, 14, 15, 16, (3, 1, 4))


def test_accesses_without_a_page_and_cpus_without_one_at_the_end_are_both_out_of_memory() -> None:
    """Where there was some: they are told apart from allocations that fail as they may, and added up."""

    def load(uvm: Uvm) -> Load:
        made = pressure.pressure(uvm, 0.01)
        made.counts = lambda: {"out_of_pages": 3}
        made.settle = lambda: 2  # type: ignore[method-assign]
        return made

    workload = replace(workloads.pressure(1, 1.0), load=load)
    param = Param(npages=256, ncpus=1, design="percpu")
    done = run(workload, param, "percpu", 0, lockstat=False, stop=lambda: False, machine=VirtualMachine(ncpus=1))
    assert done is not None
    assert done.counts["false_oom"] == 5
