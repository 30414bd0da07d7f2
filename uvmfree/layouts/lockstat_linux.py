"""Lock statistics in the layout of Linux's /proc/lock_stat, version 0.4.

What the columns are here; times in microseconds, as there:

    con-bounces, acq-bounces   contentions and acquisitions that found the lock last taken by another CPU: printed as
                               `-`, not measured, since to note who took a lock last would be a shared write each time
    contentions                acquisitions that had to wait
    waittime-min -max -total   of those
    waittime-avg               waittime-total / contentions
    acquisitions               all, trylocks that failed left out
    holdtime-min -max          of the holds that were timed: all where locks are traced, else of each user of a lock
                               the first and every HOLD_SAMPLE-th after it; the note says how many that were
    holdtime-total             of those that were timed, scaled up to all
    holdtime-avg               holdtime-total / acquisitions

Below a lock that was waited for stand its contention points, the functions that waited and how often; they have no
address, so that field is `-` too. Who held the lock meanwhile, Linux's second list, is not measured.

Source: kernel/locking/lockdep_proc.c, Documentation/locking/lockstat.rst.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from uvmfree.kern.lockstat import LockStat, summed

_COLUMNS = (
    "con-bounces",
    "contentions",
    "waittime-min",
    "waittime-max",
    "waittime-total",
    "waittime-avg",
    "acq-bounces",
    "acquisitions",
    "holdtime-min",
    "holdtime-max",
    "holdtime-total",
    "holdtime-avg",
)
_NAME, _COLUMN = 40, 14  # widths
_WIDTH = _NAME + 1 + len(_COLUMNS) * (_COLUMN + 1)
_NOT_MEASURED = "-"


def linux_without_waits(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the same where waits cannot be measured: they are printed as `-`; the lock taken most often first."""
    return linux((replace(record, contended=0) for record in records), elapsed_s, waits=False)


def linux(records: Iterable[LockStat], elapsed_s: float, *, waits: bool = True) -> Iterator[str]:
    """Yield the lines of /proc/lock_stat; the most contended lock first.

    => Records of all locks together (`<all>`) are listed by caller, in the place of the lock.
    => /proc/lock_stat has no place for `elapsed_s`.
    """
    taken = [record for record in records if record.acquired]
    yield "lock_stat version 0.4"
    not_measured = "bounces are" if waits else "bounces are, and with the GIL waits are,"
    yield f"*NOTE* {not_measured} not measured ({_NOT_MEASURED}); {_holds(taken)}"
    yield "-" * _WIDTH
    yield " ".join([f"{'class name':>{_NAME}}", *(f"{column:>{_COLUMN}}" for column in _COLUMNS)])
    yield "-" * _WIDTH
    yield ""
    together = all(record.name == "<all>" for record in taken)
    for lock in sorted(taken if together else summed(taken, by_caller=False), key=_most_contended_first):
        name = lock.caller if together else lock.name
        yield _line(name, lock, waits)
        points = [record for record in taken if record.name == lock.name and record.caller != "<all>"]
        if lock.contended and points and not together:
            yield " " * (_NAME - len(name)) + "-" * len(name)
            for point in sorted(points, key=_most_contended_first):
                if point.contended:
                    yield f"{name:>{_NAME}} {point.contended:>{_COLUMN}} {_NOT_MEASURED:>29} {point.caller}"
            yield ""
            yield "." * _WIDTH
            yield ""


def _holds(taken: Sequence[LockStat]) -> str:
    """Say of how many acquisitions the hold was timed: as the records have it, however they were made."""
    acquired, timed = sum(record.acquired for record in taken), sum(record.hold_samples for record in taken)
    if timed >= acquired:
        return "every hold was timed"
    return f"hold times are those of {timed} of {acquired} acquisitions, their total is scaled up"


def _line(name: str, lock: LockStat, waits: bool) -> str:
    wait = [lock.wait_ns_min, lock.wait_ns_max, lock.wait_ns_total, lock.wait_ns_total // max(1, lock.contended)]
    hold = [lock.hold_ns_min, lock.hold_ns_max, lock.hold_ns_total, lock.hold_ns_total // max(1, lock.acquired)]
    cells = [
        _NOT_MEASURED,
        *((str(lock.contended), *map(_us, wait)) if waits else [_NOT_MEASURED] * 5),
        _NOT_MEASURED,
        str(lock.acquired),
        *map(_us, hold),
    ]
    return f"{name:>{_NAME}}:" + " ".join(f"{cell:>{_COLUMN}}" for cell in cells)


def _us(ns: int) -> str:
    """Return a time in microseconds, rounded as Linux rounds it."""
    whole, rest = divmod(ns + 5, 1000)
    return f"{whole}.{rest // 10:02}"


def _most_contended_first(record: LockStat) -> tuple[int, int, str, str]:
    return -record.contended, -record.acquired, record.name, record.caller
