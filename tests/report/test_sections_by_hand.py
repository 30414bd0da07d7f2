"""Figures of the page's sections, on runs whose samples, waits and times are made up by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import MS, record
from uvmfree.analyse.usl import Fitted, Usl
from uvmfree.measure.record import Record
from uvmfree.measure.run import Run
from uvmfree.measure.samples import Samples
from uvmfree.report.page import law
from uvmfree.report.page.heatmap import heatmap
from uvmfree.report.page.measured import caveats, measured
from uvmfree.report.page.numbers import hundredths, number, spread
from uvmfree.report.page.page_locks import locks
from uvmfree.report.page.rows import LANE_PX, Rows
from uvmfree.report.page.scaling import scaling, throughput
from uvmfree.report.page.settings import Source, points_of
from uvmfree.report.page.stranded import stranded
from uvmfree.report.page.timeline import over_time
from uvmfree.report.page.waits import waits


def sources(*records: Record) -> list[Source]:
    return [Source(number, f"{number}.json", one) for number, one in enumerate(records, 1)]


def changed(one: Record, change: Callable[[Run], Run]) -> Record:
    return replace(one, runs=[change(run) for run in one.runs])


def table_of(section: Any, at: int = 0) -> dict[str, tuple[str, ...]]:
    """The rows of a table of the first plot, by what they are about."""
    return {row[0]: tuple(row[1:]) for row in section.groups[0].plots[0].tables[at].rows}


def test_a_record_has_the_repetitions_that_every_design_has() -> None:
    one = record(designs=("fpageqlock", "percpu"), repetitions=5)
    broken = replace(one, runs=[run for run in one.runs if (run.design, run.repetition) != ("percpu", 4)])
    (overview,) = measured(sources(one, broken)).groups[0].tables
    assert [row[overview.columns.index("repetitions")] for row in overview.rows] == ["5", "4"]
    few = [said for said in caveats(sources(one, broken)) if "fewer than 5 repetitions" in said]
    assert few == ["Record 2: fewer than 5 repetitions; spreads mean little."]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 2), "Records 1 and 2: "),
        ((1, 2, 3), "Records 1 to 3: "),
        ((1, 2, 3, 5), "Records 1 to 3 and 5: "),
        ((2, 4, 5), "Records 2 and 4 and 5: "),
        ((1, 2, 3, 4, 5, 6), "All records: "),
    ],
)
def test_records_that_are_not_whole_are_named(numbers: tuple[int, ...], said: str) -> None:
    records = [replace(record(rows=0), interrupted=number in numbers) for number in range(1, 7)]
    (caveat,) = [each for each in caveats(sources(*records)) if "interrupted" in each]
    assert caveat.startswith(said)


def test_marks_of_designs_stand_around_their_row() -> None:
    designs = ("fpageqlock", "percpu", "depot")
    (point,) = points_of([record(designs=designs, rows=0)])
    rows = Rows([point], designs)
    (middle,) = rows.layout({})["yaxis"]["tickvals"]
    assert [rows.at(point, design) - middle for design in designs] == [-LANE_PX, 0, LANE_PX]


def sampled(free: tuple[int, ...], lag: tuple[int, ...], cached: tuple[tuple[int, ...], ...]) -> Record:
    """A record of percpu with these samples, each millisecond."""
    times = tuple(MS * (row + 1) for row in range(len(free)))
    none = (0,) * len(free)
    samples = Samples(5_000_000_000, times, free, none, none, none, lag, cached)
    one = record(designs=("percpu",), repetitions=1, events=0)
    return changed(one, lambda run: replace(run, samples=samples if run.lockstat else None))


def test_stranded_pages_are_told_by_their_most_their_middle_and_their_end() -> None:
    """Out of the reach of one of three CPUs are 11, 7, 110, 0, 33 of 65,536 pages."""
    cached = ((10, 0, 40, 0, 3), (0, 5, 60, 0, 30), (1, 2, 50, 0, 3))
    one = sampled((9,) * 5, (0,) * 5, cached)
    row = table_of(stranded(sources(one), ("percpu",)))["percpu"]
    assert row == ("110", "0.17 %", "11", "33", "80 %")


def test_a_timeline_tells_the_truth_and_by_how_much_the_reading_is_off() -> None:
    """The list has free - lag pages, all free ones are those and the cached ones."""
    one = sampled((100, 200, 300), (10, 0, -20), ((1, 2, 3), (4, 5, 6)))
    rows = table_of(over_time(sources(one), ("percpu",)))
    assert rows["on the global list"] == ("90", "200", "320", "320")
    assert rows["truth: all free pages"] == ("95", "207", "329", "329")
    assert rows["unlocked reading"] == ("100", "200", "300", "300")
    assert rows["truth minus reading"] == ("-5", "7", "29", "29")
    assert rows["cached on CPU 1"] == ("4", "5", "6", "6")


def waited(hist: dict[int, int], longest_ns: tuple[int, ...]) -> Record:
    """A record in which percpu waits so often, in each repetition; the longest wait is that of the repetition."""
    counts = tuple(hist.get(bucket, 0) for bucket in range(40))
    one = record(designs=("percpu",), repetitions=len(longest_ns), rows=0)

    def change(run: Run) -> Run:
        longest = longest_ns[run.repetition]
        locks = tuple(
            replace(lock, wait_hist=counts, contended=sum(counts), wait_ns_max=longest) for lock in run.locks[:1]
        )
        sleeps = replace(run.waits, sleeps=sum(counts), sleep_hist=counts, sleep_ns_max=longest)
        return replace(run, locks=locks, waits=sleeps)

    return changed(one, change)


def test_quantiles_of_waits_are_the_ends_of_their_buckets_and_the_longest_is_exact() -> None:
    """Of 1,000 waits 980 are shorter than 2**10 ns, 15 than 2**14, 5 than 2**20."""
    one = waited({10: 980, 14: 15, 20: 5}, (9_000_000, 5_000_000))
    section = waits(points_of([one]), ("percpu",))
    locks, sleeps = section.groups[0].plots[0], section.groups[1].plots[0]
    for plot in (locks, sleeps):
        (row,) = [row for row in plot.tables[0].rows if len(row) > 1]
        assert list(row[2:]) == ["2,000", "≤ 1.02 µs", "≤ 16.4 µs", "≤ 1.05 ms", "9 ms"]
    assert locks.says.endswith("99 % were at most: percpu 16.4 µs.")


def took(run: Run, wall_ns: int) -> Run:
    return replace(run, drive=replace(run.drive, wall_ns=wall_ns))


def grown(per_s: dict[int, float]) -> list[Record]:
    """Records whose runs without lockstat do so much on so many CPUs, and those with it a tenth."""
    records = []
    for ncpus, rate in per_s.items():
        one = record(ncpus=ncpus, designs=("percpu",), repetitions=1, rows=0, processors=4)
        wall_ns = (one.workload.page_operations or 0) / rate * 1e9
        records.append(
            changed(one, lambda run, ns=wall_ns: took(run, round(ns * (10 if run.lockstat else 1))))  # type: ignore[misc]
        )
    return records


def test_throughput_is_without_lockstat_and_beside_what_the_smallest_count_did() -> None:
    """2 CPUs do 1,000 a second, 8 do three times as much, where linear would be four times."""
    points = points_of(grown({2: 1000, 8: 3000}))
    assert list(throughput(points[0], "percpu")) == pytest.approx([1000], rel=1e-6)
    only_counted = replace(points[0].record, runs=points[0].record.counted("percpu"))
    assert list(throughput(points_of([only_counted])[0], "percpu")) == pytest.approx([100], rel=1e-6)
    (group,) = scaling(points, ("percpu",)).groups
    (plot,) = group.plots
    assert plot.says == "percpu does 3.00 times as much on 8 CPUs as on 2. Linear would be 4."
    (linear,) = [trace for trace in plot.traces if trace["name"] == "linear, percpu"]
    assert linear["y"] == pytest.approx([1000, 4000], rel=1e-6)
    rows = [row[3:] for row in plot.tables[0].rows if len(row) > 1]
    assert rows == [("1.00", "1", "4"), ("3.00", "4", "4")]
    (beyond,) = plot.layout["shapes"]
    assert (beyond["x0"], beyond["x1"]) == (6, 8.4)  # between 4 processors and 8 CPUs


@pytest.mark.parametrize(
    ("peak", "said"),
    [
        (6.0, ("6.0", "5,000")),
        (2.0, ("2.0, extrapolated", "5,000")),
        (99.0, ("99.0, extrapolated", "5,000")),
        (math.inf, ("none", "none")),
    ],
)
def test_a_peak_outside_of_what_was_measured_is_said_to_be(peak: float, said: tuple[str, str]) -> None:
    fitted = Usl(Fitted(1000, 900, 1100), Fitted(0.1, 0, 0.2), Fitted(0.01, 0, 0.02), peak, 5000, (8, 16), 0.98765)
    one = law.Law("percpu", "", 4, 16, fitted)
    (row,) = law.table([one]).rows
    assert row[1:4] == ("1,000 [900 - 1,100]", "0.1000 [0.0000 - 0.2000]", "0.010000 [0.000000 - 0.020000]")
    assert row[4:] == (*said, "0.988", "8, 16")
    curve = one.curve(("percpu",))
    assert (curve["x"][0], curve["x"][40], curve["x"][-1]) == (4, 8, 16)
    assert curve["y"][40] == pytest.approx(1000 * 8 / (1 + 0.1 * 7 + 0.01 * 56))


def test_a_heat_map_has_intervals_down_and_gaps_across_and_tells_where_its_ends_are() -> None:
    """Of three repetitions of each field the median: 10 to 50; one field was not measured."""
    fields = [(interval, gap) for interval in (0.1, 1.0) for gap in (0.01, 0.1, 1.0)][:-1]
    records = []
    for at, (interval, gap) in enumerate(fields, 1):
        peaks = (at, 10 * at, 1000)
        one = record(designs=("percpu",), rows=0, redistribute_interval_s=interval, redistribute_min_gap_s=gap)
        runs = [
            replace(
                run,
                redistributions=run.redistributions | {"timer": 1},
                seen=replace(run.seen, stranded_pages_max=peaks[run.repetition]),
            )
            for run in one.runs
        ]
        records.append(replace(one, runs=runs))
    (group,) = heatmap(points_of(records), ("percpu",)).groups
    (plot,) = [plot for plot in group.plots if plot.title == "Peak of stranded pages"]
    assert plot.traces[0]["z"] == [[10, 20, 30], [40, 50, None]]
    assert plot.says == (
        "Peak of stranded pages: from 10 at interval 0.1 s and gap 0.01 s to 50 at interval 1 s and gap 0.1 s."
    )
    assert plot.tables[0].rows == [
        ("0.1", "10 [1 - 1,000]", "20 [2 - 1,000]", "30 [3 - 1,000]"),
        ("1", "40 [4 - 1,000]", "50 [5 - 1,000]", "-"),
    ]


def test_tables_of_locks_have_each_figure_under_its_heading() -> None:
    """As the record sums them up, medians and extremes of the repetitions."""
    one = record(designs=("percpu",), rows=0)
    runs = [
        replace(
            run,
            cpus=tuple(
                replace(cpu, cpuhit=40 + cpu.index, cpumiss=9, atomics=7 + run.repetition) for cpu in run.cpus
            ),
            locks=tuple(replace(lock, acquired=50, contended=3 + at) for at, lock in enumerate(run.locks)),
        )
        for run in one.runs
    ]
    one = replace(one, runs=runs)
    found = {}
    for plot in locks(points_of([one]), ("percpu",)).groups[0].plots:
        (table,) = plot.tables
        (row,) = [row for row in table.rows if len(row) > 1]
        found |= dict(zip(table.columns[2:], row[2:], strict=True))
    figures = one.values("percpu")
    shown = {
        "wait share, %": ("wait_share_percent", hundredths),
        "contended, %": ("contended_percent", hundredths),
        "shared-lock acquisitions": ("shared_locks_per_op", number),
        "atomic operations": ("atomics_per_op", number),
        "local hits, %": ("local_hit_percent", hundredths),
    }
    assert found == {heading: spread(figures[name], how) for heading, (name, how) in shown.items()}
    assert len(set(found.values())) == 5
