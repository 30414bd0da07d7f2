"""Section 2: throughput against CPUs, beside what it would be if each CPU did as much as the first.

Source: the `linear` line of will-it-scale's plots.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from uvmfree.analyse.usl import POINTS_MIN
from uvmfree.measure.run import figures
from uvmfree.report.page import law
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import number, spread
from uvmfree.report.page.plot import Layout, Trace, axis, colour, layout, legend_only, plain, symbol
from uvmfree.report.page.rows import repetitions, rows_plot, table, told
from uvmfree.report.page.settings import Point, at_once, left_out
from uvmfree.workload.plural import plural

DASHES: Final = ("solid", "dash", "dashdot", "longdash", "dot", "longdashdot")
UNIT: Final = "page operations per second"
_HEIGHT_PX: Final = 420

Series = tuple[str, str, Sequence[Point], int]
"""Design, setting, points from few CPUs to many, and the number of the setting in its plot."""


def throughput(point: Point, design: str) -> Sequence[float]:
    """Return page operations per second of each repetition: without lockstat where that was measured too."""
    runs = point.record.timed(design) or point.record.counted(design)
    return [figures(run).page_operations / run.drive.wall_ns * 1e9 for run in runs if run.drive.wall_ns]


def scaling(points: Sequence[Point], designs: Sequence[str]) -> Section:
    """Write the section."""
    left = left_out(points, "how throughput grows")
    measured, points = bool(points), at_once(points)
    by_setting = [list(same) for _, same in groupby(points, key=lambda point: point.setting)]
    grown = [same for same in by_setting if len(same) > 1]
    single = [point for same in by_setting if len(same) == 1 for point in same]
    laws = law.Laws()
    plots = [
        _against_cpus(workload, [same for same in grown if same[0].setting.workload == workload], designs, laws)
        for workload in dict.fromkeys(same[0].setting.workload for same in grown)
    ]
    if single:
        plots.append(_side_by_side(single, designs))
    words = [*left, *laws.words()]
    if plots:
        words.insert(
            0,
            "The linear line is what the smallest number of CPUs did, times the CPUs: will-it-scale's ideal. Runs of "
            "a fixed amount of work are timed without lockstat; those of a fixed length run with it, and lose speed "
            "to it.",
        )
    commands = []
    if not measured:
        words.append("Nothing was measured.")
    elif not grown:
        words.append(
            "How throughput grows shows once there are records of one workload on several numbers of CPUs, and the "
            f"Universal Scalability Law with {POINTS_MIN} or more:"
        )
        commands.append(
            "for n in 1 2 4; do uvmfree bench --workload pingpong --cpus $n --json pingpong-$n.json; done"
        )
    return Section("scaling", "Throughput against CPUs", words, [Group([plot]) for plot in plots], commands)


def _side_by_side(points: Sequence[Point], designs: Sequence[str]) -> Plot:
    """Draw what was measured on one number of CPUs only: there is no line through one point."""

    def cells(point: Point, design: str) -> Sequence[str]:
        values = throughput(point, design)
        return (spread(values),) if values else ()

    figures = table(_caption(points, designs), points, designs, (UNIT,), cells)
    traces, drawn, height = rows_plot(points, designs, throughput, number, UNIT, tickformat="~s")
    says = f"Page operations per second: {told(points, designs, throughput, number)}."
    return Plot("Throughput, on one number of CPUs each", says, traces, drawn, height, [figures])


def _against_cpus(workload: str, settings: Sequence[Sequence[Point]], designs: Sequence[str], laws: law.Laws) -> Plot:
    points = [point for same in settings for point in same]
    series: list[Series] = [
        (design, same[0].label, [point for point in same if throughput(point, design)], index)
        for index, same in enumerate(settings)
        for design in designs
        if any(throughput(point, design) for point in same)
    ]
    several, fitted = len(settings) > 1 or bool(settings[0][0].setting.machine), []
    traces: list[Trace] = []
    for each in series:
        traces += _lines(each, designs, several)
        if found := laws.fit(each[0], each[2], throughput):
            fitted.append(found)
            traces.append(found.curve(designs))
    if max(point.ncpus for point in points) > (processors := _processors(points)):
        words = f"more threads than the {plural(processors, 'processor')} of the host"
        traces.append(legend_only(words, symbol="square", size=14, color="var(--shade)"))
    _enter(traces)
    tables = [_table(points, designs, series), *([law.table(fitted)] if fitted else [])]
    says = " ".join([_says(series), *law.told(fitted)])
    return Plot(f"Throughput of {workload}", says, traces, _layout(points), _HEIGHT_PX, tables)


def _lines(each: Series, designs: Sequence[str], several: bool) -> list[Trace]:
    design, setting, points, index = each
    columns = [throughput(point, design) for point in points]
    medians = [statistics.median(column) for column in columns]
    name = ", ".join([design, *([setting] if several else [])])
    line = {"color": colour(designs, design), "dash": DASHES[index % len(DASHES)], "width": 2}
    cpus = [point.ncpus for point in points]
    measured: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(name),
        "x": cpus,
        "y": medians,
        "error_y": {
            "array": [max(column) - median for column, median in zip(columns, medians, strict=True)],
            "arrayminus": [median - min(column) for column, median in zip(columns, medians, strict=True)],
            "thickness": 1.5,
            "width": 4,
        },
        "line": line,
        "marker": {"symbol": symbol(designs, design), "size": 9},
        "text": [
            plain(f"{name}, {point.cpus}: {spread(column)}") for point, column in zip(points, columns, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
    linear: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": plain(f"linear, {design}"),
        "x": cpus,
        "y": [medians[0] * count / cpus[0] for count in cpus],
        "line": {"color": colour(designs, design), "dash": "2px,4px", "width": 1.2},
        "hoverinfo": "skip",
    }
    return [measured, linear]


def _enter(traces: Sequence[Trace]) -> None:
    """Put each name into the legend once, for all lines that have it."""
    names: set[str] = set()
    for trace in traces:
        name = trace["name"]
        trace |= {"legendgroup": name, "showlegend": name not in names}
        names.add(name)


def _layout(points: Sequence[Point]) -> Layout:
    all_cpus, processors = sorted({point.ncpus for point in points}), _processors(points)
    drawn = layout(
        xaxis=axis("CPUs", tickvals=all_cpus, range=[all_cpus[0] - 0.3, all_cpus[-1] + 0.4]),
        yaxis=axis(UNIT, rangemode="tozero", tickformat="~s"),
        hovermode="closest",
    )
    if all_cpus[-1] > processors:
        edge = processors + (min(count for count in all_cpus if count > processors) - processors) / 2
        span = {"xref": "x", "x0": edge, "x1": all_cpus[-1] + 0.4, "yref": "paper", "y0": 0, "y1": 1}
        drawn["shapes"] = [
            {"type": "rect", **span, "fillcolor": "var(--shade)", "line": {"width": 0}, "layer": "below"}
        ]
    return drawn


def _processors(points: Sequence[Point]) -> int:
    return min(point.record.processors for point in points)


def _says(series: Sequence[Series]) -> str:
    """Say for each design what the most CPUs did, of what they would ideally do."""
    said = []
    for design, _, points, _ in series:
        first, last = points[0], points[-1]
        ratio = statistics.median(throughput(last, design)) / statistics.median(throughput(first, design))
        said.append(f"{design} does {ratio:.2f} times as much on {last.cpus} as on {first.ncpus}")
    ideal = series[0][2][-1].ncpus / series[0][2][0].ncpus
    return f"{'; '.join(said)}. Linear would be {ideal:.3g}." if len(series) < 9 else f"{len(series)} lines."


def _table(points: Sequence[Point], designs: Sequence[str], series: Sequence[Series]) -> Table:
    firsts = {(same[0].setting, design): same[0] for design, _, same, _ in series}

    def cells(point: Point, design: str) -> Sequence[str]:
        values = throughput(point, design)
        if not values:
            return ()
        first = firsts[point.setting, design]
        ratio = statistics.median(values) / statistics.median(throughput(first, design))
        ideal = point.ncpus / first.ncpus
        processors = "virtual" if point.record.machine.virtual else str(point.record.processors)
        return (spread(values), f"{ratio:.2f}", f"{ideal:.3g}", processors)

    columns = (UNIT, "times the first", "linear", "processors")
    return table(_caption(points, designs), points, designs, columns, cells)


def _caption(points: Sequence[Point], designs: Sequence[str]) -> str:
    return f"Throughput: medians [minimum - maximum] of {repetitions(points, designs, throughput)}"
