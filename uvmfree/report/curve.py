"""A scaling curve as text: a row for each CPU count, for each design its throughput and what waiting takes of it.

=> Throughput is in CPUs: the work of so many CPUs of which none ever waits.
=> 80 columns hold two designs with a bar, three without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from uvmfree.measure.curve import Curve

BAR: Final = 18
"""Columns of a bar: the share of the linear line."""


def lines(curve: Curve) -> Iterator[str]:
    """Yield the table, and a sentence for each design that says where it stops scaling."""
    labels, counts = curve.labels(), curve.cpu_counts()
    if not curve.points:
        yield "No point was measured."
        return
    yield heading(curve)
    wide = len(labels) <= 2
    yield ""
    yield "      " + "".join(f"{label:<{38 if wide else 24}}" for label in labels).rstrip()
    yield (
        " CPUs "
        + "".join(f"{'work of':>9}{'waiting':>10}" + (" " * 19 if wide else " " * 5) for _ in labels).rstrip()
    )
    for ncpus in counts:
        row = f"{ncpus:5} "
        for label in labels:
            row += _cell(curve, label, ncpus, wide)
        yield row.rstrip()
    yield ""
    for label in labels:
        yield _said(curve, label)


def heading(curve: Curve) -> str:
    """Say what was run, on what machine."""
    case = curve.points[0].case
    name = case.traffic.name
    seeds = len({point.case.seed for point in curve.points})
    return (
        f"{name}, in virtual time: {case.lock} locks, costs {case.costs}"
        + "".join(f", {cost}={value:g}" for cost, value in case.changed.items() if not case.varied)
        + (f", seed {case.seed}" if seeds == 1 else f", {seeds} seeds")
    )


def _cell(curve: Curve, label: str, ncpus: int, wide: bool) -> str:
    per_s, linear = curve.per_s(label, ncpus), curve.linear(label, ncpus)
    waiting = curve.wait_share_percent(label, ncpus)
    if per_s is None or not linear or waiting is None:
        return " " * (38 if wide else 24)
    cell = f"{per_s / linear * ncpus:9.1f}{waiting:8.1f} %"
    if not wide:
        return cell + " " * 5
    filled = round(BAR * min(1.0, per_s / linear))
    return f"{cell} {'#' * filled:<{BAR}}"


def _said(curve: Curve, label: str) -> str:
    most = curve.cpu_counts()[-1]
    ninety, half = curve.falls_below(label, 0.9), curve.falls_below(label, 0.5)
    if ninety is None:
        return f"{label}: above 90 % of linear up to {most} CPUs."
    if half is None:
        return f"{label}: below 90 % of linear from {ninety} CPUs, above half of it up to {most}."
    return f"{label}: below 90 % of linear from {ninety} CPUs, below half from {half}."
