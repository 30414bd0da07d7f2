"""Lock statistics in the layout of NetBSD's lockstat(8)."""

from collections.abc import Iterable, Iterator

from uvmfree.kern.lockstat import LockStat, summed

_RULE = "------ ------- --------- ---------------------- ------------------------------"


def netbsd(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the lines of a lockstat(8) report: for each lock, all callers and then each of them.

    => As there, an event is an acquisition that had to wait: Count is how many, Time/ms how long in all, Total%
       the share of all time waited. Locks that nobody waited for are left out, as are such callers.
    """
    by_caller = summed(records, by_caller=True)
    total_ns = sum(record.wait_ns_total for record in by_caller)
    yield f"Elapsed time: {elapsed_s:.2f} seconds."
    yield ""
    yield "-- Spin mutex spin"
    yield ""
    yield "Total%  Count   Time/ms          Lock                       Caller"
    yield _RULE
    for lock in sorted(summed(by_caller, by_caller=False), key=_longest_first):
        callers = [record for record in by_caller if record.name == lock.name]
        for record in (lock, *sorted(callers, key=_longest_first)):
            if record.contended:
                share = 100 * record.wait_ns_total / total_ns if total_ns else 0.0
                time_ms = record.wait_ns_total / 1e6
                yield f"{share:6.2f} {record.contended:7d} {time_ms:9.2f} {record.name:<22s} {record.caller}"
    if not total_ns:
        yield "(no lock was waited for)"


def _longest_first(record: LockStat) -> tuple[int, str]:
    return -record.wait_ns_total, record.name
