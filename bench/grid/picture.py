"""The picture: shared locks per operation against pages parked, a point for each design and trace, log-log.

=> SVG of its own, so that a page on any forge shows it: a drawing of a few hundred marks needs no library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 560
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 60

COLORS: Final = (
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#555555",
)  # fmt: skip
"""Of designs, in order: told apart by colour-blind readers, too, with the names beside."""

SHAPES: Final = ("circle", "square", "triangle", "diamond", "cross")
"""Of traces, in order."""

NONE_PARKED: Final = 1
"""Where a design that parks nothing stands: a logarithm has no zero."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One design on one trace."""

    design: str
    trace: str
    parked: float
    locks: float


@dataclass(frozen=True, slots=True)
class Axes:
    """Where a value stands, on two logarithmic axes from decade to decade."""

    x_from: int
    x_to: int
    y_from: int
    y_to: int

    def x(self, value: float) -> float:
        """Return where it stands from the left."""
        part = (math.log10(value) - self.x_from) / (self.x_to - self.x_from)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return where it stands from the top."""
        part = (math.log10(value) - self.y_from) / (self.y_to - self.y_from)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def axes_for(dots: Sequence[Dot]) -> Axes:
    """Return axes that have room for all."""
    locks = [dot.locks for dot in dots if dot.locks > 0]
    most = max(max(dot.parked for dot in dots), 10)
    return Axes(0, math.ceil(math.log10(most)), math.floor(math.log10(min(locks, default=1e-3))), 0)


def svg(dots: Sequence[Dot], limits: dict[str, list[tuple[int, float]]], title: str) -> str:
    """Draw the points, and for each trace its limit as a line."""
    designs, traces = (list(dict.fromkeys(getattr(dot, name) for dot in dots)) for name in ("design", "trace"))
    axes = axes_for(dots)
    floor = 10.0**axes.y_from
    body = [*_frame(axes, title)]
    for number, (trace, points) in enumerate(limits.items()):
        body.append(_line(axes, points, number))
        body.append(_said(f"the limit, {trace}"))
    for dot in dots:
        at = axes.x(max(dot.parked, NONE_PARKED)), axes.y(max(dot.locks, floor))
        color, shape = COLORS[designs.index(dot.design) % len(COLORS)], SHAPES[traces.index(dot.trace) % len(SHAPES)]
        said = f"{dot.design}, {dot.trace}: {dot.locks:.4g} locks per operation, {dot.parked:,.0f} pages parked"
        body.append(f"<g>{_said(said)}{_mark(shape, *at, color)}</g>")
    body += _legend(designs, traces)
    style = "text{font:12px sans-serif;fill:#333}.g{stroke:#ddd}.l{fill:none;stroke:#888}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>' + "\n".join(body) + "</svg>\n"
    )


def _said(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _frame(axes: Axes, title: str) -> Iterator[str]:
    yield f'<text x="{LEFT}" y="22" style="font-size:14px">{escape(title)}</text>'
    for power in range(axes.x_from, axes.x_to + 1):
        x = axes.x(10.0**power)
        yield f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>'
    for power in range(axes.y_from, axes.y_to + 1):
        y = axes.y(10.0**power)
        yield f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">pages parked at the peak (1: none)</text>'
    yield (
        f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "shared locks per page operation</text>"
    )


def _line(axes: Axes, points: Sequence[tuple[int, float]], number: int) -> str:
    shown = [(x, y) for x, y in points if y >= 10.0**axes.y_from and 10.0**axes.x_from <= x <= 10.0**axes.x_to]
    path = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in shown)
    return f'<polyline class="l" stroke-dasharray="{2 + 2 * number} 3" points="{path}"/>'


def _mark(shape: str, x: float, y: float, color: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>'
    if shape == "cross":
        path = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
        return f'<path d="{path}" stroke="{color}" stroke-width="2.5"/>'
    corners = {
        "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        "triangle": ((0, -6), (5.5, 4.5), (-5.5, 4.5)),
        "diamond": ((0, -6), (6, 0), (0, 6), (-6, 0)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" fill="{color}"/>'


def _legend(designs: Sequence[str], traces: Sequence[str]) -> Iterator[str]:
    x = WIDTH - RIGHT + 24
    for number, design in enumerate(designs):
        y = TOP + 10 + 19 * number
        yield _mark("circle", x, y, COLORS[number % len(COLORS)])
        yield f'<text x="{x + 14}" y="{y + 4}">{escape(design)}</text>'
    for number, trace in enumerate(traces):
        y = TOP + 34 + 19 * (len(designs) + number)
        yield _mark(SHAPES[number % len(SHAPES)], x, y, "#333")
        yield f'<text x="{x + 14}" y="{y + 4}">{escape(trace)}</text>'
    y = TOP + 58 + 19 * (len(designs) + len(traces))
    yield f'<line class="l" x1="{x - 8}" x2="{x + 8}" y1="{y}" y2="{y}" stroke-dasharray="4 3"/>'
    yield f'<text x="{x + 14}" y="{y + 4}">the limit, a trace each</text>'
