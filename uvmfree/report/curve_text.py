"""A scaling curve as text: a row for each CPU count, for each design its throughput and what waiting takes of it.

=> Below the rows: how much of the time shared locks are held, and where each design stops scaling.
=> Throughput is in CPUs: the work of so many CPUs of which none ever waits.
=> 80 columns hold three designs; the bars of two are longer. More, or with longer names, stand below each other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.measure.curve import Curve
from uvmfree.report.text import paragraph
from uvmfree.workload.plural import plural

COLUMNS: Final = 80
BESIDE: Final = 3
"""So many designs stand beside each other there, or fewer."""

BAR: Final = 19
SHORT: Final = 9
"""Columns of a bar and the gap before it, of two designs and of three: the share of the linear line."""

_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
"""Between a figure and its unit, until the lines are made."""

_FIGURES: Final = 15
"""Columns of the two figures before it."""


def lines(curve: Curve, interpreter: str = "") -> Iterator[str]:
    """Yield the table, how much shared locks are held, and for each design a sentence: where it stops scaling.

    => `interpreter`: what is said of it in the heading, if it is not said before.
    """
    labels = curve.labels()
    if not curve.points:
        yield "No point was measured."
        return
    yield from paragraph("; ".join(filter(None, (heading(curve), interpreter))), COLUMNS)
    bar = BAR if len(labels) < BESIDE else SHORT
    width = max(_FIGURES + bar, *map(len, labels))
    beside = max(1, (COLUMNS - len(" CPUs")) // (width + 1))
    for begin in range(0, len(labels), beside):
        yield ""
        yield from _table(curve, labels[begin : begin + beside], bar, width)
    yield ""
    for said in (held(curve), *(told(curve, label) for label in labels)):
        whole = said.replace(" %", f"{_NO_BREAK}%")
        yield from (line.replace(_NO_BREAK, " ") for line in paragraph(whole, COLUMNS, "  "))


def _table(curve: Curve, labels: Sequence[str], bar: int, width: int) -> Iterator[str]:
    """Yield the rows of designs that stand beside each other, each in so many columns."""
    yield "      " + " ".join(f"{label:<{width}}" for label in labels).rstrip()
    yield " CPUs " + " ".join(f"{'work of':>7}{'waiting':>8}".ljust(width) for _ in labels).rstrip()
    for ncpus in curve.cpu_counts():
        yield f"{ncpus:5} {' '.join(_cell(curve, label, ncpus, bar).ljust(width) for label in labels)}".rstrip()


def heading(curve: Curve) -> str:
    """Say what was run, on what machine, and what takes the place of the linear line where it is not plain."""
    assert curve.base is not None
    said = f"{curve.base.traffic.name}, in virtual time: {machine(curve)}"
    least = curve.cpu_counts()[0]
    if not curve.gaps and least > 1:
        said += f"; {least} CPUs count as {least}, whatever they wait"
    if curve.base.traffic.kind == "forkexit":
        said += "; CPU 0 frees all pages, so the load itself does not scale"
    return said


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


def _cell(curve: Curve, label: str, ncpus: int, bar: int) -> str:
    share, waiting = curve.share_of_linear(label, ncpus), curve.wait_share_percent(label, ncpus)
    if share is None or waiting is None:
        return " " * (_FIGURES + bar)
    filled = "#" * round((bar - 1) * min(1.0, share))
    return f"{share * ncpus:7.1f}{waiting:6.1f} % {filled:<{bar - 1}}"


def held(curve: Curve) -> str:
    """Say for each design how much of the time its shared page locks are held, at the most CPUs it was run on."""
    shares: dict[int, dict[str, float]] = {}
    for label in curve.labels():
        if counts := _counts(curve, label):
            busy = curve.values(label, counts[-1], lambda point: point.busy_percent)
            shares.setdefault(counts[-1], {})[label] = statistics.median(busy)
    told = []
    for ncpus, by_label in shares.items():
        each = [f"{label} {share:.1f} %" for label, share in by_label.items()]
        told.append(f"on {plural(ncpus, 'CPU')}: {each[0]} of the time{''.join(f', {one}' for one in each[1:])}")
    several = "; several are added up" if any(max(each.values()) > 100 for each in shares.values()) else ""
    return f"Shared locks are held {'; '.join(told)}{several}." if told else ""


WORDS_TOLD: Final = 1.0
"""Percent of the CPUs' time: what waits less for shared words is not told."""


def told(curve: Curve, label: str) -> str:
    """Say where a design stops scaling, what other costs make of that, and what it waits for that is no lock."""
    counts = _counts(curve, label)
    words = None if not counts else curve.words_share_percent(label, counts[-1])
    said = _falls(curve, label, counts)
    if len(counts) > 1:
        said += _band(curve, label, counts[-1])
    if words is not None and words >= WORDS_TOLD:
        said += f" At {counts[-1]}, words that all update are waited for {words:.1f} % of the time, beside the locks."
    return said


def _falls(curve: Curve, label: str, counts: Sequence[int]) -> str:
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


def _counts(curve: Curve, label: str) -> list[int]:
    """Return the CPU counts at which a design was run with the costs as they are, ascending."""
    return [ncpus for ncpus in curve.cpu_counts() if curve.at(label, ncpus)]


def _band(curve: Curve, label: str, most: int) -> str:
    """Say where a design falls below 90 % of linear with other costs, and how much it does at the most CPUs."""
    curves = curve.with_other_costs(label)
    if not curves:
        return ""
    curves.append(curve)
    falls = {one.falls_below(label, 0.9) for one in curves}
    at = sorted(ncpus for ncpus in falls if ncpus is not None)
    if len(falls) == 1:
        first = "the same"
    elif None in falls:
        first = f"below 90 % first at {_between(at, str)} CPUs, or not up to {most}"
    else:
        first = f"below 90 % first at {_between(at, str)} CPUs"
    work = [share * most for one in curves if (share := one.share_of_linear(label, most)) is not None]
    done = f"; work of {_between(work, '{:.1f}'.format)} on {most}" if work else ""
    return f" With costs halved or doubled: {first}{done}."


def _between(values: Sequence[float], shown: Callable[[float], str]) -> str:
    """Return the least and the most of some values; where they are shown alike, one of them."""
    return " to ".join(dict.fromkeys(map(shown, (min(values), max(values)))))
