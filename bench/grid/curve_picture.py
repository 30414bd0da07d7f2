"""The picture of the curve: work as a share of linear over CPUs, a panel for each trace, under ttas.

=> A bar is the band: the least and the most where a group of costs is halved or doubled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape

from bench.grid.picture import COLORS
from uvmfree.measure.curve import Curve

PANEL, GAP, LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 250, 24, 56, 150, 56, 400, 46
BAR_STEP: Final = 3.0
"""Between the bars of two designs, which would hide each other."""

LOCK: Final = "ttas"


def svg(curves: Mapping[tuple[str, str], Curve]) -> str:
    """Draw the curves of one lock policy beside each other."""
    shown = {trace: curve for (trace, lock), curve in curves.items() if lock == LOCK}
    labels = list(dict.fromkeys(label for curve in shown.values() for label in curve.labels()))
    width = LEFT + len(shown) * (PANEL + GAP) + RIGHT
    body = [f'<text x="{LEFT}" y="22" style="font-size:14px">Work done, % of linear, {LOCK} locks</text>']
    for number, (trace, curve) in enumerate(shown.items()):
        body += _panel(trace, curve, labels, LEFT + number * (PANEL + GAP))
    for number, label in enumerate(labels):
        x, y = width - RIGHT, TOP + 12 + 19 * number
        body.append(f'<line x1="{x}" x2="{x + 20}" y1="{y}" y2="{y}" stroke="{_color(number)}" stroke-width="2"/>')
        body.append(f'<text x="{x + 26}" y="{y + 4}">{escape(label)}</text>')
    style = "text{font:12px sans-serif;fill:#333}.g{stroke:#ddd}polyline{fill:none;stroke-width:1.6}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img">'
        f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>' + "\n".join(body) + "</svg>\n"
    )


def _panel(trace: str, curve: Curve, labels: list[str], left: float) -> Iterator[str]:
    counts = curve.cpu_counts()
    decades = math.log2(counts[-1] / counts[0]) or 1.0

    def x(ncpus: int) -> float:
        return left + PANEL * math.log2(ncpus / counts[0]) / decades

    yield f'<text x="{left}" y="{TOP - 10}">{escape(trace)}</text>'
    for percent in range(0, 101, 25):
        y = _y(percent / 100)
        yield f'<line class="g" x1="{left}" x2="{left + PANEL}" y1="{y:.1f}" y2="{y:.1f}"/>'
        if left == LEFT:
            yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>'
    for ncpus in counts:
        yield f'<text x="{x(ncpus):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{ncpus}</text>'
    yield f'<text x="{left + PANEL / 2}" y="{HEIGHT - 8}" text-anchor="middle">CPUs</text>'
    for number, label in enumerate(labels):
        shares = [(ncpus, share) for ncpus in counts if (share := curve.share_of_linear(label, ncpus)) is not None]
        path = " ".join(f"{x(ncpus):.1f},{_y(share):.1f}" for ncpus, share in shares)
        said = f"<title>{escape(f'{label}, {trace}')}</title>"
        yield f'<polyline points="{path}" stroke="{_color(number)}">{said}</polyline>'
        for ncpus, _ in shares:
            yield from _bar(curve, label, ncpus, x(ncpus) + BAR_STEP * (number - len(labels) / 2), _color(number))


def _bar(curve: Curve, label: str, ncpus: int, x: float, color: str) -> Iterator[str]:
    around, linear = curve.band(label, ncpus), curve.linear(label, ncpus)
    if around is not None and linear:
        low, high = (work / linear for work in around)
        said = (
            f"{label}, {ncpus} CPUs: {100 * low:.0f} to {100 * high:.0f} % of linear if costs are halved or doubled"
        )
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(low):.1f}" y2="{_y(high):.1f}" stroke="{color}" '
            f'stroke-width="2"><title>{escape(said)}</title></line>'
        )


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * min(share, 1.05)


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]
