"""What one measured point of a scaling curve has counted, on runs in which the answer is plain."""

from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.scale import COUNTED_OPS, Case, Point, Traffic, _Meter, measured
from uvmfree.workload.driver import Body, Lane
from uvmfree.workload.load import Load
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.trace import bundled_trace, read_trace

NCPUS = 4

needs_greenlets = pytest.mark.skipif(
    not greenlets_work(), reason="many CPUs: the same, and minutes, where strands are threads that pass a baton"
)


def point(design: str) -> Point:
    found = measured(Case(design, NCPUS, Traffic("pingpong")))
    assert found is not None
    assert found.operations >= NCPUS * COUNTED_OPS
    return found


def test_while_caches_serve_everything_no_shared_lock_is_held() -> None:
    """Each CPU takes its own lock for each of its operations: that is no hold of a shared one."""
    found = point("percpu")
    assert (found.shared_acquired, found.held_ns, found.busy_percent) == (0, 0, 0)


def test_where_one_lock_is_all_there_is_it_is_held_for_every_operation() -> None:
    found = point("fpageqlock")
    assert abs(found.shared_acquired - found.operations) <= NCPUS
    assert 0 < found.held_ns <= found.window_ns


def test_what_cpus_do_in_the_window_is_work_outside_waiting_and_little_else() -> None:
    """Nothing of the warm-up is in it: then it would be more than all of their time."""
    ncpus, think_ns = 16, 1000
    traffic = Traffic("pingpong", think_ns=think_ns)
    found = measured(Case("fpageqlock", ncpus, traffic, changed={"jitter_percent": 0}))
    assert found is not None
    accounted_ns = found.operations * think_ns + found.wait_ns + found.held_ns
    assert 0.95 < accounted_ns / (ncpus * found.window_ns) <= 1
    assert found.wait_ns > 3 * found.operations * think_ns  # the lock is full
    assert found.wait_share_percent == 100 * found.wait_ns / (ncpus * found.window_ns)
    played = measured(Case("percpu", 4, Traffic("trace")))
    assert played is not None
    assert played.outside_ns is not None
    assert 0.9 < played.outside_ns / (4 * played.window_ns) <= 1


def test_a_hold_takes_what_the_table_says_of_either_half() -> None:
    """As many allocations as frees: a hold lasts for the mean of both, whatever either is."""
    traffic = Traffic("pingpong", think_ns=5000)

    def mean_ns(**changed: float) -> float:
        found = measured(Case("fpageqlock", 1, traffic, changed={"jitter_percent": 0, **changed}))
        assert found is not None
        return found.held_ns / found.shared_acquired

    usual = costs_for("xeon-2s")
    for half in ("global_alloc", "global_free"):
        longer = mean_ns(**{half: usual.ns(half) + 1000})
        assert longer - mean_ns() == pytest.approx(500, rel=0.02)


def test_memory_is_for_what_all_cpus_hold_at_once() -> None:
    """A trace's most for each two CPUs; parcels under way and in both hands for each pair; of children 256 each."""
    most = plan(read_trace(bundled_trace()), loop=True).live_peak
    assert [Traffic("trace").live_pages(ncpus) for ncpus in (2, 8)] == [most, 4 * most]
    assert [Traffic("handoff").live_pages(ncpus) for ncpus in (2, 8)] == [pages * 10 for pages in (32, 128)]
    assert Traffic("forkexit").live_pages(4) == 9 * 256


def test_a_slower_trace_has_longer_gaps_and_the_same_operations() -> None:
    """The page rate of another machine: half as many operations a second, by name."""
    plain, slower = Traffic(), Traffic(slower=2)
    assert slower.loop_s() == pytest.approx(2 * plain.loop_s())
    assert slower.ops_per_s() == pytest.approx(plain.ops_per_s() / 2)
    assert slower.live_pages(4) == plain.live_pages(4)
    assert slower.name == f"{plain.name}, 2 times slower"


def test_allocations_that_failed_in_the_warm_up_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Traffic.load

    def load(traffic: Traffic, *where: Any) -> Load:
        def failing(body: Body) -> Body:
            def begun(cpu: Any, lane: Lane) -> None:
                lane.failed += 3
                body(cpu, lane)

            return begun

        made = whole(traffic, *where)
        made.bodies = [failing(body) for body in made.bodies]
        return made

    monkeypatch.setattr(Traffic, "load", load)
    assert point("percpu").failed == 0


def test_a_load_in_which_nobody_waits_for_another_ends_too() -> None:
    found = measured(Case("percpu", 1, Traffic("forkexit")))
    assert found is not None
    assert found.operations >= COUNTED_OPS


@needs_greenlets
def test_waits_are_counted_as_far_as_they_are_in_the_window() -> None:
    """The warm-up ends in a crowd at the shared lock, which is held for long, and afterwards nobody comes for it.

    => With waits counted whole, 48 CPUs would have waited for more than all of their time.
    """
    found = measured(Case("percpu", 48, Traffic("pingpong"), changed={"global_alloc": 13_200}))
    assert found is not None
    assert found.shared_acquired > 24
    at_work = found.operations * found.case.traffic.think_ns / (48 * found.window_ns)
    assert found.wait_share_percent < 100 * (1 - at_work)


@needs_greenlets
def test_counters_that_all_update_are_waited_for_and_no_lock_is() -> None:
    """Beside what CPUs do outside, it is nearly all of their time; a design without shared words waits for none."""
    found = {
        design: measured(Case(design, 64, Traffic("pingpong"), changed={"jitter_percent": 0}))
        for design in ("openbsd_magazine", "percpu")
    }
    shared, own = found["openbsd_magazine"], found["percpu"]
    assert shared is not None
    assert own is not None
    assert own.words_share_percent == 0
    outside = 100 * shared.operations * 1000 / (shared.window_ns * 64)
    assert shared.wait_share_percent < 1
    assert shared.words_share_percent is not None
    assert 90 - outside < shared.words_share_percent < 100 - outside


@pytest.mark.parametrize(
    ("each", "looks"),
    [
        ((10, 10), 1),
        ((9, 10), 2),  # ten each, on average
        ((16, 4), 2),  # five of the slowest
        ((30, 0), 3),  # or four times ten
        ((39, 0), 3),
        ((40, 0), 2),
    ],
)
def test_the_slowest_cpu_is_waited_for_but_not_for_ever(each: tuple[int, int], looks: int) -> None:
    """Until each of two CPUs has done ten operations, on average, and the slowest five."""
    slept_s: list[float] = []
    machine: Any = SimpleNamespace(words_waited_ns=lambda: 0, sleep=slept_s.append)
    uvm: Any = SimpleNamespace(
        machine=machine,
        cpu_stats=lambda: [SimpleNamespace(allocs=7 + done * len(slept_s), frees=2) for done in each],
    )
    load: Any = SimpleNamespace(outside_ns=None, stall_ns=None)
    meter = _Meter(Case("percpu", 2, Traffic("pingpong")), uvm, load, machine)
    meter._sleep(5, 10)
    assert slept_s == [meter._part_s, *[meter._part_s / 4] * (looks - 1)]
