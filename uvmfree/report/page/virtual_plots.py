"""Plots of scaling curves: throughput over CPUs, the share of waiting, how full shared locks are.

=> Medians over the seeds, with lines from the least to the most. Everything is of virtual time, and says so.
=> A throughput of 0 has no place on a logarithmic axis: it is in the table, and left out of the plot.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.analyse import usl
from uvmfree.measure.scale import Point
from uvmfree.report.page import law
from uvmfree.report.page.content import Plot
from uvmfree.report.page.numbers import Format, hundredths, percent, spread
from uvmfree.report.page.plot import Layout, Trace, axis, colour, layout, legend_only, plain, symbol
from uvmfree.report.page.scaling import DASHES
from uvmfree.report.page.virtual_lines import Line
from uvmfree.report.page.virtual_tables import Figure, marked, share_table, throughput_table, unit_of

HALF: Final = 0.5
"""Of the linear line: a design that does less has saturated."""

LINES_TOLD: Final = 6
"""More lines than these are counted in a plot's caption, not told."""

_HEIGHT_PX: Final = 420
_SMALL_PX: Final = 320
_DECADES_FINE: Final = 3
"""Powers of ten on an axis that has room for ticks between them."""

_LINEAR, _LAW, _BAND, _SATURATED = range(1000, 1004)
"""Where their entries stand in the legend: after the designs."""


def throughput(workload: str, lines: Sequence[Line], designs: Sequence[str], laws: law.Laws) -> Plot:
    """Draw throughput over CPUs, both logarithmic, with linear line, law, band, and where half of linear is lost."""
    unit = unit_of(lines)
    traces: list[Trace] = [band for line in lines if (band := _band(line, designs, None))]
    for at, line in enumerate(lines):
        traces += [
            _linear(line),
            _measured(line, designs, line.source.curve.throughput, unit.shown, at, zero=False),
        ]
    fitted = []
    for line in lines:
        if found := _fit(line, workload, laws):
            fitted.append(found)
            traces.append(_law(found, line, designs))
    traces += [ring for line in lines if (ring := _saturated(line, designs))]
    traces += _legend(traces)
    drawn = layout(xaxis=_cpus_axis(lines), yaxis=_throughput_axis(unit.axis, traces), hovermode="closest")
    tables = [throughput_table(lines)]
    if fitted:
        tables.append(law.table(fitted, "The law in virtual time: values [95 % intervals]", unit.law))
    says = f"{marked(lines)} {_told(lines)}"
    return Plot(f"Throughput in virtual time: {workload}", says, traces, drawn, _HEIGHT_PX, tables)


def share(figure: Figure, workload: str, lines: Sequence[Line], designs: Sequence[str]) -> Plot:
    """Draw a percentage over CPUs, with bands; where it is always 0 that is said, and not drawn."""
    bands = [band for line in lines if (band := _band(line, designs, figure.of))]
    traces = [*bands, *(_measured(line, designs, figure.of, hundredths, at) for at, line in enumerate(lines))]
    traces += _legend(traces)
    most = max(value for trace in traces for value in trace["y"] if value is not None)
    if not most:
        says = f"{marked(lines)} Always 0 %, with each design."
        return Plot(f"{figure.title}: {workload}", says, [], {}, 0, [share_table(figure, lines)])
    drawn = layout(
        xaxis=_cpus_axis(lines),
        yaxis=axis(figure.unit, range=[-0.02 * max(most, 1), 1.06 * max(most, 1)]),
        hovermode="closest",
    )
    ends = [f"{line.name} {percent(_median(line, line.counts[-1], figure.of))}" for line in lines]
    told = ", ".join(ends) if len(ends) <= LINES_TOLD else f"{len(ends)} lines"
    says = f"{marked(lines)} On the most CPUs: {told}."
    title, height = f"{figure.title}: {workload}", _SMALL_PX
    return Plot(title, says, traces, drawn, height, [share_table(figure, lines)])


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


def _band(line: Line, designs: Sequence[str], figure: Callable[[Point], float] | None) -> Trace | None:
    """Shade from the least to the most that halved and doubled costs give, of the throughput or of a figure."""
    curve = line.source.curve
    bands = [(ncpus, curve.band(line.label, ncpus, figure)) for ncpus in curve.cpu_counts()]
    found = [(ncpus, band) for ncpus, band in bands if band and (figure or band[0] > 0)]
    if all(low == high for _, (low, high) in found):  # also where there is none
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
    done = None if first is None else curve.median(line.label, first)
    if not done:
        return None
    return {
        "type": "scatter",
        "mode": "markers",
        "legendgroup": "saturated",
        "showlegend": False,
        "x": [first],
        "y": [done],
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
    measured = [usl.Point(ncpus, value, beyond=False) for ncpus in line.counts for value in line.done(ncpus)]
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


def _throughput_axis(title: str, traces: Sequence[Trace]) -> Layout:
    """Return the axis, with a tick at 1, 2 and 5 of each power of ten that is drawn, or at 1 where those are many."""
    drawn = [value for trace in traces for value in trace["y"] if value]
    if not drawn:
        return axis(title, type="log")
    first, last = math.floor(math.log10(min(drawn))), math.ceil(math.log10(max(drawn)))
    steps = (1, 2, 5) if last - first <= _DECADES_FINE else (1,)
    ticks = [step * 10**power for power in range(first, last + 1) for step in steps]
    return axis(title, type="log", tickvals=ticks, tickformat="~s")


def _told(lines: Sequence[Line]) -> str:
    """Say for each line what the most CPUs did, and where it fell below half of the linear line."""
    if len(lines) > LINES_TOLD:
        return f"{len(lines)} lines."
    return f"{'; '.join(map(_said, lines))}."


def _said(line: Line) -> str:
    last = line.counts[-1]
    part, half = line.of_linear(last), line.source.curve.falls_below(line.label, HALF)
    if line.source.curve.gaps:  # the work itself: what its CPUs waited for each other is no part of the linear line
        work = f"{statistics.median(line.done(last)):,.1f}"
    else:
        work = "-" if part is None else f"{part * last:,.1f}"
    below = f", and falls below half of linear at {half}" if half is not None else ""
    return f"{line.name} does the work of {work} CPUs on {last}{below}"


def _median(line: Line, ncpus: int, figure: Callable[[Point], float]) -> float:
    return statistics.median(line.values(ncpus, figure))
