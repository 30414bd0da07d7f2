"""What a benchmark says in at most three sentences, and what it cannot say where it was measured.

=> Made from the figures, medians over the repetitions; the table has them all.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from uvmfree.measure.record import Record, Spread
from uvmfree.workload.plural import plural

Summaries = Sequence[tuple[str, dict[str, Spread]]]
"""The figures of each design that has been measured, by the design's name."""

_LEAST: Final = 0.00005
"""The least rate of locks that is printed as more than 0.0000."""


def verdict(record: Record) -> Iterator[str]:
    """Yield the sentences: how often the shared lock is taken, what waiting cost, what is parked or failed."""
    measured = [(design, summary) for design in record.designs if (summary := record.summary(design))]
    if not measured:
        yield "No run was completed, so there is nothing to tell."
        return
    yield _shared_lock(measured)
    if not record.threads_run_at_once:
        yield "What waiting for locks costs cannot be measured here: with the GIL, threads take turns."
    else:
        first, *others = [(design, summary["wait_share_percent"].median) for design, summary in measured]
        more = "".join(f", {share:.1f} % with {design}" for design, share in others)
        who, time = ("CPUs", "virtual time") if record.machine.virtual else ("Threads", "time")
        yield f"{who} waited for page locks for {first[1]:.1f} % of their {time} with {first[0]}{more}."
    yield _parked(measured, record.param.npages)


def limits(record: Record) -> Iterator[str]:
    """Yield what cannot be measured here, or not as it should be, and why."""
    facts, processors = record.workload, record.processors
    if record.machine.virtual:
        yield (
            f"Times are virtual: they follow from a table of costs (`uvmfree costs {record.machine.costs}` has its "
            "sources), not from a clock. They tell how the designs compare if the costs are right."
        )
    elif not record.threads_run_at_once:
        yield (
            "Not measurable with the GIL, which lets one thread run at a time: wait share, contended %, longest "
            "wait, waits for pages, stall, wall time and whatever compares speeds. Counts are valid. The record "
            "keeps these figures, marked. A free-threaded interpreter measures them (README)."
        )
    elif facts.ncpus > processors:
        yield (
            f"{plural(facts.ncpus, 'CPU')} shared {plural(processors, 'processor')}: waits include the time that "
            "whoever held the lock was switched out, and wall times do not tell how the designs scale."
        )
    if facts.note:
        yield facts.note


def _shared_lock(measured: Summaries) -> str:
    (name, first), *others = [(design, summary["shared_locks_per_op"].median) for design, summary in measured]
    more = "".join(f", {design} {rate:.4f} times" for design, rate in others)
    factor = ""
    rates = [first, *(rate for _, rate in others)]
    if others and min(rates) >= _LEAST:
        times = max(rates) / min(rates)
        factor = f": a factor of {times:,.{0 if times >= 10 else 1}f}"
    return f"{name} takes the shared lock {first:.4f} times per page operation{more}{factor}."


def _parked(measured: Summaries, npages: int) -> str:
    (name, first), *others = [(design, _pages(summary, npages)) for design, summary in measured]
    more = "".join(f", {design} {pages}" for design, pages in others)
    text = f"At the peak {name} had {first} free pages in caches that some CPU could not reach{more}"
    if any(summary["runs_failed"].high for _, summary in measured if "runs_failed" in summary):
        failed = ", ".join(f"{design} failed {_failed(summary)}" for design, summary in measured)
        text += f"; of the requests of order > 0, {failed}"
    return f"{text}."


def _pages(summary: dict[str, Spread], npages: int) -> str:
    parked = round(summary["stranded_pages_max"].median)
    return f"{parked:,}" + (f" ({100 * parked / npages:.0f} % of RAM)" if parked else "")


def _failed(summary: dict[str, Spread]) -> str:
    return f"{summary['runs_failed'].median:,.0f} of {summary['runs_asked'].median:,.0f}"
