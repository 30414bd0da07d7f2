"""What a benchmark says in at most three sentences, and what it cannot say where it was measured.

=> Made from the figures, medians over the repetitions; the table has them all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from uvmfree.measure.record import Record, Spread
from uvmfree.report.text import LEAST, per_op
from uvmfree.workload.plural import plural

Summaries = Sequence[tuple[str, Mapping[str, Spread]]]
"""The figures of each design that has been measured, by the design's name."""

_EACH: Final = 3
"""So many designs have a sentence each; of more the extremes are told."""

_UNREACHED: Final = "out of some CPU's reach"


def verdict(record: Record) -> Iterator[str]:
    """Yield the sentences: how often the shared lock is taken, what waiting cost, what is parked or failed.

    => Waiting is left out where it cannot be measured; limits() says so.
    """
    measured = [(design, record.summary(design)) for design in record.designs if record.counted(design)]
    if not measured:
        yield "No run was completed, so there is nothing to tell."
        return
    first = measured[0]
    yield f"{'; '.join(_told(record, *first, first))}."
    if len(measured) > _EACH:
        yield from _extremes(record, measured[1:])
        return
    for design, summary in measured[1:]:
        yield f"{'; '.join(_told(record, design, summary, first))}."


def limits(record: Record) -> Iterator[str]:
    """Yield what cannot be measured here, or not as it should be, or was not measured to the end, and why."""
    facts, processors = record.workload, record.processors
    if record.interrupted and record.runs:
        yield f"Interrupted after {plural(len(record.runs), 'run')}: this is what was measured until then."
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


def _told(
    record: Record, design: str, summary: Mapping[str, Spread], first: tuple[str, Mapping[str, Spread]]
) -> Iterator[str]:
    """Yield the parts of a design's sentence: the lock, waits, pages that are out of reach, requests that failed."""
    rate = _rate(summary)
    if design == first[0]:
        yield f"{design} takes the shared lock {_often(rate)} times per page operation"
    else:
        yield f"{design} takes it {_often(rate)} times{_factor(_rate(first[1]), rate)}"
    if record.threads_run_at_once:
        yield f"{_who(record)} wait for page locks {_waiting(summary):.1f} % of the time"
    if _unreached(summary):
        are = "is" if round(_unreached(summary)) == 1 else "are"
        yield f"up to {_pages(_unreached(summary), record)} {are} {_UNREACHED}"
    if "runs_failed" in summary and summary["runs_failed"].high:
        failed, asked = (summary[figure].median for figure in ("runs_failed", "runs_asked"))
        yield f"{failed:,.0f} of {asked:,.0f} requests of order > 0 fail"


def _extremes(record: Record, others: Summaries) -> Iterator[str]:
    """Yield what is told of many: least and most of the same figures."""
    taken = _range(others, _rate, _often)
    text = f"The other {len(others)} take it {taken} times"
    if record.threads_run_at_once:
        waiting = _range(others, _waiting, lambda share: f"{share:.1f}")
        text += f"; {_who(record)} wait {waiting} % of the time"
    yield f"{text}."
    reach = _range(others, _unreached, lambda pages: f"{pages:,.0f}")
    share = 100 * max(_unreached(summary) for _, summary in others) / record.param.npages
    failing = [
        f"{design} {summary['runs_failed'].median:,.0f}"
        for design, summary in others
        if "runs_failed" in summary and summary["runs_failed"].high
    ]
    failed = f"; requests of order > 0 fail: {', '.join(failing)}" if failing else ""
    yield f"At the peak {reach} free pages are {_UNREACHED}, at most {share:.0f} % of RAM{failed}."


def _range(others: Summaries, figure: Callable[[Mapping[str, Spread]], float], shown: Callable[[float], str]) -> str:
    """Say the least and the most of a figure, and the designs that have them."""
    ranked = sorted(((figure(summary), design) for design, summary in others), key=lambda pair: pair[0])
    (low, least), (high, most) = ranked[0], ranked[-1]
    return f"{shown(low)} ({least}) to {shown(high)} ({most})" if shown(low) != shown(high) else shown(low)


def _rate(summary: Mapping[str, Spread]) -> float:
    return summary["shared_locks_per_op"].median


def _waiting(summary: Mapping[str, Spread]) -> float:
    return summary["wait_share_percent"].median


def _unreached(summary: Mapping[str, Spread]) -> float:
    return round(summary["stranded_pages_max"].median)


def _who(record: Record) -> str:
    return "CPUs" if record.machine.virtual else "threads"


def _factor(before: float, after: float) -> str:
    """Say how much less often, or more; there is no factor of nothing."""
    if min(before, after) < LEAST or before == after:
        return ""
    times = max(before, after) / min(before, after)
    return f", a factor of {times:,.{0 if times >= 10 else 1}f} {'less' if after < before else 'more'}"


def _often(rate: float) -> str:
    (said,) = per_op(rate)
    return said if rate >= LEAST or not rate else f"less than {2 * LEAST:.6f}"


def _pages(pages: float, record: Record) -> str:
    share = round(100 * pages / record.param.npages)
    return plural(round(pages), "free page") + (f" ({share} % of RAM)" if share else "")
