"""Lock statistics in the layout of NetBSD's lockstat(8).

=> As there, an event is an acquisition that had to wait: `Count` is how many, `Time/ms` how long in all, `Total%` the
   share of all time waited. For each lock first all callers, then each of them, the longest waited first. Locks that
   nobody waited for are left out, as are such callers.
=> All stands under "Spin mutex spin", which is what uvm_fpageqlock is there; waiting threads sleep here.
"""

from collections.abc import Iterable, Iterator

from uvmfree.kern.lockstat import LockStat, summed

_HEAD = (
    "",
    "-- Spin mutex spin",
    "",
    "Total%  Count   Time/ms          Lock                       Caller",
    "------ ------- --------- ---------------------- ------------------------------",
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
    for lock in sorted(summed(waited, by_caller=False), key=_longest_first):
        callers = [record for record in waited if record.name == lock.name and record.caller != lock.caller]
        for record in (lock, *sorted(callers, key=_longest_first)):
            share = 100 * record.wait_ns_total / total_ns if total_ns else 0.0
            time_ms = record.wait_ns_total / 1e6
            yield f"{share:6.2f} {record.contended:7d} {time_ms:9.2f} {record.name:<22s} {record.caller}"


def _longest_first(record: LockStat) -> tuple[int, str, str]:
    return -record.wait_ns_total, record.name, record.caller
