"""The benchmark: designs side by side, interleaved, repeated, and kept raw.

=> A B A B: what drifts on the host drifts for all designs alike.
=> The document has every repetition's raw values and figures; medians are for the eye, and quoted with min-max.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from uvmfree.measure.host import Host, host
from uvmfree.measure.run import Figures, Run, figures, run
from uvmfree.measure.workloads import Workload
from uvmfree.param import Param

SCHEMA: Final = "uvmfree.bench"
VERSION: Final = 1


@dataclass(slots=True)
class Bench:
    """What a benchmark has measured so far; grows run by run, so that an interrupted one keeps what it had."""

    workload: Workload
    param: Param
    designs: tuple[str, ...]
    host: Host = field(default_factory=host)
    runs: list[Run] = field(default_factory=list)
    interrupted: bool = False

    @property
    def modes(self) -> tuple[bool, ...]:
        """With lockstat, and without where the wall time tells something."""
        return (True, False) if self.workload.timed else (True,)

    def counted(self, design: str) -> list[Run]:
        """The runs of a design with lockstat."""
        return [record for record in self.runs if record.design == design and record.lockstat]

    def timed(self, design: str) -> list[Run]:
        """The runs of a design without lockstat."""
        return [record for record in self.runs if record.design == design and not record.lockstat]

    def summary(self, design: str) -> dict[str, "Spread"]:
        """Median, minimum and maximum of each figure of a design that applies, by its name; empty without runs.

        => `wall_ms` is that of the runs without lockstat, `wall_lockstat_ms` that of those with it.
        """
        counted = [figures(record) for record in self.counted(design)]
        columns = {one.name: [getattr(row, one.name) for row in counted] for one in fields(Figures)}
        spreads = {name: spread(column) for name, column in columns.items() if column and None not in column}
        if counted:
            spreads["wall_lockstat_ms"] = spreads.pop("wall_ms")
            if not self.workload.timed:
                del spreads["wall_lockstat_ms"]
        if timed := self.timed(design):
            spreads["wall_ms"] = spread([record.drive.wall_ns / 1e6 for record in timed])
        return spreads

    def false_oom(self) -> int:
        """How often an access, or a CPU at the end of a run, found no memory while there was some."""
        return sum(record.counts.get("false_oom", 0) for record in self.runs)

    def document(self) -> dict[str, Any]:
        """Return everything as one JSON document."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "host": asdict(self.host),
            "workload": {
                "name": self.workload.name,
                "ncpus": self.workload.ncpus,
                "page_operations": self.workload.page_operations,
                "linux_moved_per_op": self.workload.linux_moved_per_op,
                "skipped": self.workload.skipped,
            },
            "param": asdict(self.param),
            "interrupted": self.interrupted,
            "runs": [
                asdict(record) | {"figures": asdict(figures(record)) if record.lockstat else None}
                for record in self.runs
            ],
        }


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all repetitions."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return median, minimum and maximum."""
    return Spread(statistics.median(values), min(values), max(values))


def measure(
    bench: Bench, repetitions: int, tick: Callable[[str], None], stop: Callable[[], bool] = lambda: False
) -> Iterator[Run]:
    """Run all repetitions of all designs, interleaved, adding each to `bench`; yield each run.

    => `tick(what)` is called before each run. Once `stop()` is true the run under way is dropped,
       `bench.interrupted` is set, and what was measured before is kept.
    """
    for repetition in range(repetitions):
        for design in bench.designs:
            for lockstat in bench.modes:
                tick(f"{design}, {repetition + 1} of {repetitions}")
                record = run(bench.workload, bench.param, design, repetition, lockstat=lockstat, stop=stop)
                if record is None or stop():
                    bench.interrupted = True
                    return
                bench.runs.append(record)
                yield record
