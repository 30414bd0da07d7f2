"""Comparing records: a change that the repetitions bear out is told from one that they do not."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uvmfree.analyse.compare import JUDGED, Change, compare, differences
from uvmfree.errors import ArgumentError
from uvmfree.measure.record import THREAD_TIMES, Record, load

GIL = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))
OLD = replace(GIL, host=replace(GIL.host, gil=False))


def with_walls(*walls_ms: float, design: str = "percpu") -> Record:
    """The old record, its runs of one design repeated with these wall times."""
    timed, counted = OLD.timed(design)[0], OLD.counted(design)[0]
    runs = [
        replace(run, repetition=number, drive=replace(run.drive, wall_ns=round(wall_ms * 1e6)))
        for number, wall_ms in enumerate(walls_ms)
        for run in (timed, counted)
    ]
    return replace(OLD, designs=(design,), runs=runs)


def wall(before: Record, after: Record, tolerance: float = 0.05) -> Change:
    (change,) = (one for one in compare(before, after, tolerance) if one.figure == "wall_ms")
    return change


STEADY = (100, 101, 99, 100, 102)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (STEADY, "same"),
        ((103, 102, 104, 103, 102), "same"),  # worse, within the tolerance
        ((130, 131, 129, 132, 130), "worse"),
        ((70, 71, 69, 70, 72), "better"),
        ((60, 150, 90, 160, 100), "unsure"),
        ((130, 131), "unsure"),  # too few to be sure of anything
    ],
)
def test_a_wall_time_is_judged(after: tuple[float, ...], verdict: str) -> None:
    change = wall(with_walls(*STEADY), with_walls(*after))
    assert change.verdict == verdict
    if len(after) > 2:
        assert change.ratio_low <= change.ratio <= change.ratio_high
    else:
        assert math.isnan(change.ratio_low)


@pytest.mark.parametrize(
    ("after", "interval"),
    [
        ((50, 50, 100, 100, 100, 100, 100, 150, 150), (0.5, 1.5)),  # a median of 50 is drawn in 3 % of all cases
        ((50, 100, 100, 100, 100, 100, 150), (1.0, 1.0)),  # in 1 %
    ],
)
def test_an_interval_leaves_out_two_and_a_half_percent_at_either_end(
    after: tuple[float, ...], interval: tuple[float, float]
) -> None:
    change = wall(with_walls(*[100] * len(after)), with_walls(*after))
    assert (change.ratio_low, change.ratio_high) == interval


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (100, 105, "same"),  # by no more than the tolerance
        (97, 100, "same"),
        (93, 100, "unsure"),  # it may be better
        (100, 107, "unsure"),
        (105.1, 105.1, "worse"),
        (95.1, 95.1, "better"),
    ],
)
def test_an_interval_is_judged_by_both_of_its_ends(low: float, high: float, verdict: str) -> None:
    """Wall times of 100 ms before; the medians that are drawn afterwards are from `low` to `high`."""
    middle = min(max(100.0, low), high)
    after = (low, low, *[middle] * 5, high, high)
    assert wall(with_walls(*[100] * 9), with_walls(*after)).verdict == verdict


def test_of_which_figures_more_is_better_and_of_which_less() -> None:
    more = {"local_hit_percent", "warm_percent", "color_right_percent", "faults_per_s"}
    less = {"shared_locks_per_op", "atomics_per_op", "wait_share_percent", "contended_percent", "moved_per_op"}
    less |= {"parked_pages_mean", "failed_while_free_elsewhere", "false_oom", "wall_ms"}
    assert dict(JUDGED) == dict.fromkeys(more, +1) | dict.fromkeys(less, -1)


def test_what_is_worse_one_way_is_better_the_other() -> None:
    slow, fast = with_walls(*(2 * value for value in STEADY)), with_walls(*STEADY)
    assert wall(slow, fast).verdict == "better"
    assert wall(fast, slow).verdict == "worse"
    assert wall(fast, slow, tolerance=1.5).verdict == "same"
    assert wall(slow, fast).ratio == pytest.approx(1 / wall(fast, slow).ratio)


def test_where_more_is_better_less_is_worse() -> None:
    """Local hits; and the same figure in every repetition needs no interval."""
    hits, misses = with_walls(*STEADY), with_walls(*STEADY)
    misses.runs[:] = [
        replace(run, cpus=tuple(replace(cpu, cpuhit=0, cpumiss=cpu.cpumiss + cpu.cpuhit) for cpu in run.cpus))
        for run in misses.runs
    ]
    hits.runs[:] = [
        replace(run, cpus=tuple(replace(cpu, cpuhit=cpu.allocs, cpumiss=0) for cpu in run.cpus)) for run in hits.runs
    ]
    verdicts = {change.figure: change.verdict for change in compare(hits, misses, 0.05)}
    assert verdicts["local_hit_percent"] == "worse"
    verdicts = {change.figure: change.verdict for change in compare(misses, hits, 0.05)}
    assert verdicts["local_hit_percent"] == "better"


def test_something_that_came_of_nothing_is_worse() -> None:
    none, some = with_walls(*STEADY), with_walls(*STEADY)
    some.runs[:] = [replace(run, cpus=tuple(replace(cpu, atomics=9) for cpu in run.cpus)) for run in some.runs]
    none.runs[:] = [replace(run, cpus=tuple(replace(cpu, atomics=0) for cpu in run.cpus)) for run in none.runs]
    (change,) = (one for one in compare(none, some, 0.05) if one.figure == "atomics_per_op")
    assert (change.ratio, change.verdict) == (math.inf, "worse")


def test_a_record_is_the_same_as_itself() -> None:
    for change in compare(OLD, OLD, 0.0):
        assert change.verdict in ("", "same")
        assert change.ratio == 1.0


@given(st.lists(st.floats(1, 1000), min_size=3, max_size=6), st.lists(st.floats(1, 1000), min_size=3, max_size=6))
def test_whatever_was_measured_there_is_a_verdict(before: list[float], after: list[float]) -> None:
    """And it is the same each time."""
    changes = [wall(with_walls(*before), with_walls(*after)) for _ in range(2)]
    assert changes[0] == changes[1]
    assert changes[0].verdict in ("better", "worse", "same", "unsure")


def test_records_that_have_nothing_in_common_are_refused() -> None:
    other = replace(OLD, workload=replace(OLD.workload, name="other"))
    with pytest.raises(ArgumentError, match=r"different workloads: small\.perf on 2 CPUs and other on 2 CPUs"):
        compare(OLD, other, 0.05)
    with pytest.raises(ArgumentError, match=r": small\.perf on 2 CPUs and small\.perf on 4 CPUs"):
        compare(OLD, replace(OLD, workload=replace(OLD.workload, ncpus=4)), 0.05)
    with pytest.raises(ArgumentError, match="no design in common: percpu and fpageqlock"):
        compare(with_walls(1), with_walls(1, design="fpageqlock"), 0.05)
    for tolerance in (-0.1, 11, math.nan):
        with pytest.raises(ArgumentError, match="--tolerance"):
            compare(OLD, OLD, tolerance)


@pytest.mark.parametrize(("before", "after"), [(GIL, GIL), (GIL, OLD), (OLD, GIL)])
def test_times_of_threads_that_took_turns_are_not_compared(before: Record, after: Record) -> None:
    """Counts are, and the same judged as ever."""
    assert {change.figure for change in compare(OLD, OLD, 0.05)} > THREAD_TIMES - {"faults_per_s"}
    changes = compare(before, after, 0.05)
    assert not THREAD_TIMES & {change.figure for change in changes}
    assert {"shared_locks_per_op", "atomics_per_op"} <= {change.figure for change in changes if change.verdict}


def test_where_nothing_can_be_compared_it_is_said() -> None:
    """A gate that had nothing to compare has not been passed."""
    with pytest.raises(ArgumentError, match=r"^nothing to compare: the second record has no runs$"):
        compare(OLD, replace(OLD, runs=[]), 0.05)
    with pytest.raises(ArgumentError, match=r"^nothing to compare: the first and the second record has no runs$"):
        compare(replace(OLD, runs=[]), replace(OLD, runs=[]), 0.05)
    only = replace(OLD, runs=[run for run in OLD.runs if run.lockstat])
    timed = replace(OLD, runs=[run for run in OLD.runs if not run.lockstat])
    with pytest.raises(ArgumentError, match=r"^nothing to compare: no figure that is judged is in both records$"):
        compare(only, timed, 0.05)
    assert compare(timed, timed, 0.05)
    with pytest.raises(ArgumentError, match=r"is in both records\. With the GIL, threads take turns"):
        compare(timed, replace(timed, host=GIL.host), 0.05)


def test_runs_that_one_record_lacks_are_told() -> None:
    """Else a design could be left out of a gate without a word."""
    (said,) = differences(OLD, replace(OLD, runs=[run for run in OLD.runs if run.design == "percpu"]))
    assert said == ("runs of fpageqlock: 1 with lockstat and 1 without before, 0 with lockstat and 0 without after")


def test_what_else_differs_is_said() -> None:
    assert list(differences(OLD, OLD)) == []
    other = replace(
        OLD, host=replace(OLD.host, gil=True, kernel="K"), param=replace(OLD.param, own=(("percpu.refill", 32),))
    )
    said = list(differences(OLD, other))
    assert [line.partition(":")[0] for line in said] == ["interpreter", "kernel", "percpu.refill"]
    assert said[-1] == "percpu.refill: 1 before, 32 after"


def test_a_tunable_of_a_design_from_outside_that_was_not_set_has_its_default() -> None:
    """Which that is only the design knows, and a record is read without it."""
    empty, unbound = (replace(OLD, param=replace(OLD.param, own=(("trays.rack", rack),))) for rack in (0, None))
    assert list(differences(OLD, empty)) == ["trays.rack: its default before, 0 after"]
    assert list(differences(unbound, OLD)) == ["trays.rack: None before, its default after"]
    assert list(differences(empty, unbound)) == ["trays.rack: 0 before, None after"]


def test_a_comparison_can_be_written_as_json() -> None:
    assert json.dumps([change.ratio for change in compare(OLD, OLD, 0.05)])
