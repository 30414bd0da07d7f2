"""The lines of scaling curves: a design on a curve each, put together by workload, and named apart.

=> Two curves of one workload stand in one plot: another lock policy, other costs are compared there. Where these do
   not tell two lines of a design apart their seeds do, or else the names of their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from uvmfree.measure.curve import Curve
from uvmfree.measure.scale import Point
from uvmfree.report.curve_text import seeds


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

    @property
    def grows(self) -> bool:
        """Whether it was run at several CPU counts: one point is no curve."""
        return len(self.counts) > 1

    def values(self, ncpus: int, figure: Callable[[Point], float]) -> list[float]:
        """A figure at a CPU count, one for each seed."""
        return self.source.curve.values(self.label, ncpus, figure)

    def done(self, ncpus: int) -> list[float]:
        """The throughput at a CPU count, one for each seed, in what its workload counts it in."""
        return self.values(ncpus, self.source.curve.throughput)

    def of_linear(self, ncpus: int) -> float | None:
        """Its share of the linear line, or None where that cannot be said."""
        curve = self.source.curve
        if not self.grows and not curve.gaps:
            return None  # it would be a share of itself
        return curve.share_of_linear(self.label, ncpus)


def by_workload(sources: Sequence[CurveSource]) -> Iterator[tuple[str, list[CurveSource]]]:
    """Yield the name of each workload, and its curves that have points: all with recorded gaps, or all without."""
    found: dict[tuple[str, bool], list[CurveSource]] = {}
    for source in sources:
        if source.curve.base is not None:
            found.setdefault((source.curve.base.traffic.name, source.curve.gaps), []).append(source)
    for (name, _), same in found.items():
        yield name, same


def lines_of(sources: Sequence[CurveSource]) -> list[Line]:
    """Return the lines of the curves of a workload that have a point with the costs as they are."""
    lines = [
        Line(source, label, setting, index)
        for index, (source, setting) in enumerate(zip(sources, _settings(sources), strict=True))
        for label in source.curve.labels()
    ]
    return [line for line in lines if line.counts]


def _settings(sources: Sequence[CurveSource]) -> list[str]:
    """Name what tells each curve from the others; "" where one is alone, or shares no design with another."""
    machines = [_machine(source.curve) for source in sources]
    differ = [len(set(column)) > 1 for column in zip(*machines, strict=True)]
    told = [tuple(fact for fact, differs in zip(each, differ, strict=True) if differs and fact) for each in machines]
    further: tuple[Callable[[CurveSource], str], ...] = (
        lambda source: seeds(source.curve),
        lambda source: source.name,
        lambda source: f"curve {source.number}",
    )
    for fact in further:
        alike = [_alike(at, sources, told) for at in range(len(sources))]
        told = [
            (*words, fact(source)) if any(fact(other) != fact(source) for other in others) else words
            for source, words, others in zip(sources, told, alike, strict=True)
        ]
    return [", ".join(words) for words in told]


def _alike(at: int, sources: Sequence[CurveSource], told: Sequence[tuple[str, ...]]) -> list[CurveSource]:
    """Return the other curves that are called the same, and have a design of this one."""
    labels = set(sources[at].curve.labels())
    return [
        other
        for number, other in enumerate(sources)
        if number != at and told[number] == told[at] and labels & set(other.curve.labels())
    ]


def _machine(curve: Curve) -> tuple[str, str, str]:
    """Return what two curves of a workload may differ in, except their seeds."""
    case = curve.base
    assert case is not None
    changed = "" if case.varied else ", ".join(f"{cost}={value:g}" for cost, value in sorted(case.changed.items()))
    return f"{case.lock} locks", f"costs {case.costs}", changed
