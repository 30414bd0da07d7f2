"""Lock statistics in the layout of `perf lock contention`.

What the columns are here:

    contended                        acquisitions that had to wait
    total wait, max wait, avg wait   how long those waited, each time in the unit that suits it
    type                             `mutex`: all locks here are ones on which a waiting thread sleeps
    caller                           the function that waited, and in brackets for which lock; perf has one line for
                                     each call site, and a function that takes two locks has two

By lock only (`-l`) the last two are `address`, which locks here do not have (`-`), and `symbol`, as with perf's own
`-l`. Nothing that did not wait is listed; the longest waited first.

Source: tools/perf/builtin-lock.c of Linux.
"""

from collections.abc import Iterable, Iterator

from uvmfree.kern.lockstat import LockStat

_TYPE = "mutex"
_UNITS = ((3600e9, "h "), (60e9, "m "), (1e9, "s "), (1e6, "ms"), (1e3, "us"))


def perf(records: Iterable[LockStat], elapsed_s: float) -> Iterator[str]:
    """Yield the lines of `perf lock contention`, which has no place for `elapsed_s`."""
    waited = sorted((record for record in records if record.contended), key=_longest_first)
    by_lock = bool(waited) and all(record.caller == "<all>" for record in waited)
    tail = f"{'address':>16}   symbol" if by_lock else f"{'type':>10}   caller"
    yield f"{'contended':>10} {'total wait':>12} {'max wait':>12} {'avg wait':>12}   {tail}"
    yield ""
    for record in waited:
        times = record.wait_ns_total, record.wait_ns_max, record.wait_ns_total // record.contended
        waits = " ".join(f"{_time(ns):>12}" for ns in times)
        tail = f"{'-':>16}   {record.name} ({_TYPE})" if by_lock else f"{_TYPE:>10}   {_caller(record)}"
        yield f"{record.contended:>10} {waits}   {tail}"


def _caller(record: LockStat) -> str:
    return record.caller if record.name == "<all>" else f"{record.caller} ({record.name})"


def _time(ns: int) -> str:
    """Return a time in the largest unit that it has at least one of."""
    for unit_ns, unit in _UNITS:
        if ns >= unit_ns:
            return f"{ns / unit_ns:.2f} {unit}"
    return f"{ns} ns"


def _longest_first(record: LockStat) -> tuple[int, str, str]:
    return -record.wait_ns_total, record.name, record.caller
