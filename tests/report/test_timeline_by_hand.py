"""A timeline drawn from three samples and five events made up by hand: each line, mark, panel and row of it."""

from dataclasses import replace
from typing import Any

from tests.report.made import MS, record
from uvmfree.kern.eventlog import Event
from uvmfree.measure.run import Run
from uvmfree.measure.samples import Samples
from uvmfree.report.page.content import Plot
from uvmfree.report.page.settings import Source
from uvmfree.report.page.timeline import over_time

BEGAN_NS = 5_000_000_000
EVENTS = (
    Event("daemon", "", None, BEGAN_NS - 3 * MS, BEGAN_NS - 1, 1000),  # was over before the first sample
    Event("daemon", "", None, BEGAN_NS - 1 * MS, BEGAN_NS, 40),
    Event("redistribute", "timer", 0, BEGAN_NS + 1 * MS, BEGAN_NS + 3 * MS, 5),
    Event("redistribute", "timer", 1, BEGAN_NS + 1 * MS, BEGAN_NS + 2 * MS, 6),
    Event("redistribute", "other", None, BEGAN_NS + 4 * MS, BEGAN_NS + 9 * MS, 7),
    Event("daemon", "", None, BEGAN_NS + 4 * MS + 1, BEGAN_NS + 5 * MS, 1000),  # began after the last one
)


def drawn(
    cached: tuple[tuple[int, ...], ...], events: tuple[Event, ...], freetarg: int = 150, last_ns: int = 4 * MS
) -> Plot:
    """The plot of percpu with samples of 1, 2 and 4 ms, in which the reading is off by 10, by 0 and by -20."""
    samples = Samples(
        began_ns=BEGAN_NS,
        t_ns=(1 * MS, 2 * MS, last_ns),
        free=(100, 200, 300),
        zeropages=(0, 0, 0),
        paging=(7, 8, 10),
        waiters=(0, 2, 1),
        lag=(10, 0, -20),
        cached=cached,
    )

    def change(run: Run) -> Run:
        assert run.uvmexp is not None
        uvmexp = replace(run.uvmexp, freetarg=freetarg)
        return replace(run, samples=samples, uvmexp=uvmexp, events=events, events_dropped=1234)

    one = record(designs=("percpu",), repetitions=1)
    one = replace(one, runs=[change(run) for run in one.runs])
    (plot,) = over_time([Source(1, "made.json", one)], ("percpu",)).groups[0].plots
    return plot


CACHED = ((1, 2, 3), (4, 5, 6))
LANE = "redistribute other"


def lines(plot: Plot) -> dict[str, tuple[Any, Any, str]]:
    """The traces by name: their x, their y, and the panel that they are in."""
    return {trace["name"]: (trace["x"], trace["y"], trace["yaxis"]) for trace in plot.traces}


def test_each_line_and_mark_stands_in_its_panel_at_its_time() -> None:
    times = [1.0, 2.0, 4.0]
    assert lines(drawn(CACHED, EVENTS)) == {
        "on the global list": (times, [90, 200, 320], "y"),
        "truth: all free pages": (times, [95, 207, 329], "y"),
        "unlocked reading": (times, [100, 200, 300], "y"),
        "freetarg, 150": ([0, 4.0], [150, 150], "y"),
        "cached on CPU 0": (times, [1, 2, 3], "y2"),
        "cached on CPU 1": (times, [4, 5, 6], "y2"),
        "daemon pass": ([0.0], [0], "y3"),
        "drain: timer": ([1.0], [1], "y3"),
        LANE: ([4.0], [2], "y3"),
    }


def test_a_mark_tells_how_many_events_it_stands_for_and_of_how_many_pages() -> None:
    marks = {trace["name"]: trace["customdata"] for trace in drawn(CACHED, EVENTS).traces if "customdata" in trace}
    assert marks == {"daemon pass": [[1, 40]], "drain: timer": [[2, 11]], LANE: [[1, 7]]}


def test_the_target_is_drawn_where_it_is_below_what_is_drawn() -> None:
    assert "freetarg, 328" in lines(drawn(CACHED, (), 328))
    assert "freetarg, 329" not in lines(drawn(CACHED, (), 329))


def test_panels_share_the_height_from_the_top_down_with_a_gap_between() -> None:
    """210 pixels of free pages, 110 of caches, 20 for each of three lanes, and 18 between two."""
    plot = drawn(CACHED, EVENTS)
    assert plot.height == 210 + 18 + 110 + 18 + 60 + 124
    pixels = {name: [round(part * 416) for part in plot.layout[name]["domain"]] for name in ("yaxis", "yaxis2")}
    assert pixels == {"yaxis": [206, 416], "yaxis2": [78, 188]}
    assert [round(part * 416) for part in plot.layout["yaxis3"]["domain"]] == [0, 60]
    assert (plot.layout["xaxis"]["anchor"], plot.layout["xaxis"]["range"]) == ("y3", [0, 4.0])
    alone = drawn(((0, 0, 0), (0, 0, 0)), ())
    assert (alone.layout["yaxis"]["domain"], alone.layout["xaxis"]["anchor"]) == ([0, 1], "y")
    assert alone.height == 210 + 124


def test_times_are_to_a_hundredth_and_lanes_have_no_entry_in_the_legend() -> None:
    long = drawn(CACHED, EVENTS, last_ns=4_567_891)
    assert long.layout["xaxis"]["range"] == [0, 4.57]
    assert lines(long)["freetarg, 150"][0] == [0, 4.57]
    assert lines(long)["unlocked reading"][0] == [1.0, 2.0, 4.57]
    shown = {trace["name"]: trace.get("showlegend", True) for trace in long.traces}
    assert [name for name, listed in shown.items() if not listed] == ["daemon pass", "drain: timer", LANE]


def test_axes_reach_from_nothing_to_a_twentieth_over_the_most() -> None:
    layout = drawn(CACHED, EVENTS).layout
    assert [layout[name]["range"] for name in ("yaxis", "yaxis2")] == [[0, 1.05 * 329], [0, 1.05 * 9]]
    lanes = layout["yaxis3"]
    assert (lanes["range"], lanes["tickvals"]) == ([2.6, -0.6], [0, 1, 2])
    assert lanes["ticktext"] == ["daemon pass", "drain: timer", LANE]


def test_it_is_said_in_a_sentence_and_in_two_tables() -> None:
    """The title of the second one says what was not kept."""
    plot = drawn(CACHED, EVENTS)
    assert plot.says == (
        "percpu: the reading went from 100 to 300 pages; up to 9 free pages stood in caches, where it does not count "
        "them. Daemon passes: 1; redistributions: 3."
    )
    samples, events = plot.tables
    assert list(samples.rows) == [
        ("truth: all free pages", "95", "207", "329", "329"),
        ("on the global list", "90", "200", "320", "320"),
        ("unlocked reading", "100", "200", "300", "300"),
        ("truth minus reading", "-5", "7", "29", "29"),
        ("cached on CPU 0", "1", "2", "3", "3"),
        ("cached on CPU 1", "4", "5", "6", "6"),
        ("paging", "7", "8", "10", "10"),
        ("waiters", "0", "1", "2", "1"),
    ]
    assert list(events.rows) == [
        ("daemon pass", "1", "40", "1 ms"),
        ("drain: timer", "2", "11", "2 ms"),
        (LANE, "1", "7", "5 ms"),
    ]
    assert "; 1,234 more were not kept" in str(events)


def test_without_events_and_caches_neither_has_a_panel_or_a_table() -> None:
    plot = drawn(((0, 0, 0), (0, 0, 0)), (), 400)
    assert list(lines(plot)) == ["on the global list", "truth: all free pages", "unlocked reading"]
    assert "no free page stood in a cache. Daemon passes: 0; redistributions: 0." in plot.says
    assert [len(table.rows) for table in plot.tables] == [6]


def test_the_caches_of_eight_cpus_are_told_apart_and_those_of_nine_are_not() -> None:
    each = [name for name in lines(drawn(((1, 2, 3),) * 8, EVENTS)) if name.startswith("cached")]
    assert each == [f"cached on CPU {cpu}" for cpu in range(8)]
    together = {name: y for name, (_, y, _) in lines(drawn(((1, 2, 3),) * 9, EVENTS)).items()}
    assert together["cached on all 9 CPUs"] == [9, 18, 27]
    assert "cached on CPU 0" not in together
