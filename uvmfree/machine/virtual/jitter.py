"""Seeded jitter: the spread of the work that a CPU does on its own.

With exact times CPUs that do the same come to lock in phase, and the share of contended acquisitions is wrong by a
factor of 8. So a cost of a CPU's own work varies, evenly, by `jitter_percent` to either side.

=> A stream of costs depends on the seed and on its key, not on who else draws, nor on the order of hashes.
=> Over a period of PERIOD the mean is the cost, to half a nanosecond.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

PERIOD: Final = 509
"""Costs until a stream repeats: a prime, so that each stride through the one table of a seed is another order."""


@lru_cache(maxsize=64)
def _shuffled(seed: int) -> tuple[float, ...]:
    spread = [(2 * step / (PERIOD - 1)) - 1 for step in range(PERIOD)]
    random.Random(seed).shuffle(spread)
    return tuple(spread)


class Jitter:
    """The streams of one machine."""

    def __init__(self, seed: int, percent: int) -> None:
        self._seed, self._share = seed, percent / 100

    def costs(self, ns: int, key: str, exact_ns: int = 0) -> Callable[[], int]:
        """Return a function that gives the next cost of a stream around `ns`, and `exact_ns` on top."""
        if not ns or not self._share:
            return itertools.repeat(ns + exact_ns).__next__
        parts = self._parts(key)
        return itertools.cycle([exact_ns + round(ns * (1 + self._share * part)) for part in parts]).__next__

    def factors(self, key: str) -> Callable[[], float]:
        """Return a function that gives the next factor of a stream around 1."""
        return itertools.cycle([1 + self._share * part for part in self._parts(key)]).__next__

    def _parts(self, key: str) -> list[float]:
        table = _shuffled(self._seed)
        drawn = zlib.crc32(f"{self._seed}/{key}".encode())
        start, stride = drawn % PERIOD, 1 + drawn // PERIOD % (PERIOD - 1)
        return [table[(start + stride * step) % PERIOD] for step in range(PERIOD)]
