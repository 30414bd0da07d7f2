"""Plots of scaling curves, and their tables: throughput over CPUs, the share of waiting, how full shared locks are.

=> Medians over the seeds, with lines from the least to the most. Everything is of virtual time, and says so.
=> A throughput of 0 has no place on a logarithmic axis: it is in the table, and left out of the plot.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.measure import usl
from uvmfree.measure.scale import Point
from uvmfree.report.curve import machine
from uvmfree.report.page import law
from uvmfree.report.page.content import Plot, Table
from uvmfree.report.page.numbers import Format, hundredths, number, reach, spread
from uvmfree.report.page.plot import Layout, Trace, axis, colour, layout, legend_only, plain, symbol
from uvmfree.report.page.scaling import DASHES
from uvmfree.report.page.virtual_lines import Line

HALF: Final = 0.5
"""Of the linear line: a design that does less has saturated."""

UNIT: Final = "page operations per virtual second"
LINES_TOLD: Final = 6
"""More lines than these are counted in a plot's caption, not told."""

_HEIGHT_PX: Final = 460
_SMALL_PX: Final = 340
_ENTRIES: Final = 6
_ENTRY_PX: Final = 12
"""What each line beyond so many adds to the height of a plot, for its entry in the legend."""

_DECADES_FINE: Final = 3
"""Powers of ten on an axis that has room for ticks between them."""

_LINEAR, _LAW, _BAND, _SATURATED = range(1000, 1004)
"""Where their entries stand in the legend: after the designs."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a plot shows of a point. => `columns`: headings and cells of what its table has beside the figure."""

    title: str
    unit: str
    of: Callable[[Point], float]
    columns: Sequence[tuple[str, Callable[[Point], float | None], Format]]


WAITING: Final = Figure(
    "Share of the CPUs' time that goes into waiting for page locks",
    "waiting, % of all CPUs' time",
    lambda point: point.wait_share_percent,
    [("waited per page operation, ns", lambda point: _over(point.wait_ns, point.operations), number)],
)

BUSY: Final = Figure(
    "How much of the time shared page locks are held",
    "shared locks held, % of the time",
    lambda point: point.busy_percent,
    [
        ("taken per page operation", lambda point: _over(point.shared_acquired, point.operations), number),
        ("held each time, ns", lambda point: _over(point.held_ns, point.shared_acquired), number),
    ],
)


def _over(value: int, by: int) -> float | None:
    return value / by if by else None


def marked(lines: Sequence[Line]) -> str:
    """Say that it is virtual, and what decided the times: of several curves, what each had."""
    machines = dict.fromkeys(machine(line.source.curve) for line in lines)
    return f"Virtual: {'; '.join(machines)}."


def throughput(workload: str, lines: Sequence[Line], designs: Sequence[str], laws: law.Laws) -> Plot:
    """Draw throughput over CPUs, both logarithmic, with linear line, law, band, and where half of linear is lost."""
    traces: list[Trace] = [band for line in lines if (band := _band(line, designs))]
    for at, line in enumerate(lines):
        traces += [_linear(line), _measured(line, designs, lambda point: point.per_s, number, at, zero=False)]
    fitted = []
    for line in lines:
        if found := _fit(line, workload, laws):
            fitted.append(found)
            traces.append(_law(found, line, designs))
    traces += [ring for line in lines if (ring := _saturated(line, designs))]
    traces += _legend(traces)
    drawn = layout(xaxis=_cpus_axis(lines), yaxis=_throughput_axis(traces), hovermode="closest")
    tables = [throughput_table(lines)]
    if fitted:
        tables.append(law.table(fitted, "The law in virtual time: values [95 % intervals]"))
    says = " ".join([marked(lines), _told(lines), *law.told(fitted)])
    return Plot(_title(workload), says, traces, drawn, _height(_HEIGHT_PX, lines), tables)


def share(figure: Figure, workload: str, lines: Sequence[Line], designs: Sequence[str]) -> Plot:
    """Draw a percentage over CPUs."""
    traces = [_measured(line, designs, figure.of, hundredths, at) for at, line in enumerate(lines)]
    most = max(max(line.values(ncpus, figure.of)) for line in lines for ncpus in line.counts)
    drawn = layout(
        xaxis=_cpus_axis(lines),
        yaxis=axis(figure.unit, range=[-0.02 * max(most, 1), 1.06 * max(most, 1)]),
        hovermode="closest",
    )
    ends = [f"{line.name} {hundredths(_median(line, line.counts[-1], figure.of))}" for line in lines]
    told = ", ".join(ends) if len(ends) <= LINES_TOLD else f"{len(ends)} lines"
    says = f"{marked(lines)} {figure.unit.capitalize()}, on the most CPUs: {told}."
    return Plot(figure.title, says, traces, drawn, _height(_SMALL_PX, lines), [share_table(figure, lines)])


def throughput_table(lines: Sequence[Line]) -> Table:
    """Make the table of the throughput."""

    def cells(line: Line, ncpus: int) -> Iterator[str]:
        yield spread(line.values(ncpus, lambda point: point.per_s))
        part = line.of_linear(ncpus)
        yield "-" if part is None else f"{100 * part:.1f}"
        yield "-" if part is None else f"{part * ncpus:,.1f}"
        if banded:
            band = line.source.curve.band(line.label, ncpus)
            yield "-" if band is None else reach(band)

    banded = any(line.source.curve.band(line.label, ncpus) for line in lines for ncpus in line.counts)
    columns = [UNIT, "% of linear", "work of CPUs", *(["costs halved and doubled"] if banded else [])]
    return _table("Throughput", lines, columns, cells)


def share_table(figure: Figure, lines: Sequence[Line]) -> Table:
    """Make the table of a percentage."""

    def cells(line: Line, ncpus: int) -> Iterator[str]:
        yield spread(line.values(ncpus, figure.of), hundredths)
        for _, of, shown in figure.columns:
            values = [value for point in line.source.curve.at(line.label, ncpus) if (value := of(point)) is not None]
            yield shown(statistics.median(values)) if values else "-"

    return _table(figure.title, lines, [figure.unit, *(heading for heading, _, _ in figure.columns)], cells)


def _table(
    what: str, lines: Sequence[Line], columns: Sequence[str], cells: Callable[[Line, int], Iterator[str]]
) -> Table:
    """Make a table: rows by CPUs and design, what tells curves apart as headings."""
    rows: list[Sequence[str]] = []
    for index in dict.fromkeys(line.index for line in lines):
        same = [line for line in lines if line.index == index]
        if same[0].setting:
            rows.append((same[0].setting,))
        for ncpus in same[0].source.curve.cpu_counts():
            rows += [(str(ncpus), line.label, *cells(line, ncpus)) for line in same if ncpus in line.counts]
    counts = {len(line.values(ncpus, lambda point: point.per_s)) for line in lines for ncpus in line.counts}
    spreads = ": medians [least - most] of the seeds" if max(counts) > 1 else ""
    return Table(f"{what}{spreads}. {marked(lines)}", ("CPUs", "design", *columns), rows, 2)


def _measured(
    line: Line,
    designs: Sequence[str],
    figure: Callable[[Point], float],
    shown: Format,
    at: int,
    *,
    zero: bool = True,
) -> Trace:
    """Draw a line, with whiskers where there are several seeds; `at` is its place in the legend."""
    columns = [(ncpus, line.values(ncpus, figure)) for ncpus in line.counts]
    columns = [(ncpus, values) for ncpus, values in columns if zero or min(values) > 0]
    medians = [statistics.median(values) for _, values in columns]
    paint = colour(designs, line.label)
    trace: Trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": plain(line.name),
        "legendrank": at,
        "x": [ncpus for ncpus, _ in columns],
        "y": medians,
        "line": {"color": paint, "dash": DASHES[line.index % len(DASHES)], "width": 2},
        "marker": {"symbol": symbol(designs, line.label), "size": 8},
        "text": [plain(f"{line.name}, {ncpus} CPUs: {spread(values, shown)}") for ncpus, values in columns],
        "hovertemplate": "%{text}<extra></extra>",
    }
    if any(len(values) > 1 for _, values in columns):
        trace["error_y"] = {
            "array": [max(values) - median for (_, values), median in zip(columns, medians, strict=True)],
            "arrayminus": [median - min(values) for (_, values), median in zip(columns, medians, strict=True)],
            "thickness": 1.5,
            "width": 4,
        }
    return trace


def _linear(line: Line) -> Trace:
    curve = line.source.curve
    ideal = [(ncpus, linear) for ncpus in line.counts if (linear := curve.linear(line.label, ncpus))]
    return {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": "linear",
        "showlegend": False,
        "x": [ncpus for ncpus, _ in ideal],
        "y": [linear for _, linear in ideal],
        "line": {"color": "var(--axis)", "dash": "2px,4px", "width": 1.4},
        "hoverinfo": "skip",
    }


def _band(line: Line, designs: Sequence[str]) -> Trace | None:
    """Shade from the least to the most that halved and doubled costs give."""
    curve = line.source.curve
    found = [(ncpus, band) for ncpus in curve.cpu_counts() if (band := curve.band(line.label, ncpus)) and band[0] > 0]
    if not found:
        return None
    there, back = [ncpus for ncpus, _ in found], [ncpus for ncpus, _ in reversed(found)]
    return {
        "type": "scatter",
        "mode": "none",
        "legendgroup": "band",
        "showlegend": False,
        "x": [*there, *back],
        "y": [*(low for _, (low, _) in found), *(high for _, (_, high) in reversed(found))],
        "fill": "toself",
        "fillcolor": colour(designs, line.label).replace("--design", "--band"),
        "hoverinfo": "skip",
    }


def _saturated(line: Line, designs: Sequence[str]) -> Trace | None:
    """Ring the first point that is below half of the linear line."""
    curve = line.source.curve
    first = curve.falls_below(line.label, HALF)
    per_s = None if first is None else curve.per_s(line.label, first)
    if not per_s:
        return None
    return {
        "type": "scatter",
        "mode": "markers",
        "legendgroup": "saturated",
        "showlegend": False,
        "x": [first],
        "y": [per_s],
        "marker": {
            "symbol": "circle-open",
            "size": 19,
            "color": colour(designs, line.label),
            "line": {"width": 2.5},
        },
        "text": [plain(f"{line.name}: below half of linear from {first} CPUs")],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _fit(line: Line, workload: str, laws: law.Laws) -> law.Law | None:
    measured = [
        usl.Point(ncpus, value, beyond=False)
        for ncpus in line.counts
        for value in line.values(ncpus, lambda point: point.per_s)
    ]
    return laws.fit_to(measured, line.label, line.setting, line.setting or workload)


def _law(found: law.Law, line: Line, designs: Sequence[str]) -> Trace:
    return found.curve(designs) | {"legendgroup": "law", "showlegend": False, "name": plain(f"law, {line.name}")}


def _legend(traces: Sequence[Trace]) -> Iterator[Trace]:
    """Yield an entry for each kind of trace that stands beside the lines, once, in no design's colour."""
    drawn = {trace.get("legendgroup") for trace in traces}
    muted = "var(--muted)"
    dashes = {"linear": "2px,4px", "law": law.DASH}
    for kind, name, rank in (("linear", "linear", _LINEAR), ("law", "law (USL)", _LAW)):
        if kind in drawn:
            entry = legend_only(name) | {
                "mode": "lines",
                "line": {"color": muted, "dash": dashes[kind], "width": 1.4},
            }
            yield entry | {"legendgroup": kind, "legendrank": rank}
    markers = (
        ("band", "costs halved and doubled", _BAND, {"symbol": "square", "size": 14, "color": "var(--shade)"}),
        ("saturated", "below half of linear", _SATURATED, {"symbol": "circle-open", "size": 14, "color": muted}),
    )
    for kind, name, rank, marker in markers:
        if kind in drawn:
            yield legend_only(name, **marker) | {"legendgroup": kind, "legendrank": rank}


def _cpus_axis(lines: Sequence[Line]) -> Layout:
    counts = sorted({ncpus for line in lines for ncpus in line.counts})
    return axis("CPUs", type="log", tickvals=counts, ticktext=[str(ncpus) for ncpus in counts], tickangle=0)


def _throughput_axis(traces: Sequence[Trace]) -> Layout:
    """Return the axis, with a tick at 1, 2 and 5 of each power of ten that is drawn, or at 1 where those are many."""
    drawn = [value for trace in traces for value in trace["y"] if value]
    if not drawn:
        return axis(UNIT, type="log")
    first, last = math.floor(math.log10(min(drawn))), math.ceil(math.log10(max(drawn)))
    steps = (1, 2, 5) if last - first <= _DECADES_FINE else (1,)
    ticks = [step * 10**power for power in range(first, last + 1) for step in steps]
    return axis(UNIT, type="log", tickvals=ticks, tickformat="~s")


def _height(least: int, lines: Sequence[Line]) -> int:
    return least + _ENTRY_PX * max(0, len(lines) - _ENTRIES)


def _title(workload: str) -> str:
    return f"Throughput in virtual time: {workload}"


def _told(lines: Sequence[Line]) -> str:
    """Say for each line what the most CPUs did, and where it fell below half of the linear line."""
    if len(lines) > LINES_TOLD:
        return f"{len(lines)} lines."
    return f"{'; '.join(map(_said, lines))}."


def _said(line: Line) -> str:
    last = line.counts[-1]
    part, half = line.of_linear(last), line.source.curve.falls_below(line.label, HALF)
    work = "-" if part is None else f"{part * last:,.1f}"
    below = f", and falls below half of linear at {half}" if half is not None else ""
    return f"{line.name} does the work of {work} CPUs on {last}{below}"


def _median(line: Line, ncpus: int, figure: Callable[[Point], float]) -> float:
    return statistics.median(line.values(ncpus, figure))
