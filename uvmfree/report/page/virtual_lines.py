"""The lines of scaling curves: a design on a curve each, put together by workload, and named apart.

=> Two curves of one workload stand in one plot: another lock policy, other costs, other seeds are compared there.
   Where none of these tells two lines of a design apart, the names of their files do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from uvmfree.measure.curve import Curve
from uvmfree.measure.scale import Point
from uvmfree.report.curve import seeds


@dataclass(frozen=True, slots=True)
class CurveSource:
    """A curve and where it came from: `number` from 1, `name` of its file."""

    number: int
    name: str
    curve: Curve

    @property
    def title(self) -> str:
        """Which one it is."""
        return f"Curve {self.number}, {self.name}"


@dataclass(frozen=True, slots=True)
class Line:
    """A design, with its tunables, on a curve.

    => `setting`: what tells its curve from others of the workload, or "". `index`: the number of its curve there.
    """

    source: CurveSource
    label: str
    setting: str
    index: int

    @property
    def name(self) -> str:
        """What it is called in a legend."""
        return ", ".join([self.label, *([self.setting] if self.setting else [])])

    @property
    def counts(self) -> list[int]:
        """The CPU counts at which it was run with the costs as they are, ascending."""
        curve = self.source.curve
        return [ncpus for ncpus in curve.cpu_counts() if curve.at(self.label, ncpus)]

    def values(self, ncpus: int, figure: Callable[[Point], float]) -> list[float]:
        """A figure at a CPU count, one for each seed."""
        return self.source.curve.values(self.label, ncpus, figure)

    def of_linear(self, ncpus: int) -> float | None:
        """Its share of the linear line, or None where that cannot be said."""
        curve = self.source.curve
        per_s, linear = curve.per_s(self.label, ncpus), curve.linear(self.label, ncpus)
        return per_s / linear if per_s is not None and linear else None


def by_workload(sources: Sequence[CurveSource]) -> dict[str, list[CurveSource]]:
    """Return the curves that have points, by the name of what was run."""
    found: dict[str, list[CurveSource]] = {}
    for source in sources:
        if source.curve.base is not None:
            found.setdefault(source.curve.base.traffic.name, []).append(source)
    return found


def lines_of(sources: Sequence[CurveSource]) -> list[Line]:
    """Return the lines of the curves of a workload that have a point with the costs as they are."""
    lines = [
        Line(source, label, setting, index)
        for index, (source, setting) in enumerate(zip(sources, _settings(sources), strict=True))
        for label in source.curve.labels()
    ]
    return [line for line in lines if line.counts]


def _settings(sources: Sequence[CurveSource]) -> list[str]:
    """Name what tells each curve from the others; "" where one is alone."""
    facts = [list(_facts(source.curve)) for source in sources]
    differ = [len(set(column)) > 1 for column in zip(*facts, strict=True)]
    told = [tuple(fact for fact, differs in zip(each, differ, strict=True) if differs and fact) for each in facts]
    named = list(zip(sources, told, strict=True))
    settings = []
    for source, words in named:
        alike = [
            other
            for other, others in named
            if others == words and other is not source and set(other.curve.labels()) & set(source.curve.labels())
        ]
        if alike:
            same_file = any(other.name == source.name for other in alike)
            words = (*words, source.title if same_file else source.name)
        settings.append(", ".join(words))
    return settings


def _facts(curve: Curve) -> Iterator[str]:
    """Yield what two curves of a workload may differ in."""
    case = curve.base
    assert case is not None
    yield f"{case.lock} locks"
    yield f"costs {case.costs}"
    yield "" if case.varied else ", ".join(f"{cost}={value:g}" for cost, value in sorted(case.changed.items()))
    yield seeds(curve)
