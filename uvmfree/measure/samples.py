"""Counters over time: looks that an observer takes while a system runs, kept as rows.

=> uvmexp.free, zeropages and paging are read from the counter page, as another process would. The caches have no
   words there, since a local hit touches nothing that another reads (P4): the observer reads the lengths of their
   lists. A word for each CPU's cache would cost every local hit a store (bench/observer_cost.py prints how much).
=> uvmexp.free and the global list are read at one moment, under uvm_fpageqlock; the caches before and after it, and
   all of it again if more than MOVED_PAGES moved in between. So a look's truth is right to within those pages.
=> Bounded: when there are ROWS_MAX rows every second one is dropped, and from then on half as many are taken.
"""

from dataclasses import dataclass
from typing import Final

from uvmfree.uvm.system import Uvm

ROWS_MAX: Final = 1000
"""Rows kept: as many as a plot has columns of pixels, so that a long run costs a record no more than a short one."""

MOVED_PAGES: Final = 64
"""Pages that may move in and out of caches during a look: what a few microseconds of all CPUs may do, and one that
lost its processor half way may not."""

TRIES: Final = 4
"""Looks that are taken for one, at most: a system may always be too busy."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there was to see at one moment, as good as that can be had without stopping the CPUs.

    => `now_ns`: the machine's clock. `free`, `zeropages`, `paging`: words of the counter page. `lag`: by how many
       pages `free` was ahead of the global list. `cached[i]`: pages in the cache of CPU i.
    """

    now_ns: int
    free: int
    zeropages: int
    paging: int
    waiters: int
    lag: int
    cached: tuple[int, ...]


def look(uvm: Uvm) -> Look:
    """Look at a running system, again and again if it moves too fast."""
    after = uvm.cached_pages()
    for _ in range(TRIES):
        before = after
        free, listed = uvm.free_and_listed()
        now_ns, after = uvm.machine.clock_ns(), uvm.cached_pages()
        if sum(abs(new - old) for new, old in zip(after, before, strict=True)) <= MOVED_PAGES:
            break
    return Look(now_ns, free, uvm.uvmexp.zeropages, uvm.uvmexp.paging, uvm.pageout.waiters, free - listed, after)


@dataclass(frozen=True, slots=True)
class Samples:
    """Columns of samples, one entry in each for every row; the fields of a Look.

    => `t_ns`: since `began_ns`, on the clock that events are on.
    => free - lag + sum(cached) is the truth: all free pages.
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

    def add(self, seen: Look) -> None:
        """Keep a look, if it is its turn."""
        number, self._looks = self._looks, self._looks + 1
        if number % self._every:
            return
        t_ns = seen.now_ns - self._began_ns
        self._rows.append((t_ns, seen.free, seen.zeropages, seen.paging, seen.waiters, seen.lag, *seen.cached))
        if len(self._rows) >= ROWS_MAX:
            self._rows = self._rows[::2]
            self._every *= 2

    def samples(self) -> Samples:
        """Return the rows as columns."""
        t_ns, free, zeropages, paging, waiters, lag, *cached = (
            zip(*self._rows, strict=True) if self._rows else [()] * (6 + self._ncpus)
        )
        return Samples(self._began_ns, t_ns, free, zeropages, paging, waiters, lag, tuple(cached))
