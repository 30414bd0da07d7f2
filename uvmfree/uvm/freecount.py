"""A count of free pages that CPUs keep together, where it is in no list's length: each adds its part now and then.

A CPU adds what it freed and took only once that is more than `threshold` pages: so it seldom stores to the count's
cache line, which stays with who reads it. The count is off by at most `threshold` for each CPU, either way. Who finds
it near what matters adds up what is there.

Source: mod_zone_page_state and calculate_normal_threshold in mm/vmstat.c, percpu_drift_mark in mm/page_alloc.c of
Linux. There the parts are also added every second, so that no idle CPU keeps one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from uvmfree.machine.face import Machine
from uvmfree.param import Param
from uvmfree.uvm.trees import Tally

THRESHOLD_MAX: Final = 125
CHUNK_SHIFT: Final = 27
"""128 MB of RAM: a system with more of them has a larger threshold."""


class FreeCount:
    """The count, and how far it may be off; `pages` is a plain look, as set() is a store: with everything stopped."""

    def __init__(self, machine: Machine, param: Param) -> None:
        self.words = machine.counters(("free",))
        chunks = param.npages * param.pagesize >> CHUNK_SHIFT
        self.threshold = min(THRESHOLD_MAX, 2 * param.ncpus.bit_length() * (1 + chunks.bit_length()))
        self.drift = param.ncpus * self.threshold

    @property
    def pages(self) -> int:
        """What was counted."""
        return self.words.view()[0]

    def set(self, pages: int) -> None:
        """Count so many."""
        self.words.view()[0] = pages

    def empty(self, tallies: Iterable[Tally]) -> None:
        """Count nothing, here and in the CPUs' tallies; with everything stopped."""
        self.set(0)
        for tally in tallies:
            tally.uncounted = 0

    def check(self, tallies: Iterable[Tally], free: int) -> Iterator[str]:
        """Say if the count and what CPUs have not added yet are not what is free."""
        uncounted = sum(tally.uncounted for tally in tallies)
        if self.pages + uncounted != free:
            yield f"{self.pages} pages are counted as free and {uncounted} are to be added, but {free} are free"


class PartCount:
    """One CPU's part, in its tally; with its guard held."""

    __slots__ = ("_drift", "_free", "_tally", "_threshold", "_words")

    def __init__(self, count: FreeCount, tally: Tally) -> None:
        self._words, self._free, self._tally = count.words.unlocked(), count.words.adder("free"), tally
        self._threshold, self._drift = count.threshold, count.drift

    def add(self, pages: int) -> None:
        """Count pages that were freed, or taken, if they are negative."""
        tally = self._tally
        tally.uncounted = uncounted = tally.uncounted + pages
        if not -self._threshold <= uncounted <= self._threshold:
            self._free.add(uncounted)
            tally.uncounted = 0
            tally.adds += 1

    def near(self, mark: int, exactly: Callable[[], int]) -> int:
        """Return how many pages are free: about, unless they might be fewer than `mark`; then `exactly()`."""
        free = self._words[0]
        return free if free >= mark + self._drift else exactly()
