"""A cell of the curve: one design on so many CPUs that play copies of a trace, under one lock policy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from uvmfree.measure.cell import Worker
from uvmfree.measure.scale import Case, Traffic, band, measured

COLD_AFTER_PAGES: Final = 1764
"""7 MB of cache a core (Emerald Rapids: 2 MB of L2, 5 of L3), in pages of 4 KB and a struct of 64 bytes."""


@dataclass(frozen=True, slots=True)
class CurveCell:
    """One point; `changed`: figures of the table of costs that are others, for the band or for cold structs."""

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

    @property
    def cold(self) -> bool:
        """Whether page structs drop out of caches."""
        return "cold_after_pages" in self.changed

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


def with_cold_structs(cell: CurveCell) -> CurveCell:
    """Return the cell in which a page's struct drops out of a cache."""
    return replace(cell, changed={"cold_after_pages": COLD_AFTER_PAGES})


def measure(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Measure a cell, given as plain values; None if it was told to give up."""
    cell = CurveCell(**{**plain, "settings": tuple(plain["settings"])})
    point = measured(cell.case(), Worker.stop)
    return None if point is None else {"point": asdict(point)}
