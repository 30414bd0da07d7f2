"""Section 3: how long threads waited, for page locks and in uvm_wait: quantiles from log2 histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from uvmfree.kern.lockrank import PAGE_LOCKS
from uvmfree.measure.waiters import by_whom
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.histogram import quantile_bound, summed
from uvmfree.report.page.numbers import duration
from uvmfree.report.page.plot import Trace, axis, colour, decades, legend_only, note, plain
from uvmfree.report.page.rows import NOTHING, Rows, counted, table
from uvmfree.report.page.settings import Point, at_once, left_out

QUANTILES: Final = (("p50", 0.5, "circle"), ("p99", 0.99, "diamond"), ("p99.9", 0.999, "square"))
"""Name, part of all waits that were not longer, symbol."""

_MAX_SYMBOL: Final = "line-ns"


class Waits(NamedTuple):
    """The waits of some runs: a histogram, and the longest in ns."""

    histogram: Sequence[int]
    longest_ns: int

    @property
    def number(self) -> int:
        """How many there were."""
        return sum(self.histogram)

    def bounds_ns(self) -> list[int]:
        """Return the bounds of the quantiles, and the longest; empty without a wait."""
        bounds = [quantile_bound(self.histogram, part, self.longest_ns) for _, part, _ in QUANTILES]
        return [*(bound for bound in bounds if bound is not None), self.longest_ns] if self.number else []


def lock_waits(point: Point, design: str) -> Waits:
    """Collect the players' waits for page locks."""
    runs = [by_whom(run.locks, run.redistributions["retry"])[0] for run in point.counted(design)]
    locks = [lock for players in runs for lock in players if lock.kind in PAGE_LOCKS]
    return Waits(summed(lock.wait_hist for lock in locks), max((lock.wait_ns_max for lock in locks), default=0))


def page_waits(point: Point, design: str) -> Waits:
    """Collect the sleeps in uvm_wait that a wakeup ended."""
    waits = [run.waits for run in point.counted(design)]
    return Waits(summed(each.sleep_hist for each in waits), max((each.sleep_ns_max for each in waits), default=0))


def waits(points: Sequence[Point], designs: Sequence[str]) -> Section:
    """Write the section."""
    title = "How long the waits were"
    points = counted(points, designs)
    if not points:
        return Section("waits", title, [NOTHING])
    words = left_out(points, "how long they waited for page locks and for pages")
    waited = at_once(points)
    sleepers = [point for point in points if any(page_waits(point, design).number for design in designs)]
    groups = []
    if waited:
        groups.append(
            Group(
                [
                    _plot(
                        waited,
                        designs,
                        lock_waits,
                        "Waits for page locks",
                        "waits for uvm_fpageqlock and uvm_cpu locks",
                    )
                ]
            )
        )
    if at_once(sleepers):
        groups.append(
            Group([_plot(waited, designs, page_waits, "Sleeps in uvm_wait", "sleeps for pages in uvm_wait")])
        )
    elif not sleepers:
        words.append("Nobody slept in uvm_wait in these records.")
    if groups:
        words.append(
            "Waits are counted in a histogram whose buckets double in width. A quantile here is the upper end of its "
            "bucket: so many waits were at most that long, and the exact quantile is more than half of it. The "
            "maximum is exact. Of locks, only the acquisitions that had to wait count. All repetitions with lockstat "
            "are taken together."
        )
    return Section("waits", title, words, groups)


def _plot(
    points: Sequence[Point], designs: Sequence[str], waits_of: Callable[[Point, str], Waits], title: str, what: str
) -> Plot:
    rows = Rows(points, designs)
    found = {(index, design): waits_of(point, design) for index, point in enumerate(points) for design in designs}
    bounds = [bound for each in found.values() for bound in each.bounds_ns()]
    low, high = min(bounds, default=1_000), max(bounds, default=1_000_000)
    traces: list[Trace] = []
    nothing = []
    for design in designs:
        shown = colour(designs, design)
        lines: list[tuple[float | None, float | None]] = []
        spots: list[tuple[float, float, str, str]] = []
        for index, point in enumerate(points):
            if not point.counted(design):
                continue
            y, each = rows.at(point, design), found[index, design]
            if not each.number:
                nothing.append(
                    note("none", x=0.01, xref="paper", y=y, xanchor="left", font={"color": shown, "size": 11})
                )
                continue
            times = each.bounds_ns()
            lines += [(times[0], y), (times[-1], y), (None, None)]
            spots += [
                (
                    time,
                    y,
                    mark,
                    f"{plain(design)}, {point.cpus}: {name} {'' if name == 'max' else 'at most '}{duration(time)}",
                )
                for (name, _, mark), time in zip([*QUANTILES, ("max", 1, _MAX_SYMBOL)], times, strict=True)
            ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain(design),
                "x": [x for x, _ in lines] or [None],
                "y": [y for _, y in lines] or [None],
                "line": {"color": shown, "width": 2},
                "hoverinfo": "skip",
            }
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "showlegend": False,
                "x": [spot[0] for spot in spots],
                "y": [spot[1] for spot in spots],
                "marker": {
                    "symbol": [spot[2] for spot in spots],
                    "color": shown,
                    "size": 9,
                    "line": {"width": [2 if spot[2] == _MAX_SYMBOL else 0 for spot in spots], "color": shown},
                },
                "text": [spot[3] for spot in spots],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    for name, _, mark in (*QUANTILES, ("max", 1, _MAX_SYMBOL)):
        line = {"width": 2 if mark == _MAX_SYMBOL else 0, "color": "var(--muted)"}
        traces.append(legend_only(name, symbol=mark, color="var(--muted)", size=9, line=line))
    drawn = rows.layout(axis("time waited (logarithmic)", **decades(low, high)), nothing)
    says = f"Of the {what}, 99 % were at most: {_told(points, designs, found)}."
    return Plot(title, says, traces, drawn, rows.height, [_table(points, designs, found, title)])


def _told(points: Sequence[Point], designs: Sequence[str], found: dict[tuple[int, str], Waits]) -> str:
    said = []
    for design in designs:
        all_ns = [found[index, design].bounds_ns()[1] for index in range(len(points)) if found[index, design].number]
        if all_ns:
            low, high = duration(min(all_ns)), duration(max(all_ns))
            said.append(f"{design} {low}" + (f" to {high}" if low != high else ""))
    return ", ".join(said) or "nobody waited"


def _table(points: Sequence[Point], designs: Sequence[str], found: dict[tuple[int, str], Waits], title: str) -> Table:
    index_of = {id(point): index for index, point in enumerate(points)}

    def cells(point: Point, design: str) -> Sequence[str]:
        if not point.counted(design):
            return ()
        each = found[index_of[id(point)], design]
        *bounds, longest = [duration(ns) for ns in each.bounds_ns()] or ["-"]
        return (f"{each.number:,}", *(f"≤ {bound}" for bound in bounds or ()), *["-"] * (3 - len(bounds)), longest)

    caption = f"{title}: upper ends of the quantiles' buckets, and the longest"
    return table(caption, points, designs, ("waits", *(name for name, _, _ in QUANTILES), "max"), cells)
