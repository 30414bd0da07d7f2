"""The page of docs/results/curve.md: a table for each trace and lock policy, designs down, CPU counts across."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bench.grid.kept import source
from bench.grid.point import CurveCell
from uvmfree.measure.curve import Curve
from uvmfree.measure.decode import decode
from uvmfree.measure.host import Host
from uvmfree.measure.scale import Point
from uvmfree.report.curve_text import WORDS_TOLD

DASH: Final = "-"

SHOWN: Final = 4
"""CPU counts in a table, the largest of them; the file has all."""


def curves(kept: Mapping[str, Any], cells: Sequence[CurveCell]) -> dict[tuple[str, str], Curve]:
    """Return a curve for each trace and lock policy, of the points that are there."""
    found: dict[tuple[str, str], Curve] = {}
    for cell in cells:
        values = kept["cells"].get(str(cell))
        if values is not None and not cell.cold:
            host = decode(Host, kept["host"], "host")
            curve = found.setdefault((cell.trace_name, cell.lock), Curve(host, (kept["command"],)))
            curve.points.append(decode(Point, values["point"], str(cell)))
    return found


def markdown(kept: Mapping[str, Any], cells: Sequence[CurveCell], left_out: Sequence[str]) -> str:
    """Return the page."""
    return "\n".join(_lines(kept, cells, left_out)) + "\n"


def _lines(kept: Mapping[str, Any], cells: Sequence[CurveCell], left_out: Sequence[str]) -> Iterator[str]:
    yield "# The designs on many CPUs: figures"
    yield ""
    yield "Copies of a trace, each on 2 CPUs of its own with its recorded gaps, on 2 sockets in virtual time. A cell"
    yield "has the work done, in CPUs of which none ever waits, and the share of time that page locks are waited for."
    yield "After a +: the share that waiting for words takes which all update, where it is 1 % or more."
    yield "In brackets: the least and the most work if a group of costs is halved or doubled. Linear is all of the"
    yield "time but what the CPUs of a pair wait for each other in as much of the trace; a run ends when enough was"
    yield "done, at 8 CPUs of java-build after 13 ms with one design and 60 with another."
    yield ""
    yield source(kept)
    yield ""
    yield "![Work done on many CPUs, as a share of linear](curve.svg)"
    if left_out:
        yield ""
        yield f"Left out, since the files were not there: {', '.join(left_out)}."
    for (trace, lock), curve in curves(kept, cells).items():
        yield from ("", f"## {trace}, {lock}", "")
        yield from _stalls(curve)
        yield from _table(curve)
    yield from _cold(kept, [cell for cell in cells if cell.cold and str(cell) in kept["cells"]])


def _cold(kept: Mapping[str, Any], cells: Sequence[CurveCell]) -> Iterator[str]:
    """Show what structs that drop out of caches do, by design and trace; nothing if that was not measured."""
    traces, designs = (list(dict.fromkeys(map(of, cells))) for of in (_trace, _label))
    if not cells:
        return
    pages, ncpus = cells[0].changed["cold_after_pages"], cells[0].ncpus
    yield from ("", f"## Page structs that no cache holds, {ncpus} CPUs, ttas", "")
    yield f"A struct is cold for a CPU that has touched {pages:,.0f} other pages since, and comes from memory."
    yield "A cell has the work, as a share of that with structs that stay, and the share of time that page locks are"
    yield "waited for."
    yield ""
    yield f"| {' | '.join(['design', *traces])} |"
    yield "|---|" + "---:|" * len(traces)
    found = {(_label(cell), _trace(cell)): cell for cell in cells}
    for label in designs:
        row = [_with_and_without(kept, found.get((label, trace))) for trace in traces]
        yield f"| {' | '.join([label, *row])} |"


def _with_and_without(kept: Mapping[str, Any], cell: CurveCell | None) -> str:
    warm = None if cell is None else kept["cells"].get(str(replace(cell, changed={})))
    if cell is None or warm is None:
        return DASH
    points = [decode(Point, values["point"], str(cell)) for values in (kept["cells"][str(cell)], warm)]
    cold_work, work = (point.outside_ns / point.window_ns if point.outside_ns else point.per_s for point in points)
    return f"{100 * cold_work / work:.1f} %, {points[0].wait_share_percent:.1f} %"


def _trace(cell: CurveCell) -> str:
    return cell.trace_name


def _label(cell: CurveCell) -> str:
    return cell.label


def _stalls(curve: Curve) -> Iterator[str]:
    """Say how long the CPUs of a copy wait for each other: no lock has to do with it, and every design has it."""
    points = [point for label in curve.labels() for ncpus in curve.cpu_counts() for point in curve.at(label, ncpus)]
    shares = [
        100 * point.stall_ns / point.window_ns / point.case.ncpus for point in points if point.stall_ns is not None
    ]
    if shares:
        yield f"CPUs wait for pages of their partner {min(shares):.0f} to {max(shares):.0f} % of the time: no lock."
        yield ""


def _table(curve: Curve) -> Iterator[str]:
    counts = curve.cpu_counts()[-SHOWN:]
    columns = [f"{ncpus} CPUs" for ncpus in counts]
    yield f"| {' | '.join(['design', *columns, 'below 90 % / 50 % of linear'])} |"
    yield "|---|" + "---:|" * (len(columns) + 1)
    for label in curve.labels():
        row = [_cell(curve, label, ncpus) for ncpus in counts]
        falls = [curve.falls_below(label, share) for share in (0.9, 0.5)]
        said = " / ".join(f"> {counts[-1]}" if at is None else str(at) for at in falls)
        yield f"| {' | '.join([label, *row, said])} |"


def _cell(curve: Curve, label: str, ncpus: int) -> str:
    work, waiting = curve.median(label, ncpus), curve.wait_share_percent(label, ncpus)
    if work is None or waiting is None:
        return DASH
    around = curve.band(label, ncpus)
    wide = f" [{around[0]:.1f}-{around[1]:.1f}]" if around is not None else ""
    words = curve.words_share_percent(label, ncpus)
    more = f" + {words:.1f}" if words is not None and words >= WORDS_TOLD else ""
    return f"{work:.1f}{wide}, {waiting:.1f}{more} %"
