"""The observer: a thread that looks at a running system now and then, as an administrator would.

=> Reads lengths and counters without a lock; only the lag of uvmexp.free is read under uvm_fpageqlock, which
   lockstat counts under the caller `observer` so that it can be left out of a run's figures.
=> What it reports are peaks over its samples. A peak between two samples is missed, so they are lower bounds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import HangError
from uvmfree.uvm.system import Uvm

INTERVAL_S: Final = 0.002
"""Time between samples: 500 a second, about a thousandth of the lock acquisitions of a run."""

_JOIN_S: Final = 10.0


@dataclass(slots=True)
class Seen:
    """What an observer saw; written by its thread, to be read after `watch` has ended.

    => `stranded_pages_max`: the most pages that some CPU could not reach, in the caches of the others.
    => `cached_pages_max`: the most pages in all caches together.
    => `lag_pages_max`: the largest gap between uvmexp.free and the pages on the global list, either way.
    => `gap_pages_max`: the largest gap between uvmexp.free and all free pages, cached ones included.
    """

    samples: int = 0
    stranded_pages_max: int = 0
    cached_pages_max: int = 0
    lag_pages_max: int = 0
    gap_pages_max: int = 0

    def sample(self, uvm: Uvm) -> None:
        """Look once."""
        cached = uvm.cached_pages()
        lag = uvm.counter_lag()
        self.samples += 1
        self.cached_pages_max = max(self.cached_pages_max, sum(cached))
        self.stranded_pages_max = max(self.stranded_pages_max, sum(cached) - min(cached))
        self.lag_pages_max = max(self.lag_pages_max, abs(lag))
        self.gap_pages_max = max(self.gap_pages_max, abs(sum(cached) - lag))


@contextmanager
def watch(uvm: Uvm) -> Iterator[Seen]:
    """Observe a system for the length of a `with` block, and once more at its end.

    => The record may be read after the block. HangError if the observer does not end.
    """
    seen = Seen()
    over = uvm.machine.raw_lock()
    over.acquire()

    def body() -> None:
        while not over.acquire(True, INTERVAL_S):
            seen.sample(uvm)

    task = uvm.machine.spawn("observer", body)
    try:
        yield seen
    finally:
        over.release()
        if not task.join(_JOIN_S):
            raise HangError(f"the observer did not end within {_JOIN_S:.0f} s")
    if task.error is not None:
        raise task.error
    seen.sample(uvm)
