"""The summary of stress runs as text: a row for each figure, a column for each design."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from uvmfree.measure.stress_run import StressRun
from uvmfree.report.text import Cell, Row, table

_MAXIMA: Final = (
    ("uvmexp.free off all free", "gap_pages_max"),
    ("uvmexp.free off the list", "lag_pages_max"),
    ("parked out of a CPU's reach", "stranded_pages_max"),
    ("in all caches", "cached_pages_max"),
)


def stress_table(runs: Sequence[StressRun], width: int, *, virtual: bool, rates: bool) -> Iterator[str]:
    """Yield the lines of the summary; `rates`: whether operations per second mean anything."""
    rows: list[Row] = []

    def row(label: str, cell: Callable[[StressRun], str]) -> None:
        rows.append(Row(label, [Cell(cell(run)) for run in runs]))

    if virtual:
        row("virtual seconds", lambda run: f"{run.wall_s:.3f}")
        row("... per second of the host", lambda run: f"{run.wall_s / run.host_s:.3f}" if run.host_s else "-")
        row("digest of the run", lambda run: run.digest or "-")
    else:
        row("seconds", lambda run: f"{run.wall_s:.1f}")
    row("operations", lambda run: f"{run.steps:,}")
    if rates:
        row("... per second", lambda run: f"{run.steps_per_s:,.0f}")
    for kind in runs[0].operations:
        row(f"  {kind}", lambda run, kind=kind: f"{run.operations[kind]:,}")  # type: ignore[misc]
    row("without a page: allocations", lambda run: f"{run.failed['allocations']:,}")
    row("... accesses and runs", lambda run: f"{run.failed['accesses and runs']:,}")
    if runs[0].faults:
        row("faults: injected, survived", lambda run: "")
    for name in runs[0].faults:
        row(f"  {name}", lambda run, name=name: _fault(run, name))  # type: ignore[misc]
        for detail in list(runs[0].faults[name])[2:]:
            row(f"    {detail}", lambda run, name=name, detail=detail: f"{run.faults[name][detail]:,}")  # type: ignore[misc]
    row("maxima, pages", lambda run: "")
    for label, field in _MAXIMA:
        row(f"  {label}", lambda run, field=field: _seen(run, field))  # type: ignore[misc]
    row("errors", lambda run: f"{len(run.errors)}")
    return table([run.design for run in runs], rows, width)


def never_came(runs: Sequence[StressRun]) -> Iterator[str]:
    """Yield a line for each design that some fault never struck: a run without errors does not show that it bears it.

    => A swap that was told to fail, and was not written to meanwhile, has not failed.
    """
    for run in runs:
        missing = [name for name, counts in run.faults.items() if not counts["injected"] or counts.get("writes") == 0]
        if missing:
            yield f"{run.design}: {', '.join(missing)} never came in this run, which shows nothing about them."


def _fault(run: StressRun, name: str) -> str:
    return f"{run.faults[name]['injected']:,}, {run.faults[name]['survived']:,}"


def _seen(run: StressRun, field: str) -> str:
    return "-" if run.seen is None else f"{getattr(run.seen, field):,}"
