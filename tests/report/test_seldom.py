"""What happened in few repetitions only: its median is 0 and its maximum is not, and it is shown all the same."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.report.made import record
from uvmfree.measure.record import Record, Spread, spread
from uvmfree.report.comparison import notes
from uvmfree.report.comparison import table as text_table
from uvmfree.report.page.heatmap import heatmap
from uvmfree.report.page.numbers import spread as shown
from uvmfree.report.page.page_locks import locks
from uvmfree.report.page.settings import designs_of, points_of
from uvmfree.report.page.waits import waits


def rarely(one: Record, ns: int) -> Record:
    """The record in which one repetition of three waited and stranded something, and the others nothing."""
    runs = []
    for run in one.runs:
        much = ns if run.repetition == 1 else 0
        locks_then = tuple(
            replace(lock, wait_ns_total=much, wait_ns_max=much, contended=0, wait_hist=(0,) * 40)
            for lock in run.locks
        )
        slept = tuple(int(much and bucket == much.bit_length()) for bucket in range(40))
        runs.append(
            replace(
                run,
                locks=locks_then,
                seen=replace(run.seen, stranded_pages_max=7 if much else 0),
                waits=replace(run.waits, sleep_ns_max=much, sleep_hist=slept),
                cpus=tuple(replace(cpu, filled=0, drained=0) for cpu in run.cpus),
            )
        )
    return replace(one, runs=runs)


def test_a_spread_has_all_three() -> None:
    assert spread([0, 0, 5]) == Spread(0, 0, 5)
    assert spread([5, 0, 3, 4]) == Spread(3.5, 0, 5)
    assert shown([0, 0, 5]) == "0 [0 - 5]"
    assert shown([0, 0, 0]) == "0"
    assert record().summary("percpu")["wall_ms"].median == sorted(record().values("percpu")["wall_ms"])[1]


def titles_and_cells(records: Sequence[Record]) -> dict[str, list[str]]:
    (group,) = heatmap(points_of(records), designs_of(records)).groups
    return {plot.title: [cell for row in plot.tables[0].rows for cell in row[1:]] for plot in group.plots}


def test_a_heat_map_is_left_out_only_where_there_was_nothing_ever() -> None:
    grid = [
        rarely(record(redistribute_interval_s=interval, redistribute_min_gap_s=gap, designs=("percpu",)), 0)
        for interval in (0.1, 1.0)
        for gap in (0.01, 0.1)
    ]
    never = titles_and_cells(grid)
    assert list(never) == ["Page operations per second"]
    found = titles_and_cells([rarely(grid[0], 3_000_000), *grid[1:]])
    assert found["Peak of stranded pages"] == ["0 [0 - 7]", "0", "0", "0"]
    assert found["Longest wait for pages, ms"] == ["0 [0 - 3]", "0", "0", "0"]


def test_the_wait_share_of_one_repetition_is_within_the_plot() -> None:
    one = rarely(record(designs=("percpu",)), 40_000_000)
    values = one.values("percpu")["wait_share_percent"]
    assert sorted(values)[:2] == [0, 0]
    (group,) = locks(points_of([one]), ["percpu"]).groups
    plot = group.plots[0]
    (marks,) = plot.traces
    assert (marks["x"], marks["error_x"]["array"]) == ([0], [pytest.approx(max(values))])
    low, high = plot.layout["xaxis"]["range"]
    assert low < 0 < max(values) < high < 1.1 * max(values)
    assert re.fullmatch(r"0\.00 \[0\.00 - [\d.]+( %)?\]", plot.tables[0].rows[0][2])


def test_the_longest_wait_is_that_of_all_repetitions() -> None:
    """The peak of several runs is the largest of theirs, in whichever it was."""
    for repetition in range(3):
        one = record(designs=("percpu",))
        runs = [
            replace(
                run,
                locks=tuple(
                    replace(
                        lock,
                        wait_ns_max=9_000_000 if run.repetition == repetition and number == 0 else 1_000,
                        contended=1,
                        wait_hist=tuple(int(bucket == 10) for bucket in range(40)),
                    )
                    for number, lock in enumerate(run.locks)
                ),
                waits=replace(run.waits, sleep_ns_max=50_000_000 if run.repetition == repetition else 2_000),
            )
            for run in one.runs
        ]
        section = waits(points_of([replace(one, runs=runs)]), ["percpu"])
        of_locks, of_pages = (group.plots[0].tables[0].rows[0][-1] for group in section.groups)
        assert (of_locks, of_pages) == ("9 ms", "50 ms")


@pytest.mark.parametrize(("times", "shown"), [((0, 0, 0), False), ((0, 4, 0), True)])
def test_a_row_is_left_out_only_where_there_was_nothing_ever(times: tuple[int, ...], shown: bool) -> None:
    """One redistribution in one repetition of one design: its median is 0."""
    one = record()
    runs = [
        replace(
            run,
            redistributions=dict.fromkeys(run.redistributions, 0)
            | {"timer": times[run.repetition] if run.design == "percpu" else 0},
        )
        for run in one.runs
    ]
    told = [line.split() for line in text_table(replace(one, runs=runs), 200)]
    rows = [words for words in told if words[:1] == ["redistributions"] or "timer" in words or "[0-4]" in words]
    assert any("[0-4]" in words for words in rows) == shown
    assert bool(rows) == shown


@pytest.mark.parametrize(
    ("repetitions", "said"), [(1, "From 1 repetition."), (2, "Medians [min-max] of 2 repetitions.")]
)
def test_of_one_repetition_there_is_no_median(repetitions: int, said: str) -> None:
    assert next(notes(record(repetitions=repetitions))) == said


@pytest.mark.parametrize(("gap", "ncpus", "told"), [(0.01, 2, False), (0.1, 4, True)])
def test_two_values_of_each_that_make_no_grid_are_told(gap: float, ncpus: int, told: bool) -> None:
    records = [
        record(redistribute_interval_s=0.1, redistribute_min_gap_s=0.01, ncpus=2),
        record(redistribute_interval_s=1.0, redistribute_min_gap_s=gap, ncpus=ncpus),
    ]
    section = heatmap(points_of(records), designs_of(records))
    assert section.groups == ()
    (words,) = section.words
    assert "have the interval 0.1 and 1 s and the gap 0.01" in words
    assert (", but not in one grid." in words) == told
