"""The limit: the fewest holds of a shared lock that any caches can do with, by how many pages they may park.

A CPU with a cache of at most H pages can go on without the store as long as its allocations and frees, added up, stay
within a range of H: whatever a hold may move, and whoever knows the future. So the fewest holds are the fewest parts
into which each CPU's events can be cut so that each keeps to the range. A cache of H pages in all gives no CPU more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from uvmfree.workload.replay_plan import DO_ALLOC, DO_ALLOC_ZERO, DO_FREE, DO_GET, DO_GIVE, DO_GIVE_ZERO, Plan

SIZES: Final = tuple(1 << power for power in range(3, 17))

TAKES: Final = frozenset({DO_ALLOC, DO_ALLOC_ZERO, DO_GIVE, DO_GIVE_ZERO})
GIVES: Final = frozenset({DO_FREE, DO_GET})


def fewest_holds(steps: Iterable[int], most: int) -> int:
    """Cut events into the fewest parts that each keep to a range; each begins with a hold."""
    holds = 1
    now = low = high = 0
    for step in steps:
        if step in TAKES:
            now -= 1
        elif step in GIVES:
            now += 1
        else:
            continue
        low, high = min(low, now), max(high, now)
        if high - low > most:
            holds += 1
            now = -1 if step in TAKES else 1
            low, high = min(0, now), max(0, now)
    return holds


def least(points: Sequence[tuple[int, float]], parked: float) -> float:
    """Return the limit for so many pages parked: that of the next larger number there is."""
    return next((locks for most, locks in points if most >= parked), points[-1][1])


def limit(plan: Plan, sizes: Sequence[int] = SIZES) -> list[tuple[int, float]]:
    """Return for each number of pages parked the fewest holds per page operation of a plan."""
    return [
        (most, sum(fewest_holds(program.steps, most) for program in plan.programs) / plan.page_operations)
        for most in sizes
    ]
