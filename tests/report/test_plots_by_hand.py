"""What plots of the page draw, to the coordinate, of runs that are made up by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.measure.tallies import NONE, TALLY
from tests.report.made import MS, record
from tests.report.test_sections_by_hand import sampled, sources, waited
from uvmfree.measure.record import Record
from uvmfree.report.page.content import Plot
from uvmfree.report.page.heatmap import heatmap
from uvmfree.report.page.parked import parked
from uvmfree.report.page.settings import points_of
from uvmfree.report.page.stranded import stranded
from uvmfree.report.page.waits import waits


def first(section: Any) -> Plot:
    plot: Plot = section.groups[0].plots[0]
    return plot


def test_stranded_pages_are_drawn_to_a_hundredth_of_a_millisecond() -> None:
    one = sampled((9,) * 3, (0,) * 3, ((10, 0, 40), (0, 5, 60)))
    runs = [
        replace(run, samples=run.samples and replace(run.samples, t_ns=(1_234_567, 2 * MS, 7 * MS)))
        for run in one.runs
    ]
    plot = first(stranded(sources(replace(one, runs=runs)), ("fpageqlock", "percpu")))
    (trace,) = plot.traces
    assert (trace["x"], trace["y"], trace["name"]) == ([1.23, 2.0, 7.0], [10, 5, 60], "percpu")
    assert trace["line"]["color"] == "var(--design-1)"
    assert plot.layout["xaxis"]["title"]["text"] == "time, ms"
    assert plot.layout["yaxis"]["range"] == [0, 1.05 * 60]
    assert plot.says == "At most so many of 65,536 pages were stranded: percpu 60."


def test_seconds_are_the_unit_from_ten_of_them_on() -> None:
    one = sampled((9,) * 2, (0,) * 2, ((10, 0), (0, 5)))

    def ending(t_ns: int) -> Plot:
        runs = [replace(run, samples=run.samples and replace(run.samples, t_ns=(5 * MS, t_ns))) for run in one.runs]
        return first(stranded(sources(replace(one, runs=runs)), ("percpu",)))

    long, short = ending(10_000 * MS), ending(10_000 * MS - 1)
    assert (long.traces[0]["x"], long.layout["xaxis"]["title"]["text"]) == ([0.01, 10.0], "time, s")
    assert (short.traces[0]["x"], short.layout["xaxis"]["title"]["text"]) == ([5.0, 10_000.0], "time, ms")


def test_what_never_stranded_is_a_sentence_and_a_table() -> None:
    plot = first(stranded(sources(sampled((9,) * 2, (0,) * 2, ((4, 0), (0, 0)))), ("percpu",)))
    assert plot.traces != []
    plot = first(stranded(sources(sampled((9,) * 2, (0,) * 2, ((1, 0), (0, 0)))), ("percpu",)))
    assert plot.tables[0].rows == [("percpu", "1", "0.00 %", "0", "0", "50 %")]
    plot = first(stranded(sources(sampled((9,) * 2, (0,) * 2, ((0, 0), (0, 0)))), ("percpu",)))
    assert (plot.says, plot.traces, len(plot.tables)) == ("No page was stranded in any sample.", [], 1)


def test_waits_are_a_line_from_the_median_to_the_longest_with_a_mark_for_each_quantile() -> None:
    """Of 1,000 waits 980 are shorter than 2**10 ns, 15 than 2**14, 5 than 2**20; fpageqlock was not run."""
    one = waited({10: 980, 14: 15, 20: 5}, (9_000_000, 5_000_000))
    plot = first(waits(points_of([one]), ("percpu",)))
    line, marks, *legend = plot.traces
    (middle,) = plot.layout["yaxis"]["tickvals"]
    times = [(1 << 10) - 1, (1 << 14) - 1, (1 << 20) - 1, 9_000_000]
    assert (line["x"], line["y"]) == ([times[0], times[-1], None], [middle, middle, None])
    assert (marks["x"], marks["y"]) == (times, [middle] * 4)
    assert marks["marker"]["symbol"] == ["circle", "diamond", "square", "line-ns"]
    assert marks["marker"]["line"]["width"] == [0, 0, 0, 2]
    assert marks["text"] == [
        "percpu, 2 CPUs: p50 at most 1.02 µs",
        "percpu, 2 CPUs: p99 at most 16.4 µs",
        "percpu, 2 CPUs: p99.9 at most 1.05 ms",
        "percpu, 2 CPUs: max 9 ms",
    ]
    assert [(each["name"], each["marker"]["symbol"], each["marker"]["line"]["width"]) for each in legend] == [
        ("p50", "circle", 0),
        ("p99", "diamond", 0),
        ("p99.9", "square", 0),
        ("max", "line-ns", 2),
    ]
    assert plot.layout["xaxis"]["range"] == [2.9, 7.1]
    assert plot.layout["xaxis"]["ticktext"] == ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]


def test_who_never_waited_has_a_note_in_its_row() -> None:
    plot = first(waits(points_of([waited({}, (0, 0))]), ("percpu",)))
    assert [trace["x"] for trace in plot.traces[:2]] == [[None], []]
    (note,) = [each for each in plot.layout["annotations"] if each["text"] == "none"]
    assert (note["x"], note["y"]) == (0.01, plot.layout["yaxis"]["tickvals"][0])
    assert plot.says.endswith("99 % were at most: nobody waited.")
    (row,) = [row for row in plot.tables[0].rows if len(row) > 1]
    assert row[2:] == ("0", "-", "-", "-", "-")


ONLY_TIMER = {"timer": 1, "pressure": 0, "retry": 0, "pglistalloc": 0, "rate-limited": 0}


def grid(stranded_pages: dict[tuple[float, float], int], gil: bool = False) -> list[Record]:
    """Records of percpu for an interval and a gap each, with this peak in each repetition."""
    records = []
    for (interval, gap), pages in stranded_pages.items():
        one = record(
            designs=("percpu",), rows=0, gil=gil, redistribute_interval_s=interval, redistribute_min_gap_s=gap
        )
        runs = [
            replace(run, redistributions=ONLY_TIMER, seen=replace(run.seen, stranded_pages_max=pages))
            for run in one.runs
        ]
        records.append(replace(one, runs=runs))
    return records


FIELDS = {(0.1, 0.01): 1500, (0.1, 0.5): 20, (1.0, 0.01): 30, (1.0, 0.5): 40}


def peaks(records: list[Record]) -> Plot:
    (plot,) = (
        plot
        for group in heatmap(points_of(records), ("percpu",)).groups
        for plot in group.plots
        if plot.title == "Peak of stranded pages"
    )
    return plot


def test_a_heat_map_has_its_values_in_its_fields_and_a_scale_where_they_differ() -> None:
    plot = peaks(grid(FIELDS))
    (trace,) = plot.traces
    assert (trace["x"], trace["y"]) == (["0.01", "0.5"], ["0.1", "1"])
    assert (trace["z"], trace["text"]) == ([[1500, 20], [30, 40]], [["1,500", "20"], ["30", "40"]])
    assert (trace["showscale"], trace["colorbar"]["tickformat"]) == (True, "~s")
    assert plot.height == 2 * 44 + 110
    assert plot.tables[0].columns == ("interval, s", "gap 0.01 s", "gap 0.5 s")
    assert peaks(grid(FIELDS | {(0.1, 0.01): 999})).traces[0]["colorbar"]["tickformat"] == ""


def test_a_heat_map_of_one_value_has_no_scale() -> None:
    plot = peaks(grid(dict.fromkeys(FIELDS, 7)))
    assert plot.traces[0]["showscale"] is False
    assert plot.says == "Peak of stranded pages: 7 everywhere."


def test_a_figure_that_is_0_everywhere_has_no_map_and_what_redistributed_nothing_none_at_all() -> None:
    records = grid(dict.fromkeys(FIELDS, 0))
    (group,) = heatmap(points_of(records), ("percpu",)).groups
    assert "Peak of stranded pages" not in [plot.title for plot in group.plots]
    assert len(group.plots) == 3
    too_soon = ONLY_TIMER | {"timer": 0, "rate-limited": 9}
    still = [replace(one, runs=[replace(run, redistributions=too_soon) for run in one.runs]) for one in records]
    assert heatmap(points_of(still), ("percpu",)).groups == ()


@pytest.mark.parametrize("gil", [True, False])
def test_maps_of_times_need_threads_that_ran_at_once(gil: bool) -> None:
    (group,) = heatmap(points_of(grid(FIELDS, gil)), ("percpu",)).groups
    timed = {"Page operations per second", "Longest wait for pages, ms"}
    assert {plot.title for plot in group.plots} & timed == (set() if gil else timed)


def test_parked_pages_are_drawn_at_the_operation_at_which_they_were_counted() -> None:
    one = record(repetitions=1)
    tallies = {"fpageqlock": NONE, "percpu": TALLY}
    one = replace(one, runs=[replace(run, tally=tallies[run.design]) for run in one.runs])
    plot = first(parked(sources(one), ("fpageqlock", "percpu")))
    trace = {trace["name"]: trace for trace in plot.traces}["percpu"]
    assert trace["y"] == list(TALLY.parked)
    assert trace["x"] == [TALLY.parked_every * at for at in range(len(TALLY.parked))]
    assert plot.layout["yaxis"]["range"] == [0, 1.05 * max(*TALLY.parked, 1)]
    assert plot.says == "At most so many of 65,536 pages were parked: fpageqlock 0, percpu 1,234."
