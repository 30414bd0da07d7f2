"""The plot with a row for each setting and number of CPUs, and in it a mark for each design: any number of rows fits.

=> Medians with lines from the least to the most of the repetitions.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any, Final

from uvmfree.report.page.content import Table
from uvmfree.report.page.numbers import Format, reach, spread
from uvmfree.report.page.plot import Layout, Trace, axis, colour, layout, note, plain, symbol
from uvmfree.report.page.settings import Point

LANE_PX: Final = 17
"""Height of a design's mark: whiskers of neighbours stay apart."""

HEADING_CHARACTERS: Final = 44
"""Where the name of a setting breaks: so many fit on a telephone."""

HEADING_LEFT_PX: Final = 45
"""How far to the left of the axis it begins: where the names of the rows stand."""

_GAP_PX: Final = 12
_EDGES_PX: Final = 96
"""Legend above and axis below."""


class Rows:
    """Where everything stands: rows from top to bottom, settings that differ under a heading each."""

    def __init__(self, points: Sequence[Point], designs: Sequence[str]) -> None:
        self.designs = designs
        self._at: dict[int, float] = {}
        self._headings: list[tuple[str, float]] = []
        self._ticks: list[tuple[str, float]] = []
        row_px = len(designs) * LANE_PX + _GAP_PX
        at_px, heading = 0.0, ""
        for point in points:
            if point.label != heading:
                heading = point.label
                lines = wrap(heading, HEADING_CHARACTERS, break_on_hyphens=False)
                height_px = 8 + 16 * len(lines)
                self._headings.append(("<br>".join(map(plain, lines)), at_px + height_px / 2 + 1))
                at_px += height_px
            self._at[id(point)] = at_px + row_px / 2
            self._ticks.append((point.cpus, at_px + row_px / 2))
            at_px += row_px
        self._end_px = at_px

    @property
    def height(self) -> int:
        """Pixels that the plot needs."""
        return round(self._end_px) + _EDGES_PX

    def at(self, point: Point, design: str) -> float:
        """Where the mark of a design stands."""
        return self._at[id(point)] + (self.designs.index(design) - (len(self.designs) - 1) / 2) * LANE_PX

    def layout(self, xaxis: Layout, annotations: Sequence[Layout] = ()) -> Layout:
        """Lay the plot out."""
        headings = [
            note(
                f"<b>{text}</b>",
                x=0,
                xshift=-HEADING_LEFT_PX,
                align="left",
                xref="paper",
                xanchor="left",
                y=y,
                yanchor="middle",
                bgcolor="var(--page)",
                font={"color": "var(--text)"},
            )
            for text, y in self._headings
        ]
        rows = axis(
            range=[self._end_px, 0],
            tickvals=[y for _, y in self._ticks],
            ticktext=[text for text, _ in self._ticks],
            ticks="",
            showline=False,
            fixedrange=True,
        )
        return layout(xaxis=xaxis, yaxis=rows, annotations=[*headings, *annotations], hovermode="closest")


def marks(
    rows: Rows, points: Sequence[Point], values: Callable[[Point, str], Sequence[float]], shown: Format
) -> list[Trace]:
    """Return a trace for each design: medians, and lines from minimum to maximum."""
    traces = []
    for design in rows.designs:
        measured = [(point, column) for point in points if (column := values(point, design))]
        medians = [statistics.median(column) for _, column in measured]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain(design),
                "x": medians,
                "y": [rows.at(point, design) for point, _ in measured],
                "error_x": {
                    "array": [max(column) - median for (_, column), median in zip(measured, medians, strict=True)],
                    "arrayminus": [
                        median - min(column) for (_, column), median in zip(measured, medians, strict=True)
                    ],
                    "thickness": 1.5,
                    "width": 4,
                    "color": colour(rows.designs, design),
                },
                "marker": {
                    "color": colour(rows.designs, design),
                    "symbol": symbol(rows.designs, design),
                    "size": 9,
                },
                "text": [f"{plain(design)}, {point.cpus}: {spread(column, shown)}" for point, column in measured],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    return traces


def rows_plot(
    points: Sequence[Point],
    designs: Sequence[str],
    values: Callable[[Point, str], Sequence[float]],
    shown: Format,
    title: str,
    **xaxis: Any,
) -> tuple[list[Trace], Layout, int]:
    """Return traces, layout and height of a plot whose axis begins at 0."""
    rows = Rows(points, designs)
    most = max(
        (max(column) for point in points for design in designs if (column := values(point, design))), default=0
    )
    return (
        marks(rows, points, values, shown),
        rows.layout(axis(title, range=[-0.02 * (most or 1), 1.06 * (most or 1)], **xaxis)),
        rows.height,
    )


NOTHING: Final = "Nothing was measured with lockstat."


def counted(points: Sequence[Point], designs: Sequence[str]) -> list[Point]:
    """Return the points that have runs with lockstat: without, there is nothing about locks."""
    return [point for point in points if any(point.counted(design) for design in designs)]


def repetitions(
    points: Sequence[Point], designs: Sequence[str], values: Callable[[Point, str], Sequence[float]]
) -> str:
    """Say how many repetitions there were."""
    counts = [len(column) for point in points for design in designs if (column := values(point, design))]
    return f"{reach(counts)} repetition{'s' * (set(counts) != {1})}" if counts else "no repetitions"


def told(
    points: Sequence[Point],
    designs: Sequence[str],
    values: Callable[[Point, str], Sequence[float]],
    shown: Format,
) -> str:
    """Say in words what the marks show: each design with the least and the largest of its medians."""
    said = []
    for design in designs:
        medians = [statistics.median(column) for point in points if (column := values(point, design))]
        if medians:
            low, high = shown(min(medians)), shown(max(medians))
            said.append(f"{design} {low}" + (f" to {high}" if low != high else ""))
    return ", ".join(said) or "nothing was measured"


def table(
    caption: str,
    points: Sequence[Point],
    designs: Sequence[str],
    columns: Sequence[str],
    cells: Callable[[Point, str], Sequence[str]],
) -> Table:
    """Make the table of such a plot, in the same order: rows by CPUs and design, settings as headings.

    => `cells` returns those under `columns`, or none where there is nothing to say.
    """
    rows: list[Sequence[str]] = []
    heading = ""
    for point in points:
        found = [(str(point.ncpus), design, *row) for design in designs if (row := cells(point, design))]
        if found and point.label != heading:
            heading = point.label
            rows.append((heading,))
        rows += found
    return Table(caption, ("CPUs", "design", *columns), rows, 2)
