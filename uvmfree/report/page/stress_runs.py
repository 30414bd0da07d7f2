"""Stress runs: what was done, which faults were survived, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from uvmfree.measure.stress_run import StressRun
from uvmfree.report.page.content import Group, Section, Table
from uvmfree.report.page.settings import Source
from uvmfree.workload.plural import plural


def told(sources: Sequence[Source]) -> Iterator[str]:
    """Yield the sentence that sums stress runs up, if there are any."""
    runs = [run for source in sources for run in source.record.stress]
    errors = sum(len(run.errors) for run in runs)
    injected = sum(fault["injected"] for run in runs for fault in run.faults.values())
    survived = sum(fault["survived"] for run in runs for fault in run.faults.values())
    if runs:
        yield (
            f"{plural(sum(run.steps for run in runs), 'random operation')} on all CPUs at once, "
            f"{plural(injected, 'fault')} of which {survived:,} {'was' if survived == 1 else 'were'} survived, "
            f"{plural(errors, 'error') if errors else 'no errors'}."
        )


def stressed(sources: Sequence[Source]) -> list[Section]:
    """Return the section of stress runs, if there are any."""
    found = [(source, run) for source in sources for run in source.record.stress]
    if not found:
        return []
    words: tuple[str, ...] = (
        *told(sources),
        "Lock statistics, if they were asked for (uvmfree stress --format), are in the record and not drawn. The "
        "counters of a stress run are drawn over time below.",
    )
    rate = ("per second",) if _rated(found) else ()
    if len(rated := [source for source, _ in found if source.record.threads_run_at_once]) < len(found):
        words = (
            *words,
            f"{'Some of these' if rated else 'These'} runs had the GIL: threads took turns, so operations per second "
            "say nothing and are left out. Stress with a free-threaded Python (README) to have them.",
        )
    tables = [
        Table("Operations", ("record, design", "seconds", *_kinds(found), "all", *rate), list(_operations(found))),
        Table("Faults: injected, survived", ("record, design", *_faults(found)), list(_survived(found))),
        Table("Maxima and memory", MAXIMA, list(_maxima(found))),
    ]
    if any(run.errors for _, run in found):
        rows = [(_name(source, run), error) for source, run in found for error in run.errors]
        tables.insert(0, Table("Errors", ("record, design", "what went wrong"), rows, names=2, wide=True))
    return [Section("stress", "Stress runs", words, (Group((), tables=tables),))]


MAXIMA = (
    "record, design",
    "gap to all free pages",
    "gap to the global list",
    "stranded pages",
    "pages cached",
    "memory at the end, MiB",
    "errors",
)

_Found = Sequence[tuple[Source, StressRun]]


def _operations(found: _Found) -> Iterator[tuple[str, ...]]:
    for source, run in found:
        counts = (f"{run.operations.get(kind, 0):,}" for kind in _kinds(found))
        yield (_name(source, run), _seconds(source, run), *counts, f"{run.steps:,}", *_rate(found, source, run))


def _seconds(source: Source, run: StressRun) -> str:
    """Of virtual time, of which there are milliseconds, more digits."""
    return f"{run.wall_s:.{3 if source.record.machine.virtual else 1}f}"


def _rated(found: _Found) -> bool:
    return any(source.record.threads_run_at_once for source, _ in found)


def _rate(found: _Found, source: Source, run: StressRun) -> tuple[str, ...]:
    """The column of rates, if there is one: only of threads that ran at once."""
    if not _rated(found):
        return ()
    return (f"{run.steps_per_s:,.0f}" if source.record.threads_run_at_once else "-",)


def _survived(found: _Found) -> Iterator[tuple[str, ...]]:
    for source, run in found:
        cells = (
            f"{run.faults[name]['injected']:,}, {run.faults[name]['survived']:,}" if name in run.faults else ""
            for name in _faults(found)
        )
        yield (_name(source, run), *cells)


def _maxima(found: _Found) -> Iterator[tuple[str, ...]]:
    for source, run in found:
        seen = run.seen
        pages = (
            ("-",) * 4
            if seen is None
            else tuple(
                f"{value:,}"
                for value in (seen.gap_pages_max, seen.lag_pages_max, seen.stranded_pages_max, seen.cached_pages_max)
            )
        )
        yield (_name(source, run), *pages, f"{run.rss_kib_end / 1024:,.0f}", str(len(run.errors)))


def _kinds(found: _Found) -> list[str]:
    """The kinds of operations, in the order in which they are first met."""
    return list(dict.fromkeys(kind for _, run in found for kind in run.operations))


def _faults(found: _Found) -> list[str]:
    return list(dict.fromkeys(name for _, run in found for name in run.faults))


def _name(source: Source, run: StressRun) -> str:
    return f"{source.number}, {run.design}"
