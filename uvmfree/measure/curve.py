"""A scaling curve: the points of several designs at several CPU counts, and what is read off them.

=> One document (schema uvmfree.scale): every point raw, with its case. Medians, bands and where a design saturates
   are made from them by whoever reads it.
=> Several seeds give a spread. Points whose costs were changed give the band: what the curve would be if a group of
   costs were half or twice what the table says.
=> A curve is of one workload on one machine: traffic, costs and lock policy are the same at all points.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from uvmfree.errors import RecordError
from uvmfree.measure.decode import decode, shown
from uvmfree.measure.host import Host
from uvmfree.measure.scale import Case, Point, measured_here

SCHEMA: Final = "uvmfree.scale"
VERSION: Final = 1


@dataclass(slots=True)
class Curve:
    """Points as they come; `interrupted` if some are missing."""

    host: Host
    command: tuple[str, ...]
    points: list[Point] = field(default_factory=list)
    interrupted: bool = False

    def labels(self) -> list[str]:
        """The designs with their tunables, in the order of their first points."""
        return list(dict.fromkeys(point.case.label for point in self.points))

    def cpu_counts(self) -> list[int]:
        """The CPU counts, ascending."""
        return sorted({point.case.ncpus for point in self.points})

    @property
    def base(self) -> Case | None:
        """The first case with the costs as they are, or else the first: the curve's machine and traffic are its.

        => None without a point.
        """
        return min((point.case for point in self.points), key=lambda case: case.varied, default=None)

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted({point.case.seed for point in self.points})

    def at(self, label: str, ncpus: int) -> list[Point]:
        """The points of a design at a CPU count, one for each seed, with the costs as they are."""
        return [point for point in self._of(label, ncpus) if not point.case.varied]

    def values(self, label: str, ncpus: int, figure: Callable[[Point], float]) -> list[float]:
        """A figure of the points of a design at a CPU count, one for each seed."""
        return [figure(point) for point in self.at(label, ncpus)]

    def per_s(self, label: str, ncpus: int) -> float | None:
        """Median throughput in page operations a virtual second, or None without a point."""
        return _median(self.values(label, ncpus, lambda point: point.per_s))

    def wait_share_percent(self, label: str, ncpus: int) -> float | None:
        """Median wait share, or None without a point."""
        return _median(self.values(label, ncpus, lambda point: point.wait_share_percent))

    def linear(self, label: str, ncpus: int) -> float | None:
        """The throughput of so many CPUs if none of them ever waited.

        => With recorded gaps: what was done, if the gaps had been all of the time. Without: as many times what the
           smallest count of the curve does.
        """
        points = self.at(label, ncpus)
        played = [point.per_s * ncpus * point.window_ns / point.outside_ns for point in points if point.outside_ns]
        if played:
            return statistics.median(played)
        least = next((count for count in self.cpu_counts() if self.at(label, count)), None)
        first = None if least is None else self.per_s(label, least)
        return None if first is None or least is None else first / least * ncpus

    def band(self, label: str, ncpus: int) -> tuple[float, float] | None:
        """Least and greatest throughput over the costs' halves and doubles, or None where none was measured."""
        if not any(point.case.varied for point in self._of(label, ncpus)):
            return None
        values = [point.per_s for point in self._of(label, ncpus)]
        return min(values), max(values)

    def falls_below(self, label: str, share: float) -> int | None:
        """The first CPU count at which the throughput is less than this share of the linear line, or None."""
        for ncpus in self.cpu_counts():
            per_s, linear = self.per_s(label, ncpus), self.linear(label, ncpus)
            if per_s is not None and linear is not None and per_s < share * linear:
                return ncpus
        return None

    def document(self) -> dict[str, Any]:
        """Return the curve as plain values for JSON."""
        return {"schema": SCHEMA, "version": VERSION, **asdict(self)}

    def _of(self, label: str, ncpus: int) -> list[Point]:
        return [point for point in self.points if point.case.label == label and point.case.ncpus == ncpus]


def is_curve(document: Any) -> bool:
    """Return whether a document says that it is a curve."""
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def curve_of(document: Any, where: str) -> Curve:
    """Make a curve of plain values; RecordError."""
    if not is_curve(document):
        raise RecordError(f"{where}: is no scaling curve of uvmfree")
    if document.get("version") != VERSION:
        raise RecordError(
            f"{where}: is a scaling curve of version {shown(document.get('version'))}; this uvmfree reads {VERSION}"
        )
    curve = decode(
        Curve, {name: value for name, value in document.items() if name not in ("schema", "version")}, where
    )
    base = curve.base
    for number, point in enumerate(curve.points):
        _check(point, base, f"{where}.points[{number}]")
    return curve


def _check(point: Point, base: Case | None, where: str) -> None:
    """Refuse a point from which no figures can be made, or that is of another curve: RecordError."""
    counts = {name: value for name, value in asdict(point).items() if name != "case" and value is not None}
    for name, value in {"case.ncpus": point.case.ncpus, **counts}.items():
        least = 1 if name in ("case.ncpus", "window_ns") else 0
        if value < least:
            raise RecordError(f"{where}.{name}: must be {least} or more, is {shown(value)}")
    if base is not None:
        for name in ("traffic", "costs", "lock", *(() if point.case.varied else ("changed",))):
            if getattr(point.case, name) != getattr(base, name):
                raise RecordError(f"{where}.case.{name}: is another than that of other points; a curve has one")


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def fill(curve: Curve, cases: Sequence[Case], executor: Executor, at_once: int, stop: Any) -> Iterable[Point]:
    """Measure cases, the largest first, so that none is left over at the end; yield each point as it comes.

    => When `stop()` is true no more are begun, and `curve.interrupted` is set.
    """
    waiting = sorted(cases, key=lambda case: -case.ncpus)
    under_way: set[Future[Point | None]] = set()
    try:
        while waiting or under_way:
            if stop():
                curve.interrupted = True
                return
            while waiting and len(under_way) < at_once:
                under_way.add(executor.submit(measured_here, waiting.pop(0)))
            done, under_way = wait(under_way, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in done:
                point = future.result()
                if point is None:
                    curve.interrupted = True
                    return
                curve.points.append(point)
                yield point
    finally:
        for future in under_way:
            future.cancel()


_TICK_S: Final = 0.2
