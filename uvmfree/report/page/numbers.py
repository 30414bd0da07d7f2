"""Numbers as text: three digits that count, whole numbers in full, never an exponent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Final

Format = Callable[[float], str]

_UNITS: Final = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))


def number(value: float) -> str:
    """Show a number."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(1, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def percent(value: float) -> str:
    """Show a percentage; less than a hundredth of a percent is 0.00."""
    return f"{value:.1f} %" if value >= 10 else f"{value:.2f} %"


def hundredths(value: float) -> str:
    """Show a percentage without its sign, for a column that is headed so."""
    return percent(value).removesuffix(" %")


def duration(ns: float) -> str:
    """Show a time, in the unit that suits it."""
    for size, unit in _UNITS:
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def spread(values: Sequence[float], shown: Format = number) -> str:
    """Show the median, and minimum and maximum where they differ."""
    median, low, high = (shown(value) for value in (statistics.median(values), min(values), max(values)))
    return median if low == high else f"{median} [{low} - {high}]"


def reach(values: Sequence[float], shown: Format = number) -> str:
    """Show from where to where values go."""
    low, high = shown(min(values)), shown(max(values))
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Put words into a sentence: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
