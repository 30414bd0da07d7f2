"""A cell of the curve: one design on so many CPUs that play copies of a trace, under one lock policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.grid.kept import source
from uvmfree.measure.cell import Worker
from uvmfree.measure.curve import Curve
from uvmfree.measure.decode import decode
from uvmfree.measure.host import Host
from uvmfree.measure.scale import Case, Point, Traffic, band, measured

DASH: Final = "-"

SHOWN: Final = 4
"""CPU counts in a table, the largest of them; the file has all."""


@dataclass(frozen=True, slots=True)
class CurveCell:
    """One point; `changed`: figures of the table of costs that are halved or doubled, for the band."""

    design: str
    trace: str
    ncpus: int
    lock: str
    settings: tuple[str, ...] = ()
    changed: dict[str, float] = field(default_factory=dict, hash=False)

    @property
    def trace_name(self) -> str:
        """The trace, as it is called in tables."""
        return Path(self.trace).name.removesuffix(".xz").removesuffix(".perf")

    @property
    def label(self) -> str:
        """The design with its tunables."""
        return ", ".join([self.design, *self.settings])

    def __str__(self) -> str:
        """Its name in the file of results."""
        changed = "".join(f", {name}={value:g}" for name, value in self.changed.items())
        return f"{self.label}: {self.trace_name}, {self.lock}, {self.ncpus} CPUs{changed}"

    def case(self) -> Case:
        """Return what is to be run."""
        return Case(
            self.design,
            self.ncpus,
            Traffic("trace", self.trace),
            lock=self.lock,
            settings=self.settings,
            changed=dict(self.changed),
            varied=bool(self.changed),
        )


def banded(cell: CurveCell) -> list[CurveCell]:
    """Return the cells in which each group of costs is halved, and doubled."""
    return [
        CurveCell(cell.design, cell.trace, cell.ncpus, cell.lock, cell.settings, dict(case.changed))
        for case in band(cell.case())
    ]


def measure(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Measure a cell, given as plain values; None if it was told to give up."""
    cell = CurveCell(**{**plain, "settings": tuple(plain["settings"])})
    point = measured(cell.case(), Worker.stop)
    return None if point is None else {"point": asdict(point)}


def curves(kept: Mapping[str, Any], cells: Sequence[CurveCell]) -> dict[tuple[str, str], Curve]:
    """Return a curve for each trace and lock policy, of the points that are there."""
    found: dict[tuple[str, str], Curve] = {}
    for cell in cells:
        values = kept["cells"].get(str(cell))
        if values is not None:
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
    yield ""
    yield source(kept)
    if left_out:
        yield ""
        yield f"Left out, since the files were not there: {', '.join(left_out)}."
    for (trace, lock), curve in curves(kept, cells).items():
        yield from ("", f"## {trace}, {lock}", "")
        yield from _table(curve)


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
    share, waiting = curve.share_of_linear(label, ncpus), curve.wait_share_percent(label, ncpus)
    if share is None or waiting is None:
        return DASH
    around = curve.band(label, ncpus)
    wide = f" [{around[0]:.1f}-{around[1]:.1f}]" if around is not None else ""
    return f"{share * ncpus:.1f}{wide}, {waiting:.1f} %"
