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
from dataclasses import asdict, dataclass, field, replace
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

    @property
    def gaps(self) -> bool:
        """Whether the load has recorded gaps between its operations."""
        return any(point.outside_ns is not None for point in self.points)

    def throughput(self, point: Point) -> float:
        """What a point did: page operations a virtual second, or with recorded gaps the CPUs that would do as much.

        => A trace is played from other places of it in each run, where it has more or fewer operations; how much of
           the recorded time was played in a second can be compared.
        """
        return point.per_s if point.outside_ns is None else point.outside_ns / point.window_ns

    def median(self, label: str, ncpus: int) -> float | None:
        """Median throughput, or None without a point."""
        return _median(self.values(label, ncpus, self.throughput))

    def wait_share_percent(self, label: str, ncpus: int) -> float | None:
        """Median wait share, or None without a point."""
        return _median(self.values(label, ncpus, lambda point: point.wait_share_percent))

    def words_share_percent(self, label: str, ncpus: int) -> float | None:
        """Median share of the CPUs' time that waiting for shared words takes, or None where no point told."""
        shares = [point.words_share_percent for point in self.at(label, ncpus)]
        return _median([share for share in shares if share is not None])

    def linear(self, label: str, ncpus: int) -> float | None:
        """The throughput of so many CPUs if none of them ever waited.

        => With recorded gaps: the gaps are all of the time, but for what the load itself makes CPUs wait for each
           other: the least that any design has them wait. Without: as many times what the smallest count of the
           design does.
        """
        least = next((count for count in self.cpu_counts() if self.at(label, count)), None)
        first = None if least is None else self.median(label, least)
        if first is None or least is None:
            return None
        return ncpus - self._stalled(label, ncpus) if self.gaps else first / least * ncpus

    def _stalled(self, label: str, ncpus: int) -> float:
        """The fewest of so many CPUs that a design has wait for another, in as much of the trace, or up to twice.

        => A run ends when enough was done, and then a trace may do nothing for a while: of java-build 8 CPUs play
           13 ms with one design and 60 ms with another that had done a few operations less, and wait more in those.
           So a run that ended earlier, by a tenth or more, says nothing of what comes after.
        """
        played = statistics.median_low([point.outside_ns or 0 for point in self.at(label, ncpus)] or [0])
        points = (point for each in self.labels() for point in self.at(each, ncpus))
        alike = (point for point in points if 0.9 * played <= (point.outside_ns or 0) <= 2 * played)
        return min((point.stall_ns / point.window_ns for point in alike if point.stall_ns is not None), default=0.0)

    def share_of_linear(self, label: str, ncpus: int) -> float | None:
        """Median throughput as a share of the linear line, or None without a point or where nothing was done."""
        done, linear = self.median(label, ncpus), self.linear(label, ncpus)
        return done / linear if done is not None and linear else None

    def band(
        self, label: str, ncpus: int, figure: Callable[[Point], float] | None = None
    ) -> tuple[float, float] | None:
        """Least and most over the costs' halves and doubles, of the throughput or of a figure; None without any."""
        if not any(point.case.varied for point in self._of(label, ncpus)):
            return None
        values = [(figure or self.throughput)(point) for point in self._of(label, ncpus)]
        return min(values), max(values)

    def falls_below(self, label: str, share: float) -> int | None:
        """The first CPU count at which the throughput is less than this share of the linear line, or None."""
        shares = ((ncpus, self.share_of_linear(label, ncpus)) for ncpus in self.cpu_counts())
        return next((ncpus for ncpus, found in shares if found is not None and found < share), None)

    def with_other_costs(self, label: str) -> list[Curve]:
        """The curve with each group of costs halved, and doubled, as curves of their own; [] without the band.

        => Only those that have the design at all CPU counts at which it was run with the costs as they are.
        """
        groups: dict[tuple[tuple[str, float], ...], list[Point]] = {}
        for point in self.points:
            if point.case.varied:
                plain = replace(point, case=replace(point.case, varied=False))
                groups.setdefault(tuple(sorted(point.case.changed.items())), []).append(plain)
        counts = [ncpus for ncpus in self.cpu_counts() if self.at(label, ncpus)]
        curves = [replace(self, points=points) for points in groups.values()]
        return [curve for curve in curves if all(curve.at(label, ncpus) for ncpus in counts)]

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
    base, gaps = curve.base, curve.gaps
    for number, point in enumerate(curve.points):
        _check(point, base, gaps, f"{where}.points[{number}]")
    return curve


def _check(point: Point, base: Case | None, gaps: bool, where: str) -> None:
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
    if (point.outside_ns is not None) != gaps:
        raise RecordError(f"{where}.outside_ns: a curve has recorded gaps at all of its points, or at none")


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
