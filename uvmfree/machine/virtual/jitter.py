"""Seeded jitter: the spread of the work that a CPU does on its own.

With exact times CPUs that do the same come to lock in phase, and the share of contended acquisitions is wrong by a
factor of 8. So a cost of a CPU's own work varies, evenly, by `jitter_percent` to either side.

=> A stream of costs depends on the seed, on its key (lock and caller) and on the CPU that draws: not on who else
   draws, how many handles a lock has, or the order of hashes. So runs of two versions can be compared.
=> Over a period of PERIOD the mean is the cost, to half a nanosecond.
"""

from __future__ import annotations

import itertools
import random
import zlib
from collections import defaultdict
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

T = TypeVar("T")

PERIOD: Final = 509
"""Costs until a stream repeats: a prime, so that each stride through the one table of a seed is another order."""


@lru_cache(maxsize=64)
def _shuffled(seed: int) -> tuple[float, ...]:
    spread = [(2 * step / (PERIOD - 1)) - 1 for step in range(PERIOD)]
    random.Random(seed).shuffle(spread)
    return tuple(spread)


ByCpu = defaultdict[int, Callable[[], int]]
"""The streams of one lock and caller: by a CPU's number, what gives its next cost; made when that CPU asks.

A subclass of dict with a `__missing__` would be told which CPU that is, but each look-up of it goes through a method,
and a local hit has two.
"""


class Jitter:
    """The streams of one machine; those around one cost share its values, which a cache of the host then holds.

    => `cpu()`: the number of the CPU that draws.
    """

    def __init__(self, seed: int, percent: int, cpu: Callable[[], int]) -> None:
        self._seed, self._cpu = seed, cpu
        self._factors = [1 + percent / 100 * part for part in _shuffled(seed)]
        self._spread = percent != 0
        self._costs: dict[tuple[int, int], list[int]] = {}
        self._streams: dict[tuple[str, int, int], ByCpu] = {}

    def costs(self, ns: int, key: str, exact_ns: int = 0) -> ByCpu:
        """Return what gives each CPU the next cost of its stream around `ns`, and `exact_ns` on top.

        => All who ask for one key draw from the same streams.
        """
        streams = self._streams.get((key, ns, exact_ns))
        if streams is None:
            if ns and self._spread:
                costs = self._costs.get((ns, exact_ns))
                if costs is None:
                    costs = self._costs[ns, exact_ns] = [exact_ns + round(ns * factor) for factor in self._factors]
                streams = ByCpu(lambda: self._stream(costs, f"{key}/{self._cpu()}"))
            else:
                streams = ByCpu(lambda: itertools.repeat(ns + exact_ns).__next__)
            self._streams[key, ns, exact_ns] = streams
        return streams

    def factors(self, key: str) -> Callable[[], float]:
        """Return a function that gives the next factor of a stream around 1."""
        return self._stream(self._factors, key)

    def _stream(self, values: list[T], key: str) -> Callable[[], T]:
        drawn = zlib.crc32(f"{self._seed}/{key}".encode())
        start, stride = drawn % PERIOD, 1 + drawn // PERIOD % (PERIOD - 1)
        return itertools.cycle([values[(start + stride * step) % PERIOD] for step in range(PERIOD)]).__next__
