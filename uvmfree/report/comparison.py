"""The comparison: one table of figures, a column for each design, and what to make of them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from uvmfree.measure.host import Host
from uvmfree.measure.observer import interval_s
from uvmfree.measure.record import Record, Spread

if TYPE_CHECKING:
    from rich.table import Table

ROWS: Final = (
    ("page operations", "page_operations", "{:,.0f}"),
    ("faults a second", "faults_per_s", "{:,.0f}"),
    ("pages read back from swap", "pageins", "{:,.0f}"),
    ("pages written to swap", "pageouts", "{:,.0f}"),
    ("contiguous requests met", "runs", "{:,.0f}"),
    ("contiguous requests refused", "runs_failed", "{:,.0f}"),
    ("allocations that found no page", "failed_allocs", "{:,.0f}"),
    ("local hit %", "local_hit_percent", "{:.2f}"),
    ("shared-lock acquisitions per page operation", "shared_locks_per_op", "{:.4f}"),
    ("atomic operations per page operation", "atomics_per_op", "{:.4f}"),
    ("wait share %", "wait_share_percent", "{:.2f}"),
    ("contended %", "contended_percent", "{:.3f}"),
    ("longest wait, us", "longest_wait_us", "{:,.0f}"),
    ("peak pages stranded in other CPUs' caches", "stranded_pages_max", "{:,.0f}"),
    ("pages moved on or off the global list per page operation", "moved_per_op", "{:.4f}"),
    ("largest gap, uvmexp.free to the global list, pages", "lag_pages_max", "{:,.0f}"),
    ("largest gap, uvmexp.free to all free pages, pages", "gap_pages_max", "{:,.0f}"),
    ("redistributions by the timer", "redistributed_timer", "{:,.0f}"),
    ("redistributions under pressure", "redistributed_pressure", "{:,.0f}"),
    ("redistributions after a failed allocation", "redistributed_retry", "{:,.0f}"),
    ("redistributions for a contiguous request", "redistributed_pglistalloc", "{:,.0f}"),
    ("redistributions not done, too soon after the last", "redistributions_rate_limited", "{:,.0f}"),
    ("daemon wakeups", "daemon_wakeups", "{:,.0f}"),
    ("waits for pages", "waits", "{:,.0f}"),
    ("waits for pages that timed out", "wait_timeouts", "{:,.0f}"),
    ("time waited for pages, all CPUs, ms", "wait_total_ms", "{:,.0f}"),
    ("longest wait for pages, ms", "wait_longest_ms", "{:,.1f}"),
    ("longest wait beside free pages, ms", "beside_free_longest_ms", "{:,.1f}"),
    ("false out-of-memory", "false_oom", "{:,.0f}"),
    ("wall time, ms", "wall_ms", "{:,.0f}"),
    ("wall time with lockstat, ms", "wall_lockstat_ms", "{:,.0f}"),
    ("stall for the trace, a partner or pages, %", "stall_percent", "{:.1f}"),
)
"""The rows of the table: what the user reads, the name of the figure, its format."""

IF_ANY: Final = frozenset(
    {
        "redistributed_timer",
        "redistributed_pressure",
        "redistributed_retry",
        "redistributed_pglistalloc",
        "redistributions_rate_limited",
        "daemon_wakeups",
        "waits",
        "wait_timeouts",
        "wait_total_ms",
        "wait_longest_ms",
        "beside_free_longest_ms",
    }
)
"""Rows that are left out where all designs have 0: most workloads never run short of pages."""


def table(record: Record) -> "Table":
    """Draw the table of a benchmark: medians, and min-max where repetitions differ."""
    from rich import box
    from rich.table import Table

    linux = record.workload.linux_moved_per_op
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("")
    for design in record.designs:
        drawn.add_column(design, justify="right")
    if linux is not None:
        drawn.add_column("Linux itself", justify="right")
    summaries = [record.summary(design) for design in record.designs]
    for label, name, layout in ROWS:
        found = [summary[name] for summary in summaries if name in summary]
        if not found or (name in IF_ANY and not any(spread.high for spread in found)):
            continue
        cells = [_cell(summary.get(name), layout) for summary in summaries]
        if linux is not None:
            cells.append(layout.format(linux) if name == "moved_per_op" else "")
        drawn.add_row(label, *cells)
    return drawn


def notes(record: Record) -> Iterator[str]:
    """Yield what has to be said with the table, a sentence or two each."""
    done = min((len(record.counted(design)) for design in record.designs), default=0)
    yield f"Medians [min-max] of {done} repetitions, designs interleaved. {_where(record.host)}"
    if record.workload.skipped:
        yield f"Of the trace, {record.workload.skipped} were skipped."
    if record.workload.lost_events:
        yield f"Recording the trace lost {record.workload.lost_events:,} events: it lacks allocations and frees."
    every_ms = 1e3 * interval_s(gil=record.host.gil)
    yield (
        "Wait share is the time that threads waited for page locks, of the time they were not stalled. Gaps, "
        f"stranded pages and waits beside free pages were sampled every {every_ms:g} ms. All but "
        "the wall time was measured with lockstat on."
    )
    if record.host.gil:
        yield (
            "The GIL is on: one thread runs at a time. Wall time then tells what the operations cost, locks and all, "
            "and nothing about scaling; waits show up only where a thread was switched out with a lock held. The "
            "counts per page operation hold as they are. For threads that run at once, use a free-threaded Python "
            "(see README)."
        )
    elif record.workload.ncpus > len(record.host.affinity):
        yield (
            f"{record.workload.ncpus} threads shared {len(record.host.affinity)} processors: waits include being "
            f"switched out with a lock held."
        )


def sleeps(record: Record, design: str) -> Iterator[str]:
    """Yield the histograms of waits for pages of all runs of a design; nothing if there was no wait."""
    counted = record.counted(design)
    slept = _summed(run.waits.sleep_hist for run in counted)
    beside = _summed(run.seen.beside_free_hist for run in counted)
    if any(slept) or any(beside):
        yield "   up to, ms   waits for pages   spells of waiting beside free pages"
        used = [bucket for bucket, counts in enumerate(zip(slept, beside, strict=True)) if any(counts)]
        for bucket in range(min(used), max(used) + 1):
            yield f"{(1 << bucket) / 1e6:13.3f} {slept[bucket]:17,d} {beside[bucket]:37,d}"


def _summed(histograms: Iterable[Sequence[int]]) -> list[int]:
    return [sum(column) for column in zip(*histograms, strict=True)]


def _cell(spread: Spread | None, layout: str) -> str:
    if spread is None:
        return "-"
    median, low, high = (layout.format(value) for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} [{low}-{high}]"


def _where(host: Host) -> str:
    return f"{host.interpreter}; {len(host.affinity)} of {host.cpus} processors, {host.kernel}; {host.date[:10]}."
