"""The comparison: one table of figures, a column for each design, and what to make of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uvmfree.measure.bench import Bench, Spread
from uvmfree.measure.host import Host

if TYPE_CHECKING:
    from rich.table import Table

ROWS: Final = (
    ("page operations", "page_operations", "{:,.0f}"),
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
    ("wall time, ms", "wall_ms", "{:,.0f}"),
    ("wall time with lockstat, ms", "wall_lockstat_ms", "{:,.0f}"),
    ("stall for the order of the trace or for a partner, %", "stall_percent", "{:.1f}"),
)
"""The rows of the table: what the user reads, the name of the figure, its format."""


def table(bench: Bench) -> "Table":
    """Draw the table of a benchmark: medians, and min-max where repetitions differ."""
    from rich import box
    from rich.table import Table

    linux = bench.workload.linux_moved_per_op
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("")
    for design in bench.designs:
        drawn.add_column(design, justify="right")
    if linux is not None:
        drawn.add_column("Linux itself", justify="right")
    summaries = [bench.summary(design) for design in bench.designs]
    for label, name, layout in ROWS:
        cells = [_cell(summary.get(name), layout) for summary in summaries]
        if linux is not None:
            cells.append(layout.format(linux) if name == "moved_per_op" else "")
        drawn.add_row(label, *cells)
    return drawn


def notes(bench: Bench) -> Iterator[str]:
    """Yield what has to be said with the table, a sentence or two each."""
    timed = min((len(bench.timed(design)) for design in bench.designs), default=0)
    yield f"Medians [min-max] of {timed} repetitions, designs interleaved. {_where(bench.host)}"
    if bench.workload.skipped:
        yield f"Of the trace, {bench.workload.skipped} were skipped."
    yield (
        "Wait share is the time that threads waited for page locks, of the time they were not stalled. Gaps and "
        "stranded pages are peaks over samples 2 ms apart. All but the wall time was measured with lockstat on."
    )
    if bench.host.gil:
        yield (
            "The GIL is on: one thread runs at a time. Wall time then tells what the operations cost, locks and all, "
            "and nothing about scaling; waits show up only where a thread was switched out with a lock held. The "
            "counts per page operation hold as they are. For threads that run at once, use a free-threaded Python "
            "(see README)."
        )
    elif bench.workload.ncpus > len(bench.host.affinity):
        yield (
            f"{bench.workload.ncpus} threads shared {len(bench.host.affinity)} processors: waits include being "
            f"switched out with a lock held."
        )


def _cell(spread: Spread | None, layout: str) -> str:
    if spread is None:
        return "-"
    median, low, high = (layout.format(value) for value in (spread.median, spread.low, spread.high))
    return median if low == high else f"{median} [{low}-{high}]"


def _where(host: Host) -> str:
    return f"{host.interpreter}; {len(host.affinity)} of {host.cpus} processors, {host.kernel}; {host.date[:10]}."
