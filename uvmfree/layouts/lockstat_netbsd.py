"""Lock statistics in the layout of NetBSD's lockstat(8), and in its manner where waits cannot be measured.

=> As there, an event is an acquisition that had to wait: `Count` is how many, `Time/ms` how long in all, `Total%` the
   share of all time waited. For each lock first all callers, then each of them, the longest waited first. Locks that
   nobody waited for are left out, as are such callers.
=> Where waits cannot be measured `Count` is all acquisitions, the most frequent first.
=> All stands under "Spin mutex spin", which is what uvm_fpageqlock is there; waiting threads sleep here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from uvmfree.kern.lockstat import LockStat, summed

_HEAD = (
    "",
    "-- Spin mutex spin",
    "",
    "Total%  Count   Time/ms          Lock                       Caller",
    "------ ------- --------- ---------------------- ------------------------------",
)

_HEAD_OF_COUNTS = (
    "Acquisitions; with the GIL, waits are not measurable.",
    "",
    "  Count          Lock                       Caller",
    "--------- ---------------------- ------------------------------",
)


def netbsd(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the lines of a lockstat(8) report; records with the caller `<all>` are the sum of a lock already."""
    waited = [record for record in records if record.contended]
    total_ns = sum(record.wait_ns_total for record in waited)
    yield f"Elapsed time: {elapsed_s:.2f} seconds."
    if not waited:
        yield "None of the selected events were recorded."
        return
    yield from _HEAD
    for record in _by_lock(waited, _longest_first):
        share = 100 * record.wait_ns_total / total_ns if total_ns else 0.0
        time_ms = record.wait_ns_total / 1e6
        yield f"{share:6.2f} {record.contended:7d} {time_ms:9.2f} {record.name:<22s} {record.caller}"


def counts(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the lines of a report without waits, in the same way; `elapsed_s` is not shown."""
    yield from _HEAD_OF_COUNTS
    for record in _by_lock([record for record in records if record.acquired], _most_first):
        yield f"{record.acquired:9d} {record.name:<22s} {record.caller}"


def _by_lock(records: Sequence[LockStat], order: Callable[[LockStat], tuple[int, str, str]]) -> Iterator[LockStat]:
    """Yield each lock's sum, then the records of its callers."""
    for lock in sorted(summed(records, by_caller=False), key=order):
        yield lock
        callers = [record for record in records if record.name == lock.name and record.caller != lock.caller]
        yield from sorted(callers, key=order)


def _longest_first(record: LockStat) -> tuple[int, str, str]:
    return -record.wait_ns_total, record.name, record.caller


def _most_first(record: LockStat) -> tuple[int, str, str]:
    return -record.acquired, record.name, record.caller
