"""What the page opens with: the verdict, and the two pictures that carry it.

=> Shared locks against parked pages, from records; waiting over CPUs with bands, from scaling curves.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from uvmfree.report.curve_text import told
from uvmfree.report.page.content import Group, Plot, Section
from uvmfree.report.page.numbers import listed, number
from uvmfree.report.page.plot import Layout, Trace, axis, colour, layout, plain, symbol
from uvmfree.report.page.rows import counted, repetitions, table
from uvmfree.report.page.settings import Point
from uvmfree.report.page.virtual_lines import CurveSource, by_workload, lines_of
from uvmfree.report.page.virtual_plots import share
from uvmfree.report.page.virtual_tables import WAITING
from uvmfree.report.verdict import verdict

TOLD_MAX: Final = 3
"""Settings, and designs of a curve, that are told in words; of more the pictures tell."""

_HEIGHT_PX: Final = 380
_LOCKS: Final = "shared_locks_per_op"
_PARKED: Final = "parked_pages_max"


class Spot(NamedTuple):
    """A mark in the picture: medians of a design, of the point with that number, from 1."""

    design: str
    number: int
    parked: float
    locks: float


def answer(
    points: Sequence[Point], curves: Sequence[CurveSource], designs: Sequence[str], stressed: Sequence[str] = ()
) -> Section:
    """Write the section; `stressed`: what stress runs say."""
    points = counted(points, designs)
    words = [*_verdicts(points), *stressed, *_curves_told(curves)]
    plots = [*_balance(points, designs)]
    for workload, sources in by_workload(curves):
        lines = [line for line in lines_of(sources) if line.grows]
        if lines:
            labels = list(dict.fromkeys(line.label for line in lines_of(sources)))
            plots.append(share(WAITING, workload, lines, labels))
    commands: tuple[str, ...] = ()
    if points and not curves:
        words.append("How waiting grows with the CPUs stands here if a curve is given, too:")
        commands = ("uvmfree scale --band --json scale.json",)
    return Section("answer", "The answer", words, [Group(plots)] if plots else [], commands)


def _verdicts(points: Sequence[Point]) -> Iterator[str]:
    """Yield the verdict on each setting, if there are few."""
    for point in points[:TOLD_MAX]:
        where = ", ".join(filter(None, (point.label or point.setting.workload, point.cpus)))
        first, *others = verdict(point.record)
        yield (f"{where}: " if len(points) > 1 else "") + first
        yield from others
    if len(points) > TOLD_MAX:
        yield f"The figures of all {len(points)} settings are below."


def _curves_told(curves: Sequence[CurveSource]) -> Iterator[str]:
    for source in curves:
        labels = source.curve.labels()
        if source.curve.base is not None and len(labels) <= TOLD_MAX:
            said = " ".join(told(source.curve, label) for label in labels)
            yield f"{source.curve.base.traffic.name}, in virtual time: {said}"


def _balance(points: Sequence[Point], designs: Sequence[str]) -> Iterator[Plot]:
    """Yield the picture of what the shared lock costs against what parking costs; none where nothing was counted."""
    spots = list(_spots(points, designs))
    if not spots:
        return
    left, xaxis = _log_axis("most pages parked", [spot.parked for spot in spots])
    foot, yaxis = _log_axis("shared locks per operation", [spot.locks for spot in spots])
    used = {spot.number: points[spot.number - 1] for spot in spots}
    traces: list[Trace] = []
    for design in dict.fromkeys(spot.design for spot in spots):
        own = [spot for spot in spots if spot.design == design]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text" if len(used) > 1 else "markers",
                "name": plain(design),
                "x": [spot.parked or left for spot in own],
                "y": [spot.locks or foot for spot in own],
                "text": [str(spot.number) for spot in own],
                "textposition": "middle right",
                "hovertext": [
                    plain(
                        f"{design}, {_name(used[spot.number])}: {number(spot.locks)} locks, "
                        f"{number(spot.parked)} parked"
                    )
                    for spot in own
                ],
                "hovertemplate": "%{hovertext}<extra></extra>",
                "marker": {"symbol": symbol(designs, design), "size": 12, "color": colour(designs, design)},
            }
        )
    traces += [_limit(ncpus, left, xaxis) for ncpus in sorted({point.ncpus for point in used.values()})]
    drawn = layout(xaxis=xaxis, yaxis=yaxis, hovermode="closest", showlegend=True)
    title = "Shared locks against parked pages"
    says = _says(spots)
    if len(used) > 1:
        says += f" The numbers: {'; '.join(f'{at} {_name(point)}' for at, point in used.items())}."

    def locks_of(point: Point, design: str) -> Sequence[float]:
        return point.values(design, _LOCKS)

    def cells(point: Point, design: str) -> Sequence[str]:
        figures = [point.values(design, name) for name in (_LOCKS, _PARKED)]
        return [number(statistics.median(each)) if each else "-" for each in figures] if any(figures) else ()

    caption = f"{title}: medians of {repetitions(points, designs, locks_of)}"
    listing = table(caption, points, designs, ("shared locks per operation", "most pages parked"), cells)
    yield Plot(title, says, traces, drawn, _HEIGHT_PX, [listing])


def _spots(points: Sequence[Point], designs: Sequence[str]) -> Iterator[Spot]:
    for at, point in enumerate(points, 1):
        for design in designs:
            locks, parked = point.values(design, _LOCKS), point.values(design, _PARKED)
            if locks and parked:
                yield Spot(design, at, statistics.median(parked), statistics.median(locks))


def _name(point: Point) -> str:
    return f"{point.label or point.setting.workload}, {point.cpus}"


def _says(spots: Sequence[Spot]) -> str:
    """Say how to read it, and who stands at its edge."""
    said = [
        "Lower is less waiting, further left is more memory for all CPUs. The limit is what caches of so many pages "
        "can promise for any load: a lock in as many operations as half of a CPU's cache has pages."
    ]
    if none := list(dict.fromkeys(spot.design for spot in spots if not spot.parked)):
        said.append(f"{listed(none)} park{'s' * (len(none) == 1)} 0 pages.")
    return " ".join(said)


def _limit(ncpus: int, left: float, xaxis: Layout) -> Trace:
    """Draw what caches of so many pages can promise: half of a CPU's is exchanged with each lock."""
    ends = [10 * left, 10 ** xaxis["range"][1]]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain(f"limit, {ncpus} CPU{'s' * (ncpus != 1)}"),
        "x": ends,
        "y": [2 * ncpus / pages for pages in ends],
        "line": {"color": "var(--muted)", "dash": "dash", "width": 1.4},
        "hoverinfo": "skip",
    }


def _log_axis(title: str, values: Sequence[float]) -> tuple[float, Layout]:
    """Return an axis in powers of ten, and where on it a 0 stands: one power below the others."""
    some = [value for value in values if value > 0] or [1.0]
    first, last = math.floor(math.log10(min(some))), math.ceil(math.log10(max(some)))
    last = max(last, first + 1)
    none = 0 in values
    powers = range(first, last + 1)
    ticks = [*([10.0 ** (first - 1)] if none else []), *(10.0**power for power in powers)]
    texts = [*(["0"] if none else []), *(f"{10.0**power:,.{max(0, -power)}f}" for power in powers)]
    reach = [first - 0.15 - none, last + 0.15]
    return 10.0 ** (first - 1), axis(title, type="log", range=reach, tickvals=ticks, ticktext=texts)
