"""Which records belong together: those of the same setting are one point, those that differ get a name for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from uvmfree.measure.record import Record
from uvmfree.measure.run import Run
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY, settings_of
from uvmfree.workload.plural import plural

ELSEWHERE: Final = ("design", "ncpus", "lockstat", "npages")
"""The tunables that make no setting: they are in a run, in a point, or beside the others here."""


@dataclass(frozen=True, slots=True)
class Setting:
    """All that can decide a figure, except the design and the number of CPUs.

    => `machine`: the virtual one, or "". `interpreter`, `host`: "" for it, which gives the same on all of them.
    """

    workload: str
    machine: str
    interpreter: str
    host: str
    npages: int
    tunables: tuple[tuple[str, object], ...]

    @classmethod
    def of(cls, record: Record) -> Setting:
        """Take it from a record."""
        host, virtual = record.host, record.machine.virtual
        processors = plural(len(host.affinity), "processor")
        return cls(
            workload=record.workload.name,
            machine=record.machine.words if virtual else "",
            interpreter="" if virtual else host.interpreter,
            host="" if virtual else f"{host.cpu_model}, {processors}, {host.kernel}",
            npages=record.param.npages,
            tunables=_tunables(record.param),
        )

    def without(self, *names: str) -> Setting:
        """Return the setting as if some tunables did not matter."""
        return replace(self, tunables=tuple(pair for pair in self.tunables if pair[0] not in names))


@dataclass(frozen=True, slots=True)
class Source:
    """A record and where it came from: `number` from 1, `name` of its file."""

    number: int
    name: str
    record: Record

    @property
    def title(self) -> str:
        """The record in a line."""
        facts = self.record.workload
        machine = self.record.machine_words if self.record.machine.virtual else self.record.host.interpreter
        words = [f"{facts.name} on {cpus(facts.ncpus)}", machine]
        words += [f"{name}={value}" for name, value in changed(self.record.param)]
        return f"Record {self.number}, {self.name}: {', '.join(words)}"


@dataclass(frozen=True, slots=True)
class Point:
    """The runs of one setting on so many CPUs, from all its records; `label` tells the setting from the others."""

    setting: Setting
    label: str
    ncpus: int
    record: Record
    _values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def cpus(self) -> str:
        """The CPUs in words."""
        return cpus(self.ncpus)

    def values(self, design: str, figure: str) -> list[float]:
        """All repetitions of a figure of a design; empty if there are none."""
        if design not in self._values:
            self._values[design] = self.record.values(design)
        return self._values[design].get(figure, [])

    def counted(self, design: str) -> list[Run]:
        """The runs of a design with lockstat."""
        return self.record.counted(design)


def cpus(count: int) -> str:
    """Return a number of CPUs in words."""
    return plural(count, "CPU")


def changed(param: Param) -> list[tuple[str, object]]:
    """Return the tunables that are not at their defaults."""
    defaults = dict(_tunables(Param()))
    return [(name, value) for name, value in _tunables(param) if name not in defaults or value != defaults[name]]


def _tunables(param: Param) -> tuple[tuple[str, object], ...]:
    return tuple((name, value) for name, value in settings_of(param).items() if name not in ELSEWHERE)


def points_of(records: Sequence[Record]) -> list[Point]:
    """Put records together: by setting in the order in which they come, then by CPUs."""
    settings = list(dict.fromkeys(Setting.of(record) for record in records if record.runs))
    points = []
    for setting in settings:
        same = [record for record in records if record.runs and Setting.of(record) == setting]
        for ncpus in sorted({record.workload.ncpus for record in same}):
            here = [record for record in same if record.workload.ncpus == ncpus]
            merged = replace(here[0], runs=[run for record in here for run in record.runs])
            points.append(Point(setting, label(setting, settings), ncpus, merged))
    return points


def at_once(points: Sequence[Point]) -> list[Point]:
    """Return the points whose times of threads say something."""
    return [point for point in points if point.record.threads_run_at_once]


def left_out(points: Sequence[Point], what: str) -> list[str]:
    """Say that the others' is left out, why, and how to have it; nothing where there are no others."""
    if len(at_once(points)) == len(points):
        return []
    whom = "Some of these" if at_once(points) else "These"
    return [
        f"{whom} records were measured with the GIL: threads took turns, so {what} says nothing and "
        "is left out. Measure with a free-threaded Python (README) to have it."
    ]


def label(setting: Setting, among: Sequence[Setting]) -> str:
    """Name what tells a setting from the others, and a virtual machine in any case; "" if there is neither."""
    alike = [other for other in among if other.workload == setting.workload]
    words = [setting.workload] if len(alike) < len(among) else []
    words += [setting.machine] if setting.machine else []
    words += [
        getattr(setting, name)
        for name in ("interpreter", "host")
        if getattr(setting, name) and any(getattr(other, name) != getattr(setting, name) for other in among)
    ]
    if any(other.npages != setting.npages for other in alike):
        words.append(f"{setting.npages:,} pages")
    words += [
        f"{name}={value}"
        for name, value in setting.tunables
        if any(dict(other.tunables).get(name) != value for other in alike)
    ]
    return ", ".join(words)


def designs_of(records: Sequence[Record]) -> list[str]:
    """Return the designs that were measured, in the order in which they stand everywhere."""
    measured = (run.design for record in records for run in record.runs)
    stressed = (run.design for record in records for run in record.stress)
    found = dict.fromkeys((*measured, *stressed))
    return [*(name for name in REGISTRY if name in found), *(name for name in found if name not in REGISTRY)]
