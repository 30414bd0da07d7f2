"""The comparison: one table of figures, a column for each design, what was run where, and how to read it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from uvmfree.measure.observer import interval_s
from uvmfree.measure.record import THREAD_TIMES, Record, Spread
from uvmfree.measure.tally import WARM_PAGES
from uvmfree.report.page.settings import changed
from uvmfree.report.text import Cell, Row, per_op
from uvmfree.report.text import table as text_table
from uvmfree.uvm.designs import settings_of
from uvmfree.workload.plural import plural

PER_OP: Final = ""
"""The format of rates for each operation: text.py, per_op()."""

ROWS: Final = (
    ("page operations asked for", "page_operations", "{:,.0f}"),
    ("page operations done", "page_operations_done", "{:,.0f}"),
    ("requests of order > 0", "runs_asked", "{:,.0f}"),
    ("... met", "runs_met", "{:,.0f}"),
    ("... failed", "runs_failed", "{:,.0f}"),
    ("... pages of those met", "runs_pages", "{:,.0f}"),
    ("one-page allocations failed", "failed_allocs", "{:,.0f}"),
    ("faults per second", "faults_per_s", "{:,.0f}"),
    ("pages read back from swap", "pageins", "{:,.0f}"),
    ("pages written to swap", "pageouts", "{:,.0f}"),
    ("local hit %", "local_hit_percent", "{:.2f}"),
    ("shared lock taken per op", "shared_locks_per_op", PER_OP),
    ("... items in a hold, median", "held_items_p50", "{:,.0f}"),
    ("... items in a hold, 99 %", "held_items_p99", "{:,.0f}"),
    ("... items in a hold, most", "held_items_max", "{:,.0f}"),
    ("... pages moved singly, most", "held_pages_max", "{:,.0f}"),
    ("atomic updates per op", "atomics_per_op", PER_OP),
    ("pages on or off the list per op", "moved_per_op", PER_OP),
    ("wait share %", "wait_share_percent", "{:.2f}"),
    ("contended %", "contended_percent", "{:.3f}"),
    ("longest wait, us", "longest_wait_us", "{:,.0f}"),
    ("kernel threads waited, ms", "kernel_wait_ms", "{:,.2f}"),
    ("pages parked in caches, peak", "parked_pages_max", "{:,.0f}"),
    ("... mean", "parked_pages_mean", "{:,.0f}"),
    ("pages parked out of reach, peak", "stranded_pages_max", "{:,.0f}"),
    ("... 1 s after the end", "stranded_1s_pages", "{:,.0f}"),
    ("... 5 s after the end", "stranded_5s_pages", "{:,.0f}"),
    ("... 20 s after the end", "stranded_20s_pages", "{:,.0f}"),
    ("failed beside cached pages", "failed_while_free_elsewhere", "{:,.0f}"),
    ("warm pages %", "warm_percent", "{:.2f}"),
    ("pages until reuse, median", "reuse_pages_median", "{:,.0f}"),
    ("colour right %", "color_right_percent", "{:.2f}"),
    ("512-page blocks free at the end", "free_512_blocks", "{:,.0f}"),
    ("... with none of it cached", "store_512_blocks", "{:,.0f}"),
    ("uvmexp.free off the list, peak", "lag_pages_max", "{:,.0f}"),
    ("uvmexp.free off all free, peak", "gap_pages_max", "{:,.0f}"),
    ("redistributed: by the timer", "redistributed_timer", "{:,.0f}"),
    ("redistributed: under pressure", "redistributed_pressure", "{:,.0f}"),
    ("redistributed: page not found", "redistributed_retry", "{:,.0f}"),
    ("redistributed: for order > 0", "redistributed_pglistalloc", "{:,.0f}"),
    ("redistributed: not, too soon", "redistributions_rate_limited", "{:,.0f}"),
    ("daemon wakeups", "daemon_wakeups", "{:,.0f}"),
    ("waits for pages", "waits", "{:,.0f}"),
    ("... timed out", "wait_timeouts", "{:,.0f}"),
    ("... all together, ms", "wait_total_ms", "{:,.0f}"),
    ("... longest, ms", "wait_longest_ms", "{:,.1f}"),
    ("waits beside free, longest, ms", "beside_free_longest_ms", "{:,.1f}"),
    ("false out-of-memory", "false_oom", "{:,.0f}"),
    ("wall time, ms", "wall_ms", "{:,.0f}"),
    ("wall time with lockstat, ms", "wall_lockstat_ms", "{:,.0f}"),
    ("stall, %", "stall_percent", "{:.1f}"),
)
"""The rows of the table: what the user reads, the name of the figure, its format."""

IF_ANY: Final = {
    **dict.fromkeys(("runs_asked", "runs_met", "runs_failed", "runs_pages"), "runs_asked"),
    "kernel_wait_ms": "kernel_wait_ms",
    "redistributed_timer": "redistributed_timer",
    "redistributed_pressure": "redistributed_pressure",
    "redistributed_retry": "redistributed_retry",
    "redistributed_pglistalloc": "redistributed_pglistalloc",
    "redistributions_rate_limited": "redistributions_rate_limited",
    "daemon_wakeups": "daemon_wakeups",
    **dict.fromkeys(("waits", "wait_timeouts", "wait_total_ms", "wait_longest_ms"), "waits"),
    "beside_free_longest_ms": "beside_free_longest_ms",
    "failed_while_free_elsewhere": "failed_while_free_elsewhere",
    **dict.fromkeys(("stranded_1s_pages", "stranded_5s_pages", "stranded_20s_pages"), "stranded_1s_pages"),
}
"""Rows that are left out where all designs have 0 of a figure: most workloads never run short of pages."""

IF_OTHER: Final = {
    "page_operations_done": "page_operations",
    "held_items_p99": "held_items_p50",
    "held_items_max": "held_items_p99",
    "held_pages_max": "held_items_max",
    "store_512_blocks": "free_512_blocks",
}
"""Rows that are left out where all designs have the same of another figure."""


def setting(record: Record, workload: str, beside: Record | None = None) -> Iterator[tuple[str, str]]:
    """Yield what was run, where and with what, a label and a text each; `workload` is the first of the texts.

    => `beside`: another record that it is compared with; where their tunables differ both values are told.
    """
    yield "workload", f"{workload}, {plural(record.workload.ncpus, 'CPU')}"
    yield "tunables", _tunables(record, beside or record)
    if record.machine.virtual:
        yield (
            "machine",
            f"virtual, {plural(record.workload.ncpus, 'CPU')}, {record.machine_words.removeprefix('virtual, ')}",
        )
        yield _interpreter(record)
    else:
        yield from places([record, *([beside] if beside else [])])


def _tunables(record: Record, beside: Record) -> str:
    """Return npages, and the tunables that are not at their defaults in both records; with both values if two."""
    names = dict.fromkeys(["npages", *(name for each in (record, beside) for name, _ in changed(each.param))])
    both = [settings_of(each.param) for each in (record, beside)]
    values = ((name, *(each.get(name, "its default") for each in both)) for name in names)
    told = [
        f"{name}={before}" + (f" before, {after} after" if before != after else "") for name, before, after in values
    ]
    return ", ".join(told if len(told) > 1 else [*told, "others at their defaults"])


def setting_of_sweep(
    records: Sequence[Record], settings: Sequence[tuple[str, Sequence[str]]]
) -> Iterator[tuple[str, str]]:
    """Yield what a sweep ran, where and with what, a label and a text each; `settings`: the values of tunables."""
    counts: dict[str, dict[int, None]] = {}
    for record in records:
        counts.setdefault(record.workload.name, {})[record.workload.ncpus] = None
    for name, ncpus in counts.items():
        *most, last = ncpus
        yield "workload", f"{name}, {''.join(f'{count}, ' for count in most)}{plural(last, 'CPU')}"
    npages = {"npages": tuple(dict.fromkeys(str(record.param.npages) for record in records))}
    given = (f"{name}={' or '.join(values)}" for name, values in (npages | dict(settings)).items())
    yield "tunables", f"{', '.join(given)}, others at their defaults"
    yield from places(records)


def places(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """Yield where records are from, a label and a text each: a machine and an interpreter, each once."""
    machines = (
        ("machine", record.machine.words)
        if record.machine.virtual
        else (
            "machine",
            f"real threads on {len(record.host.affinity)} of {plural(record.host.cpus, 'processor')}; "
            f"{record.host.kernel}",
        )
        for record in records
    )
    yield from dict.fromkeys(machines)
    yield from dict.fromkeys(map(_interpreter, records))


def _interpreter(record: Record) -> tuple[str, str]:
    return "interpreter", f"{record.host.interpreter}; {record.host.date[:10]}"


def table(record: Record, width: int) -> Iterator[str]:
    """Yield the lines of the table of a benchmark: medians, and min-max where repetitions differ.

    => What cannot be measured on this interpreter is left out (report/verdict.py, limits).
    """
    summaries = [record.summary(design) for design in record.designs]
    labels = {} if record.workload.timed else {"page_operations": "page operations done"}
    if record.machine.virtual:
        labels["wall_ms"] = "virtual time, ms"
    rows = [
        Row(labels.get(name, label), [_cell(summary.get(name), layout) for summary in summaries])
        for label, name, layout in ROWS
        if _shown(record, name, summaries)
    ]
    return text_table(record.designs, rows, width)


def _shown(record: Record, name: str, summaries: Sequence[dict[str, Spread]]) -> bool:
    """Whether a figure says anything here."""
    found = [summary for summary in summaries if name in summary]
    if not found or (name in THREAD_TIMES and not record.threads_run_at_once):
        return False
    if name in IF_OTHER:
        return any(summary[name] != summary[IF_OTHER[name]] for summary in found)
    return name not in IF_ANY or any(summary[IF_ANY[name]].high for summary in found)


def notes(record: Record) -> Iterator[str]:
    """Yield what has to be said with the table, a sentence or two each."""
    facts = record.workload
    counts = {design: len(record.counted(design)) for design in record.designs}
    if len(set(counts.values())) == 1:
        done = plural(max(counts.values()), "repetition")
    else:
        done = ", ".join(f"{plural(count, 'repetition')} of {design}" for design, count in counts.items())
    yield f"Medians [min-max] of {done}." if max(counts.values(), default=0) > 1 else f"From {done}."
    if facts.linux_moved_per_op is not None:
        yield f"On the same work Linux itself moved {facts.linux_moved_per_op:.4f} blocks of pages per op."
    if facts.skipped:
        yield f"Skipped {facts.skipped}."
    if facts.lost_events:
        lost = plural(facts.lost_events, "event")
        yield f"Recording the trace lost {lost}: it lacks allocations and frees."
    if any(run.tally is not None for run in record.runs) and not record.machine.virtual:
        yield (
            "Items in a hold, pages in caches, warm pages, colours and blocks are of one more run of each design, in "
            "virtual time, and counted at each operation. A page is warm if the CPU that gets it freed it, and has "
            f"handed out at most {WARM_PAGES} since."
        )
    each = "asked for" if facts.timed else "done"
    if record.machine.virtual:
        every_ms = 1e3 * interval_s(gil=False, virtual=True)
        yield (
            f"An op is a page operation {each}: a page to allocate or to free. Times are virtual. Peaks were sampled "
            f"every {every_ms:g} ms; neither that nor lockstat takes any time. Wait share is of the time that CPUs "
            "were not stalled: waiting for the trace, a partner or pages."
        )
        return
    yield (
        f"An op is a page operation {each}: a page to allocate or to free. Peaks were sampled every "
        f"{1e3 * interval_s(gil=record.host.gil):g} ms, with lockstat on, as was all else"
        + (" but the wall time. " if facts.timed and record.threads_run_at_once else ". ")
        + (
            "Wait share is of the time that threads were not stalled: waiting for the trace, a partner or pages."
            if record.threads_run_at_once
            else ""
        )
    ).rstrip()


def sleeps(record: Record, design: str) -> Iterator[str]:
    """Yield the histograms of waits for pages of all runs of a design; nothing if there was no wait to measure."""
    if not record.threads_run_at_once:
        return
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


def _cell(spread: Spread | None, layout: str) -> Cell:
    if spread is None:
        return Cell("-")
    values = spread.median, spread.low, spread.high
    median, low, high = per_op(*values) if layout == PER_OP else (layout.format(value) for value in values)
    return Cell(median, "" if low == high else f"[{low}-{high}]")
