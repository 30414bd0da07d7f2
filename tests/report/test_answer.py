"""What the page opens with: the verdict, locks against parked pages with the limit, and waiting with its bands."""

import math
from dataclasses import replace

import pytest

from tests.measure.curves import curve, point
from tests.measure.tallies import NONE, TALLY
from tests.report.made import record
from uvmfree.measure.record import Record
from uvmfree.report.page.answer import answer
from uvmfree.report.page.content import Plot, Section
from uvmfree.report.page.settings import designs_of, points_of
from uvmfree.report.page.virtual_lines import CurveSource
from uvmfree.report.verdict import verdict

DESIGNS = ("fpageqlock", "percpu")


def tallied(**how: object) -> Record:
    """A record in which fpageqlock parks nothing, and percpu 1,234 pages."""
    one = record(designs=DESIGNS, **how)  # type: ignore[arg-type]
    tally_of = {"fpageqlock": NONE, "percpu": TALLY}
    return replace(one, runs=[replace(run, tally=tally_of[run.design] if run.lockstat else None) for run in one.runs])


def opening(*records: Record, curves: tuple[CurveSource, ...] = ()) -> Section:
    return answer(points_of(records), curves, designs_of(records))


def plots(section: Section) -> list[Plot]:
    return [plot for group in section.groups for plot in group.plots]


def test_the_verdict_comes_first_and_names_the_setting_where_there_are_several() -> None:
    one, other = tallied(), tallied(workload="handoff")
    assert list(opening(one).words)[:2] == list(verdict(one))
    said = opening(one, other).words
    assert said[0] == f"pingpong, 2 CPUs: {next(verdict(one))}"
    assert said[2] == f"handoff, 2 CPUs: {next(verdict(other))}"
    many = [tallied(ncpus=ncpus) for ncpus in (1, 2, 4, 8)]
    assert "The figures of all 4 settings are below." in opening(*many).words


def test_a_design_is_a_mark_of_its_locks_and_its_pages_and_nothing_stands_at_the_edge() -> None:
    one = tallied()
    (plot,) = plots(opening(one))
    lock, cache, limit = plot.traces
    assert (lock["name"], cache["name"], limit["name"]) == ("fpageqlock", "percpu", "limit, 2 CPUs")
    assert cache["x"] == [1234]
    assert cache["y"] == [one.summary("percpu")["shared_locks_per_op"].median]
    axis = plot.layout["xaxis"]
    assert axis["type"] == plot.layout["yaxis"]["type"] == "log"
    assert (lock["x"], axis["tickvals"][0], axis["ticktext"][0]) == ([100], 100, "0")
    assert "fpageqlock parks 0 pages." in plot.says
    assert plot.tables[0].rows[1][3] == "1,234"


def test_a_mark_stands_at_the_median_of_the_repetitions() -> None:
    one = tallied()
    peaks = (100, 900, 300)
    runs = [
        replace(run, tally=replace(run.tally, parked_pages_max=peaks[run.repetition])) if run.tally else run
        for run in one.runs
    ]
    (plot,) = plots(opening(replace(one, runs=runs)))
    assert [trace["x"] for trace in plot.traces[:2]] == [[300], [300]]
    assert [row[3] for row in plot.tables[0].rows] == ["300", "300"]


def test_the_limit_is_a_lock_in_half_a_cache() -> None:
    """Of caches of 500 pages on each of 2 CPUs: one in 250 operations."""
    (plot,) = plots(opening(tallied()))
    limit = plot.traces[-1]
    assert [pages * locks for pages, locks in zip(limit["x"], limit["y"], strict=True)] == pytest.approx([4, 4])
    assert math.log10(limit["x"][1]) == pytest.approx(plot.layout["xaxis"]["range"][1])


def test_marks_of_several_settings_are_numbered() -> None:
    (plot,) = plots(opening(tallied(), tallied(ncpus=4)))
    assert [trace.get("text") for trace in plot.traces] == [["1", "2"], ["1", "2"], None, None]
    assert plot.says.endswith("The numbers: 1 pingpong, 2 CPUs; 2 pingpong, 4 CPUs.")
    assert [trace["name"] for trace in plot.traces[2:]] == ["limit, 2 CPUs", "limit, 4 CPUs"]


def test_without_counts_there_is_no_picture_and_without_a_curve_a_command_makes_one() -> None:
    section = opening(record())
    assert plots(section) == []
    assert section.commands == ("uvmfree scale --band --json scale.json",)


def test_waiting_is_drawn_with_the_band_of_halved_and_doubled_costs() -> None:
    """The costs' extremes are in it, there and back."""
    points = [point("percpu", ncpus, 100, wait_ns=ncpus * 200_000) for ncpus in (1, 2)]
    points += [
        point("percpu", ncpus, 100, wait_ns=ncpus * waited, changed={"line_remote": cost}, varied=True)
        for ncpus in (1, 2)
        for waited, cost in ((100_000, 30.0), (400_000, 120.0))
    ]
    section = opening(curves=(CurveSource(1, "scale.json", curve(*points)),))
    (plot,) = plots(section)
    assert section.commands == ()
    (band,) = [trace for trace in plot.traces if "fill" in trace]
    assert (band["x"], band["y"]) == ([1, 2, 2, 1], pytest.approx([10, 10, 40, 40]))
    assert plot.tables[0].rows[0][2:4] == ("20.0", "10.0 to 40.0")
    assert any(words.startswith("pingpong") and "percpu: " in words for words in section.words)


def test_what_is_always_0_is_a_sentence() -> None:
    idle = curve(*(point("percpu", ncpus, 1000 * ncpus) for ncpus in (1, 2)))
    (plot,) = plots(opening(curves=(CurveSource(1, "scale.json", idle),)))
    assert plot.traces == []
    assert plot.says.endswith("Always 0 %, with each design.")
    assert plot.tables[0].rows


def test_an_axis_has_two_powers_of_ten_at_least_and_room_for_nothing() -> None:
    """1,234 pages stand between 1,000 and 10,000; 0 stands a power of ten below, with as much room beside it."""
    (plot,) = plots(opening(tallied()))
    axis = plot.layout["xaxis"]
    assert (axis["tickvals"], axis["ticktext"]) == ([100.0, 1000.0, 10_000.0], ["0", "1,000", "10,000"])
    assert axis["range"] == pytest.approx([1.85, 4.15])
    one = tallied()
    ten = replace(TALLY, parked_pages_max=10)
    runs = [replace(run, tally=ten if run.lockstat else None) for run in one.runs]
    (plot,) = plots(opening(replace(one, runs=runs)))
    axis = plot.layout["xaxis"]
    assert (axis["tickvals"], axis["range"]) == ([10.0, 100.0], pytest.approx([0.85, 2.15]))


@pytest.mark.parametrize(("waited_ns", "top"), [(5_000, 1.06), (200_000, 21.2)])
def test_a_share_of_less_than_a_percent_is_drawn_small(waited_ns: int, top: float) -> None:
    points = [point("percpu", ncpus, 100, wait_ns=ncpus * waited_ns) for ncpus in (1, 2)]
    (plot,) = plots(opening(curves=(CurveSource(1, "scale.json", curve(*points)),)))
    assert plot.layout["yaxis"]["range"] == pytest.approx([-top / 53, top])
