"""Counters over time: rows that an observer takes while a system runs.

=> uvmexp.free, zeropages and paging are read from the counter page, as another process would. The caches have no
   words there: a local hit touches nothing shared (P4), so that the observer reads the lengths of their lists.
=> Bounded: when there are ROWS_MAX rows every second one is dropped, and from then on half as many are taken.
"""

from dataclasses import dataclass
from typing import Final

from uvmfree.uvm.system import Uvm

ROWS_MAX: Final = 1000
"""Rows kept: as many as a plot has columns of pixels, so that a long run costs a record no more than a short one."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of samples, one entry in each for every row.

    => `t_ns`: since `began_ns`, on the clock that events are on. `free`, `zeropages`, `paging`: the unlocked reading.
    => `lag`: by how many pages `free` was ahead of the global list, counted under uvm_fpageqlock.
    => `cached[i]`: pages in the cache of CPU i. So free - lag + sum(cached) is the truth: all free pages.
    """

    began_ns: int
    t_ns: tuple[int, ...]
    free: tuple[int, ...]
    zeropages: tuple[int, ...]
    paging: tuple[int, ...]
    waiters: tuple[int, ...]
    lag: tuple[int, ...]
    cached: tuple[tuple[int, ...], ...]


class Sampler:
    """Collects rows; belongs to the observer's thread until that has ended."""

    def __init__(self, began_ns: int, ncpus: int) -> None:
        self._began_ns = began_ns
        self._ncpus = ncpus
        self._every = 1  # of so many looks one is kept
        self._looks = 0
        self._rows: list[tuple[int, ...]] = []

    def add(self, uvm: Uvm, cached: tuple[int, ...], lag: int) -> None:
        """Look at the counters of a system; the caches and the lag were read a moment ago."""
        look, self._looks = self._looks, self._looks + 1
        if look % self._every:
            return
        exp, now_ns = uvm.uvmexp, uvm.machine.clock_ns() - self._began_ns
        self._rows.append((now_ns, exp.free, exp.zeropages, exp.paging, uvm.pageout.waiters, lag, *cached))
        if len(self._rows) >= ROWS_MAX:
            self._rows = self._rows[::2]
            self._every *= 2

    def samples(self) -> Samples:
        """Return the rows as columns."""
        t_ns, free, zeropages, paging, waiters, lag, *cached = (
            zip(*self._rows, strict=True) if self._rows else [()] * (6 + self._ncpus)
        )
        return Samples(self._began_ns, t_ns, free, zeropages, paging, waiters, lag, tuple(cached))
