"""Drawing less than was measured: a plot has some hundred columns of pixels, and a page has a size.

=> Extremes are kept: what is dropped lies between two points that are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

NUMBERS_MAX: Final = 60_000
"""Numbers that all timelines of a page may have together: about 400 kB."""

ROWS_LEAST, ROWS_MOST = 60, 500
"""Rows of one timeline: where fewer are too coarse to be of use, and where more are not seen."""


def rows_for(numbers: int) -> int:
    """Return how many rows a timeline may have if a row of all timelines of the page has so many numbers."""
    return max(ROWS_LEAST, min(ROWS_MOST, NUMBERS_MAX // max(1, numbers)))


def thinned(rows: int, limit: int, peaks: Sequence[Sequence[int]]) -> list[int]:
    """Choose rows to draw, in order: not many more than `limit`.

    => The first and the last, and of each stretch the row in which a column of `peaks` is at its most.
    """
    if rows <= limit:
        return list(range(rows))
    stretches = max(1, (limit - 2) // max(1, len(peaks)))
    kept = {0, rows - 1}
    for stretch in range(stretches):
        span = range(stretch * rows // stretches, (stretch + 1) * rows // stretches)
        if span:
            kept |= {max(span, key=column.__getitem__) for column in peaks}
    return sorted(kept)


def binned(items: Sequence[Any], at: Callable[[Any], float], end: float, bins: int) -> list[list[Any]]:
    """Put what lies close together into one group; groups without anything are left out."""
    groups: dict[int, list[Any]] = {}
    for item in items:
        groups.setdefault(int(at(item) / end * bins) if end else 0, []).append(item)
    return [groups[key] for key in sorted(groups)]
