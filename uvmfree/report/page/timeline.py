"""Section 4: free pages over time, in truth and as a reader without a lock sees them, and what was done about them.

=> One plot for each record and design: free pages above, caches below them, events at the foot, on one time axis.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from uvmfree.kern.eventlog import Event
from uvmfree.measure.samples import MOVED_PAGES
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import duration, number
from uvmfree.report.page.plot import Layout, Trace, axis, layout, pages_axis, plain
from uvmfree.report.page.samples import BANDS_MAX, Timeline, rows_drawn, timelines
from uvmfree.report.page.settings import Source
from uvmfree.report.page.thin import binned, thinned

FREE_PX: Final = 210
CACHED_PX: Final = 110
LANE_PX: Final = 20
BETWEEN_PX: Final = 18
EDGES_PX: Final = 124

UNFOLDED_MAX: Final = 3
"""Records whose plots are unfolded to begin with, if there are no more; else only the first one's."""

MARKS_MAX: Final = 6_000
"""Marks of events on a page: about 150 kB."""

LANES: Final = {
    ("daemon", ""): "daemon pass",
    ("redistribute", "timer"): "drain: timer",
    ("redistribute", "pressure"): "drain: pressure",
    ("redistribute", "retry"): "drain: retry",
    ("redistribute", "pglistalloc"): "drain: pglistalloc",
}
"""What the lanes of events are called; others go by what they are and why."""


def over_time(sources: Sequence[Source], designs: Sequence[str]) -> Section:
    """Write the section."""
    found = timelines(sources, designs)
    rows = rows_drawn(found)
    marks = max(20, MARKS_MAX // max(1, sum(len(_lanes(each)) for record in found for each in record)))
    groups = [
        Group(
            [_plot(each, record, rows, marks) for each in record], record[0].source.title, is_unfolded(index, found)
        )
        for index, record in enumerate(found)
    ]
    words = [
        "An observer looks every few milliseconds, if it gets a processor. The unlocked reading is uvmexp.free as "
        "anybody reads it; the truth is all free pages: those on the global list, and those in the caches, which the "
        "reading does not count (shaded). A sample is not quite one moment: pages that move while it is taken can "
        f"count twice, or not at all; it is taken again if they are more than {MOVED_PAGES}. What a "
        "redistribution has in hand stands on no list for that while. Shown is the last repetition with lockstat of "
        "each design. Where there are more samples than a plot shows, its extremes are kept. Drag "
        "across a plot to zoom in, double-click to zoom out."
    ]
    return Section("timeline", "Free pages over time", [*words, *_missing(sources, found)], groups)


def is_unfolded(index: int, found: Sequence[object]) -> bool:
    """Whether the plots of a record are shown to begin with."""
    return index == 0 or len(found) <= UNFOLDED_MAX


def _missing(sources: Sequence[Source], found: Sequence[Sequence[Timeline]]) -> list[str]:
    having = {record[0].source.number for record in found}
    lacking = [str(source.number) for source in sources if source.number not in having]
    return [f"No samples in record {', '.join(lacking)}."] if lacking else []


def _plot(timeline: Timeline, record: Sequence[Timeline], limit: int, marks: int) -> Plot:
    samples = timeline.samples
    kept = thinned(len(samples.t_ns), limit, [[-pages for pages in samples.free], timeline.cached])
    times = timeline.times(kept)
    most = _most(record)
    panels: list[tuple[Layout, int, list[Trace]]] = [
        (
            pages_axis("free pages", [most]),
            FREE_PX,
            [*_free(timeline, kept, times), *_target(timeline, most)],
        )
    ]
    if timeline.bands:
        panels.append((pages_axis("cached", timeline.cached), CACHED_PX, _cached(timeline, kept, times)))
    lanes = _lanes(timeline)
    if lanes:
        panels.append(_events(timeline, lanes, marks))
    drawn, height = _laid_out(timeline, panels)
    traces = [
        trace | {"yaxis": f"y{index}" if index > 1 else "y"}
        for index, (_, _, traces) in enumerate(panels, 1)
        for trace in traces
    ]
    title = timeline.title
    return Plot(title, _says(timeline, lanes), traces, drawn, height, _tables(timeline, lanes))


def _free(timeline: Timeline, kept: Sequence[int], times: Sequence[float]) -> list[Trace]:
    columns: tuple[tuple[str, Sequence[int], Layout, Layout], ...] = (
        ("on the global list", timeline.on_list, {"color": "var(--listed)", "width": 1.5}, {}),
        (
            "truth: all free pages",
            timeline.truth,
            {"color": "var(--truth)", "width": 1.8},
            {"fill": "tonexty", "fillcolor": "var(--unseen)"},
        ),
        ("unlocked reading", timeline.samples.free, {"color": "var(--reading)", "width": 1.8, "dash": "dot"}, {}),
    )
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": [column[row] for row in kept],
            "line": line,
        }
        | more
        | {"hovertemplate": "%{y:,d}"}
        for name, column, line, more in columns
    ]


def _cached(timeline: Timeline, kept: Sequence[int], times: Sequence[float]) -> list[Trace]:
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": times,
            "y": [column[row] for row in kept],
            "stackgroup": "cached",
            "line": {"width": 0, "color": f"var(--cpu-{index % BANDS_MAX})"},
            "fillcolor": f"var(--cpu-{index % BANDS_MAX})",
            "hovertemplate": "%{y:,d}",
        }
        for index, (name, column) in enumerate(timeline.bands)
        if any(column)
    ]


def _lanes(timeline: Timeline) -> dict[str, list[Event]]:
    """Sort the events of a run into lanes; what was over before the first sample is left out."""
    samples = timeline.samples
    lanes: dict[str, list[Event]] = {name: [] for name in LANES.values()}
    for event in timeline.run.events:
        if samples.began_ns <= event.ended_ns and event.began_ns <= samples.began_ns + timeline.end_ns:
            name = LANES.get((event.what, event.cause), f"{event.what} {event.cause}".strip())
            lanes.setdefault(name, []).append(event)
    return {name: events for name, events in lanes.items() if events}


def _events(timeline: Timeline, lanes: dict[str, list[Event]], bins: int) -> tuple[Layout, int, list[Trace]]:
    began_ns, (_, size) = timeline.samples.began_ns, timeline.unit
    traces: list[Trace] = []
    for y, (name, events) in enumerate(lanes.items()):
        groups = binned(events, lambda event: max(0, event.began_ns - began_ns), timeline.end_ns, bins)
        shade = "var(--daemon)" if name == "daemon pass" else "var(--drain)"
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(name),
                "showlegend": False,
                "x": [round(max(0, group[0].began_ns - began_ns) / size, 2) for group in groups],
                "y": [y] * len(groups),
                "marker": {"symbol": "line-ns", "size": 11, "color": shade, "line": {"width": 1.8, "color": shade}},
                "customdata": [[len(group), sum(event.pages for event in group)] for group in groups],
                "hovertemplate": "%{customdata[0]:,d} times, %{customdata[1]:,d} pages",
            }
        )
    yaxis = axis(
        range=[len(lanes) - 0.4, -0.6],
        tickvals=list(range(len(lanes))),
        ticktext=[plain(name) for name in lanes],
        ticks="",
        showline=False,
    )
    return yaxis, LANE_PX * len(lanes), traces


def _laid_out(timeline: Timeline, panels: Sequence[tuple[Layout, int, list[Trace]]]) -> tuple[Layout, int]:
    """Stack the panels, in pixels: return the layout and its height."""
    inner = top = sum(px for _, px, _ in panels) + BETWEEN_PX * (len(panels) - 1)
    axes: Layout = {}
    for index, (yaxis, px, _) in enumerate(panels, 1):
        axes["yaxis" + str(index) * (index > 1)] = yaxis | {"domain": [max(0, (top - px) / inner), top / inner]}
        top -= px + BETWEEN_PX
    unit, size = timeline.unit
    last = f"y{len(panels)}" if len(panels) > 1 else "y"
    xaxis = axis(f"time, {unit}", range=[0, round(timeline.end_ns / size, 2)], anchor=last)
    return layout(xaxis=xaxis, hovermode="x unified", **axes), inner + EDGES_PX


def _most(record: Sequence[Timeline]) -> int:
    """Return the most free pages that are drawn: one axis for all designs of a record, so that they compare."""
    return max(
        pages for each in record for column in (each.on_list, each.samples.free, each.truth) for pages in column
    )


def _target(timeline: Timeline, most: int) -> list[Trace]:
    """Draw freetarg, up to which the daemon frees pages."""
    assert timeline.run.uvmexp is not None
    freetarg, (_, size) = timeline.run.uvmexp.freetarg, timeline.unit
    if freetarg >= most:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"freetarg, {freetarg:,}",
            "x": [0, round(timeline.end_ns / size, 2)],
            "y": [freetarg, freetarg],
            "line": {"color": "var(--muted)", "width": 1, "dash": "dash"},
            "hoverinfo": "skip",
        }
    ]


def _says(timeline: Timeline, lanes: dict[str, list[Event]]) -> str:
    low, high = min(timeline.samples.free), max(timeline.samples.free)
    passes = len(lanes.get("daemon pass", ()))
    drains = sum(len(events) for name, events in lanes.items() if name != "daemon pass")
    held = (
        f"up to {max(timeline.cached):,} free pages stood in caches, where it does not count them"
        if any(timeline.cached)
        else "no free page stood in a cache"
    )
    return (
        f"{timeline.run.design}: the reading went from {low:,} to {high:,} pages; {held}. "
        f"Daemon passes: {passes:,}; redistributions: {drains:,}."
    )


def _tables(timeline: Timeline, lanes: dict[str, list[Event]]) -> list[Table]:
    samples = timeline.samples
    gap = [truth - free for truth, free in zip(timeline.truth, samples.free, strict=True)]
    rows = [
        (name, number(min(column)), number(statistics.median(column)), number(max(column)), number(column[-1]))
        for name, column in (
            ("truth: all free pages", timeline.truth),
            ("on the global list", timeline.on_list),
            ("unlocked reading", samples.free),
            ("truth minus reading", gap),
            *timeline.bands,
            ("paging", samples.paging),
            ("waiters", samples.waiters),
        )
    ]
    title = f"Samples of {timeline.run.design}"
    tables = [
        Table(f"{title}: {len(gap):,} of them, in pages", ("", "minimum", "median", "maximum", "at the end"), rows)
    ]
    if lanes:
        happened = [
            (
                name,
                f"{len(events):,}",
                f"{sum(event.pages for event in events):,}",
                duration(max(event.ended_ns - event.began_ns for event in events)),
            )
            for name, events in lanes.items()
        ]
        dropped = timeline.run.events_dropped
        more = f"; {dropped:,} more were not kept" if dropped else ""
        words = ("", "times", "pages", "longest")
        tables.append(
            Table(f"Events of {timeline.run.design} (the daemon's pages: looked at){more}", words, happened)
        )
    return tables
