"""The run of a record whose samples are drawn, and what can be read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from uvmfree.measure.run import Run
from uvmfree.measure.samples import Samples
from uvmfree.measure.stress_run import StressRun
from uvmfree.report.page.settings import Source
from uvmfree.report.page.thin import rows_for

BANDS_MAX: Final = 8
"""CPUs whose caches are told apart; more are taken together."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run and its samples: the last repetition of a design that has any, or its stress run.

    => `on_list`: pages on the global list. `cached`: in all caches. `truth`: all free pages. `stranded`: pages that
       some CPU could not reach, in the caches of the others.
    """

    source: Source
    run: Run | StressRun
    samples: Samples
    cached: Sequence[int]
    on_list: Sequence[int]
    truth: Sequence[int]
    stranded: Sequence[int]

    @property
    def title(self) -> str:
        """The run in a few words."""
        return (
            f"{self.run.design}, "
            + (f"repetition {self.run.repetition + 1}" if isinstance(self.run, Run) else "stressed")
            + ("" if self.source.record.threads_run_at_once else ", with the GIL: threads took turns")
        )

    @property
    def end_ns(self) -> int:
        """When the last sample was taken."""
        return max(1, self.samples.t_ns[-1])

    @property
    def unit(self) -> tuple[str, float]:
        """The unit of the time axis, and its length in ns."""
        return ("s", 1e9) if self.end_ns >= 10e9 else ("ms", 1e6)

    def times(self, rows: Sequence[int]) -> list[float]:
        """The times of some rows, in that unit."""
        return [round(self.samples.t_ns[row] / self.unit[1], 2) for row in rows]

    @property
    def bands(self) -> list[tuple[str, Sequence[int]]]:
        """The caches, by CPU where they are few; none if nothing was ever cached."""
        if not any(self.cached):
            return []
        if len(self.samples.cached) > BANDS_MAX:
            return [(f"cached on all {len(self.samples.cached)} CPUs", self.cached)]
        return [(f"cached on CPU {index}", column) for index, column in enumerate(self.samples.cached)]


def timelines(sources: Sequence[Source], designs: Sequence[str]) -> list[list[Timeline]]:
    """Return the timelines of each record that has any, by design."""
    found = []
    for source in sources:
        by_design = [_runs(source, design) for design in designs]
        found.append([_timeline(source, runs[-1]) for runs in by_design if runs])
    return [each for each in found if each]


def _runs(source: Source, design: str) -> list[Run | StressRun]:
    """Return the runs of a design that have samples, and counters at the end."""
    stressed = [run for run in source.record.stress if run.design == design]
    both: list[Run | StressRun] = [*source.record.counted(design), *stressed]
    return [run for run in both if run.samples and run.samples.t_ns and run.uvmexp]


def rows_drawn(found: Sequence[Sequence[Timeline]]) -> int:
    """Return how many rows of each timeline are drawn: each line, and that of the stranded pages, has x and y."""
    return rows_for(sum(2 * (len(each.bands) + 4) for record in found for each in record))


def _timeline(source: Source, run: Run | StressRun) -> Timeline:
    samples = run.samples
    assert samples is not None
    rows = list(zip(*samples.cached, strict=True)) or [()] * len(samples.t_ns)
    cached = [sum(row) for row in rows]
    listed = [free - lag for free, lag in zip(samples.free, samples.lag, strict=True)]
    return Timeline(
        source=source,
        run=run,
        samples=samples,
        cached=cached,
        on_list=listed,
        truth=[pages + held for pages, held in zip(listed, cached, strict=True)],
        stranded=[held - min(row, default=0) for held, row in zip(cached, rows, strict=True)],
    )
