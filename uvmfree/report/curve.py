"""A scaling curve as text: a row for each CPU count, for each design its throughput and what waiting takes of it.

=> Throughput is in CPUs: the work of so many CPUs of which none ever waits.
=> 80 columns hold two designs with a bar, three without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from uvmfree.measure.curve import Curve
from uvmfree.workload.plural import plural

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
    assert curve.base is not None
    return f"{curve.base.traffic.name}, in virtual time: {machine(curve)}"


def machine(curve: Curve) -> str:
    """Say what decides the times of a curve: lock policy, costs, and seeds."""
    case = curve.base
    assert case is not None
    changed = [f"{cost}={value:g}" for cost, value in case.changed.items() if not case.varied]
    return ", ".join([f"{case.lock} locks, costs {case.costs}", *changed, seeds(curve)])


def seeds(curve: Curve) -> str:
    """Say what the seeds of a curve are."""
    found = curve.seeds
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"seeds {found[0]} to {found[-1]}"
    return f"seed{'s' * (len(found) > 1)} {', '.join(map(str, found))}"


def _cell(curve: Curve, label: str, ncpus: int, wide: bool) -> str:
    share, waiting = curve.share_of_linear(label, ncpus), curve.wait_share_percent(label, ncpus)
    if share is None or waiting is None:
        return " " * (38 if wide else 24)
    cell = f"{share * ncpus:9.1f}{waiting:8.1f} %"
    if not wide:
        return cell + " " * 5
    filled = round(BAR * min(1.0, share))
    return f"{cell} {'#' * filled:<{BAR}}"


def _said(curve: Curve, label: str) -> str:
    counts = [ncpus for ncpus in curve.cpu_counts() if curve.at(label, ncpus)]
    if not counts:
        return f"{label}: no point was measured with these costs."
    if len(counts) == 1:
        return f"{label}: run on {plural(counts[0], 'CPU')} only; one point is no curve."
    ninety, half = curve.falls_below(label, 0.9), curve.falls_below(label, 0.5)
    if ninety is None:
        return f"{label}: above 90 % of linear up to {counts[-1]} CPUs."
    if half is None:
        return f"{label}: below 90 % of linear from {ninety} CPUs, above half of it up to {counts[-1]}."
    return f"{label}: below 90 % of linear from {ninety} CPUs, below half from {half}."
