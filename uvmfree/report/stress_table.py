"""The summary of stress runs as text: a row for each figure, a column for each design."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.measure.stress_run import StressRun

LABEL: Final = 46
COLUMN: Final = 18
"""Widths, in characters: a wide terminal holds three designs."""

_MAXIMA: Final = (
    ("gap, uvmexp.free to all free pages", "gap_pages_max"),
    ("gap, uvmexp.free to the global list", "lag_pages_max"),
    ("pages stranded in other CPUs' caches", "stranded_pages_max"),
    ("pages in all caches", "cached_pages_max"),
)


def stress_table(runs: Sequence[StressRun]) -> Iterator[str]:
    """Yield the lines of the summary."""

    def row(label: str, cell: Callable[[StressRun], str]) -> str:
        return (f"{label:<{LABEL}}" + "".join(f"{cell(run):>{COLUMN}}" for run in runs)).rstrip()

    yield row("", lambda run: run.design)
    yield row("seconds", lambda run: f"{run.wall_s:.1f}")
    yield row("operations", lambda run: f"{run.steps:,}")
    yield row("... per second", lambda run: f"{run.steps_per_s:,.0f}")
    for kind in runs[0].operations:
        yield row(f"  {kind}", lambda run, kind=kind: f"{run.operations[kind]:,}")  # type: ignore[misc]
    yield row("without a page: allocations", lambda run: f"{run.failed['allocations']:,}")
    yield row("... accesses and runs", lambda run: f"{run.failed['accesses and runs']:,}")
    if runs[0].faults:
        yield row("faults: injected, survived", lambda run: "")
    for name in runs[0].faults:
        yield row(f"  {name}", lambda run, name=name: _fault(run, name))  # type: ignore[misc]
        for detail in list(runs[0].faults[name])[2:]:
            yield row(
                f"    {detail}",
                lambda run, name=name, detail=detail: f"{run.faults[name][detail]:,}",  # type: ignore[misc]
            )
    yield row("maxima, pages", lambda run: "")
    for label, field in _MAXIMA:
        yield row(f"  {label}", lambda run, field=field: _seen(run, field))  # type: ignore[misc]
    yield row("errors", lambda run: f"{len(run.errors)}")


def _fault(run: StressRun, name: str) -> str:
    return f"{run.faults[name]['injected']:,}, {run.faults[name]['survived']:,}"


def _seen(run: StressRun, field: str) -> str:
    return "-" if run.seen is None else f"{getattr(run.seen, field):,}"
