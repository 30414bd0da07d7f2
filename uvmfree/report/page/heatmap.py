"""Section 7: redistribution interval x rate limit, where the records form a grid of them (Q10, Q11)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

from uvmfree.measure.run import Run
from uvmfree.report.page.content import Group, Plot, Section, Table
from uvmfree.report.page.numbers import listed, number, spread
from uvmfree.report.page.plot import axis, layout
from uvmfree.report.page.scaling import throughput
from uvmfree.report.page.settings import Point, Setting, at_once, cpus, label, left_out

INTERVAL: Final = "redistribute_interval_s"
GAP: Final = "redistribute_min_gap_s"

Values = Callable[[Point, str], Sequence[float]]
Grid = dict[tuple[float, float], Point]

SPEED: Final = "page operations per second"

_CELL_PX: Final = 44
_EDGES_PX: Final = 110


def _figure(name: str) -> Values:
    return lambda point, design: point.values(design, name)


LONGEST: Final = "longest wait for pages, ms"
OF_THREADS: Final = (SPEED, LONGEST)
"""What says nothing where threads took turns."""

FIGURES: Final[tuple[tuple[str, Values], ...]] = (
    (SPEED, throughput),
    ("peak of stranded pages", _figure("stranded_pages_max")),
    ("pages moved on or off the global list per page operation", _figure("moved_per_op")),
    (LONGEST, _figure("wait_longest_ms")),
)
"""What is mapped: what redistribution buys and costs. A figure that is 0 everywhere is left out."""


def heatmap(points: Sequence[Point], designs: Sequence[str]) -> Section:
    """Write the section; where there is no grid, it says which records would make one."""
    by_rest: dict[tuple[Setting, int], Grid] = {}
    for point in points:
        tunables = asdict(point.record.param)
        grid = by_rest.setdefault((point.setting.without(INTERVAL, GAP), point.ncpus), {})
        grid[tunables[INTERVAL], tunables[GAP]] = point
    grids = {key: grid for key, grid in by_rest.items() if all(len({at[i] for at in grid}) > 1 for i in (0, 1))}
    groups = []
    for (setting, ncpus), grid in grids.items():
        several = label(setting, [other for other, _ in grids])
        for design in designs:
            if any(_moved(run) for point in grid.values() for run in point.counted(design)):
                where = ", ".join([design, cpus(ncpus), *([several] if several else [])])
                timed = len(at_once(list(grid.values()))) == len(grid)
                maps = [
                    (name, values)
                    for name, values in FIGURES
                    if _any(grid, design, values) and (timed or name not in OF_THREADS)
                ]
                groups.append(Group([_plot(grid, design, name, values) for name, values in maps], where))
    if groups:
        words = (
            *left_out(
                [point for grid in grids.values() for point in grid.values()],
                "how fast a design was, and how long it waited for pages, in such a grid",
            ),
            "How often caches are handed back by the timer, against the least time between two redistributions under "
            "pressure. Medians of the repetitions; fields without a record stay empty. Designs that redistribute "
            "nothing are left out.",
        )
        return Section("redistribution", "Redistribution interval x rate limit", words, groups)
    return Section("redistribution", "Redistribution interval x rate limit", _wanted(points), (), _COMMANDS)


_COMMANDS: Final = (
    "for i in 0.1 1; do for g in 0.01 0.1; do",
    "    uvmfree bench --workload pressure --set redistribute_interval_s=$i \\",
    "        --set redistribute_min_gap_s=$g --json grid-$i-$g.json; done; done",
)


def _wanted(points: Sequence[Point]) -> list[str]:
    if not points:
        return ["Nothing was measured. To make records for a heat map:"]
    intervals = sorted({point.record.param.redistribute_interval_s for point in points})
    gaps = sorted({point.record.param.redistribute_min_gap_s for point in points})
    return [
        "A heat map takes records that are alike but for at least two values of redistribute_interval_s and two of "
        "redistribute_min_gap_s, of a design that redistributes. These records have the interval "
        f"{listed([f'{value:g}' for value in intervals])} s and the gap {listed([f'{value:g}' for value in gaps])} s"
        + (", but not in one grid." if len(intervals) > 1 < len(gaps) else ".")
        + " To make such records:"
    ]


def _moved(run: Run) -> bool:
    """Whether a redistribution moved pages in a run; one that was not done for the rate limit moved none."""
    return any(times for cause, times in run.redistributions.items() if cause != "rate-limited")


def _any(grid: Grid, design: str, values: Values) -> bool:
    return any(any(values(point, design)) for point in grid.values())


def _plot(grid: Grid, design: str, name: str, values_of: Values) -> Plot:
    intervals, gaps = (sorted({at[i] for at in grid}) for i in (0, 1))
    columns = {at: values for at, point in grid.items() if (values := values_of(point, design))}
    medians = {at: statistics.median(values) for at, values in columns.items()}
    z = [[medians.get((interval, gap)) for gap in gaps] for interval in intervals]
    least, most = min(medians.values()), max(medians.values())
    texts = [["" if value is None else number(value) for value in row] for row in z]
    trace = {
        "type": "heatmap",
        "x": [f"{gap:g}" for gap in gaps],
        "y": [f"{interval:g}" for interval in intervals],
        "z": z,
        "text": texts,
        "texttemplate": "%{text}",
        "colorscale": "Cividis",
        "xgap": 2,
        "ygap": 2,
        "hovertemplate": "interval %{y} s, gap %{x} s: %{text}<extra></extra>",
        "colorbar": {
            "thickness": 12,
            "outlinewidth": 0,
            "tickformat": "~s" if most >= 1000 else "",
            "ticks": "outside",
        },
        "showscale": most > least,
    }
    drawn = layout(
        xaxis=axis("least time between two, s", type="category", showgrid=False, showline=False),
        yaxis=axis("interval of the timer, s", type="category", showgrid=False, showline=False),
    )
    rows = [
        (f"{interval:g}", *(spread(columns[interval, gap]) if (interval, gap) in columns else "-" for gap in gaps))
        for interval in intervals
    ]
    heading = ("interval, s", *(f"gap {gap:g} s" for gap in gaps))
    low_at, high_at = (
        f"interval {at[0]:g} s and gap {at[1]:g} s"
        for at in (min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__))
    )
    title = f"{name[0].upper()}{name[1:]}"
    says = f"{title}: from {number(least)} at {low_at} to {number(most)} at {high_at}."
    if least == most:
        says = f"{title}: {number(least)} everywhere."
    table = Table(f"{title}: medians [minimum - maximum]", heading, rows)
    return Plot(title, says, [trace], drawn, _CELL_PX * len(intervals) + _EDGES_PX, [table])
