"""A scaling curve: the points of several designs at several CPU counts, and what is read off them.

=> One document (schema uvmfree.scale): every point raw, with its case. Medians, bands and where a design saturates
   are made from them by whoever reads it.
=> Several seeds give a spread. Points whose costs were changed give the band: what the curve would be if a group of
   costs were half or twice what the table says.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from uvmfree.errors import RecordError
from uvmfree.measure.decode import decode
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

    def at(self, label: str, ncpus: int) -> list[Point]:
        """The points of a design at a CPU count, one for each seed, with the costs as they are."""
        return [point for point in self._of(label, ncpus) if not point.case.varied]

    def per_s(self, label: str, ncpus: int) -> float | None:
        """Median throughput in page operations a virtual second, or None without a point."""
        points = self.at(label, ncpus)
        return statistics.median(point.per_s for point in points) if points else None

    def wait_share_percent(self, label: str, ncpus: int) -> float | None:
        """Median wait share, or None without a point."""
        points = self.at(label, ncpus)
        return statistics.median(point.wait_share_percent for point in points) if points else None

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


def curve_of(document: Any, where: str) -> Curve:
    """Make a curve of plain values; RecordError."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise RecordError(f"{where}: is no scaling curve of uvmfree")
    if document.get("version") != VERSION:
        raise RecordError(f"{where}: is of version {document.get('version')}; this uvmfree reads {VERSION}")
    return decode(
        Curve, {name: value for name, value in document.items() if name not in ("schema", "version")}, where
    )


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
