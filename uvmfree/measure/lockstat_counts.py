"""Lock statistics where waits cannot be measured: how often each lock was taken, in the manner of lockstat(8).

=> `Count` is all acquisitions. For each lock first all callers, then each of them, the most frequent first.
"""

from collections.abc import Iterable, Iterator

from uvmfree.kern.lockstat import LockStat, summed

_HEAD = (
    "Acquisitions; with the GIL, waits are not measurable.",
    "",
    "  Count          Lock                       Caller",
    "--------- ---------------------- ------------------------------",
)


def counts(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the lines; records with the caller `<all>` are the sum of a lock already. `elapsed_s` is not shown."""
    taken = [record for record in records if record.acquired]
    yield from _HEAD
    for lock in sorted(summed(taken, by_caller=False), key=_most_first):
        callers = [record for record in taken if record.name == lock.name and record.caller != lock.caller]
        for record in (lock, *sorted(callers, key=_most_first)):
            yield f"{record.acquired:9d} {record.name:<22s} {record.caller}"


def _most_first(record: LockStat) -> tuple[int, str, str]:
    return -record.acquired, record.name, record.caller
