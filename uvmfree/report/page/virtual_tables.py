"""Tables of scaling curves, and what their figures are counted in: of throughput, of waiting, of shared locks.

=> Medians over the seeds. Everything is of virtual time, and says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.measure.scale import Point
from uvmfree.report.curve_text import machine
from uvmfree.report.page.content import Table
from uvmfree.report.page.numbers import Format, hundredths, number, reach, spread
from uvmfree.report.page.virtual_lines import Line


@dataclass(frozen=True, slots=True)
class Unit:
    """What throughput is counted in.

    => `axis`: over a plot; `column`, `shown`: in a table, where it has to be short; `law`: in that of the law.
    """

    axis: str
    law: str
    column: str
    shown: Format


OPERATIONS: Final = Unit(
    "page operations per virtual second",
    "per virtual second",
    "millions per virtual second",
    lambda per_s: number(per_s / 1e6),
)
CPUS: Final = Unit("recorded work, in CPUs", "work of CPUs", "work of CPUs", number)
"""With recorded gaps: linear is as many as there are."""


def unit_of(lines: Sequence[Line]) -> Unit:
    """Return what the throughput of a workload is counted in."""
    return CPUS if lines[0].source.curve.gaps else OPERATIONS


@dataclass(frozen=True, slots=True)
class Figure:
    """What a plot shows of a point.

    => `unit`, `column`: over its axis, and over its column in a table. `columns`: what the table has beside it.
    """

    title: str
    unit: str
    column: str
    of: Callable[[Point], float]
    columns: Sequence[tuple[str, Callable[[Point], float | None], Format]]


WAITING: Final = Figure(
    "Share of the CPUs' time that goes into waiting for page locks",
    "waiting, % of all CPUs' time",
    "waiting, %",
    lambda point: point.wait_share_percent,
    [
        ("waited per page operation, ns", lambda point: _over(point.wait_ns, point.operations), number),
        ("waiting for shared words, %", lambda point: point.words_share_percent, number),
    ],
)

BUSY: Final = Figure(
    "How much of the time shared page locks are held",
    "shared locks held, % of the time",
    "held, %",
    lambda point: point.busy_percent,
    [
        ("taken per page operation", lambda point: _over(point.shared_acquired, point.operations), number),
        ("held each time, ns", lambda point: _over(point.held_ns, point.shared_acquired), number),
    ],
)


_BANDED: Final = "costs halved and doubled"


def _over(value: int, by: int) -> float | None:
    return value / by if by else None


def marked(lines: Sequence[Line]) -> str:
    """Say that it is virtual, and what decided the times: of several curves, what each had."""
    machines = dict.fromkeys(machine(line.source.curve) for line in lines)
    return f"Virtual: {'; '.join(machines)}."


def throughput_table(lines: Sequence[Line]) -> Table:
    """Make the table of the throughput."""

    def cells(line: Line, ncpus: int) -> Iterator[str]:
        yield spread(line.done(ncpus), unit.shown)
        part = line.of_linear(ncpus)
        yield "-" if part is None else f"{100 * part:.1f}"
        if banded:
            band = line.source.curve.band(line.label, ncpus)
            yield "-" if band is None else reach(band, unit.shown)

    unit = unit_of(lines)
    banded = _banded(lines)
    columns = [unit.column, "% of linear", *([_BANDED] if banded else [])]
    return _table("Throughput" if unit is CPUS else "Page operations", lines, columns, cells)


def _banded(lines: Sequence[Line]) -> bool:
    return any(line.source.curve.band(line.label, ncpus) for line in lines for ncpus in line.counts)


def share_table(figure: Figure, lines: Sequence[Line]) -> Table:
    """Make the table of a percentage."""

    def cells(line: Line, ncpus: int) -> Iterator[str]:
        yield spread(line.values(ncpus, figure.of), hundredths)
        if banded:
            band = line.source.curve.band(line.label, ncpus, figure.of)
            yield "-" if band is None else reach(band, hundredths)
        for _, of, shown in figure.columns:
            values = [value for point in line.source.curve.at(line.label, ncpus) if (value := of(point)) is not None]
            yield shown(statistics.median(values)) if values else "-"

    banded = _banded(lines)
    columns = [figure.column, *([_BANDED] if banded else []), *(heading for heading, _, _ in figure.columns)]
    return _table(figure.title, lines, columns, cells)


def _table(
    what: str, lines: Sequence[Line], columns: Sequence[str], cells: Callable[[Line, int], Iterator[str]]
) -> Table:
    """Make a table: rows by CPUs and design, what tells curves apart as headings."""
    rows: list[Sequence[str]] = []
    for index in dict.fromkeys(line.index for line in lines):
        same = [line for line in lines if line.index == index]
        if same[0].setting:
            rows.append((same[0].setting,))
        for ncpus in same[0].source.curve.cpu_counts():
            rows += [(str(ncpus), line.label, *cells(line, ncpus)) for line in same if ncpus in line.counts]
    counts = {len(line.done(ncpus)) for line in lines for ncpus in line.counts}
    spreads = ": medians [least - most] of the seeds" if max(counts) > 1 else ""
    return Table(f"{what}{spreads}. {marked(lines)}", ("CPUs", "design", *columns), rows, 2)
