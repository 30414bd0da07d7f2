"""The tally of a run: what was counted of each page operation, from outside of the design (measure/counting.py).

=> Raw counts, small enough for a record; what they say is in `figures_of`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

WARM_PAGES: Final = 256
"""A page is warm if its CPU has handed out so many others since it freed it: 1 MiB of them, about what the second
level of a cache holds (Q19)."""

BLOCK_PAGES: Final = 512
"""Pages of a block that one large page could map: 2 MiB (Q20)."""

STRANDED_AFTER_S: Final = (1, 5, 20)
"""When it is looked what is stranded still, in seconds after the end of the run."""

_ROUNDING: Final = 1e-6
"""What a part of a whole number may be too large by, as 0.07 of 100 is."""

RUNS: Final = "uvm_pglistalloc"
"""Caller whose holds take a run of pages out of the middle of a store: each of its pages, whatever the design."""

Histogram = tuple[tuple[int, int], ...]
"""Values with how often each was seen, ascending."""


def histogram(counts: Mapping[int, int]) -> Histogram:
    """Return counts by value as a histogram."""
    return tuple(sorted((value, times) for value, times in counts.items() if times))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Add histograms up."""
    total: dict[int, int] = {}
    for one in histograms:
        for value, times in one:
            total[value] = total.get(value, 0) + times
    return histogram(total)


def quantile(counts: Histogram, part: float) -> int | None:
    """Return the least value that at least this part of all does not exceed; None of an empty histogram.

    => Nearest rank: a value that was seen, with no interpolation. `part`: above 0, at most 1.
    """
    rank = math.ceil(part * sum(times for _, times in counts) - _ROUNDING)
    for value, times in counts:
        rank -= times
        if rank <= 0:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Held:
    """The holds of the shared locks of one name, by one caller: how many touched how much (kern/lockholds.py)."""

    lock: str
    caller: str
    items: Histogram
    pages: Histogram


@dataclass(frozen=True, slots=True)
class Tally:
    """What was counted; an operation is a page allocated or freed on a CPU, and an allocation that found none.

    => `allocations`: pages that CPUs allocated. `own`: those that the same CPU had freed last; `reuse_pages`: pages
       that it handed out in between, a histogram over them. `color_right`: those of the colour at which the search
       began (R7). `failed`: allocations that found no page; `failed_beside`: with pages in another CPU's cache.
    => `parked_pages_max`: the most pages in caches that one CPU alone allocates from, at the end of any operation;
       `parked_pages_total`: their sum over all operations. `parked[i]`: the most within `parked_every` operations.
    => `held`: holds of shared locks.
    => At the end of the run: `free_blocks`: aligned blocks of BLOCK_PAGES with no page in use; `store_blocks`: with
       no page in a cache either. `stranded_pages[i]`: pages in caches that some CPU cannot reach,
       STRANDED_AFTER_S[i] later.
    """

    operations: int
    allocations: int
    own: int
    reuse_pages: Histogram
    color_right: int
    failed: int
    failed_beside: int
    parked_pages_max: int
    parked_pages_total: int
    parked: tuple[int, ...]
    parked_every: int
    held: tuple[Held, ...]
    free_blocks: int
    store_blocks: int
    stranded_pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TallyFigures:
    """What a tally says about a design; None where nothing of the kind happened.

    => `held_items_...`: items touched in a hold of a shared lock: a page moved singly, or a run moved by pointer;
       `held_pages_max`: pages moved singly. Not in the holds that take a run of pages for a contiguous allocation:
       the length of the run decides there, not the design. `held_run_items_max`: in those.
    => `parked_pages_...`: pages in caches that one CPU alone allocates from, at the end of each operation.
    => `warm_percent`: of the allocations, those of a page that this CPU freed last, with at most WARM_PAGES handed
       out by it since; `reuse_pages_median`: how many were, over all pages that came back to the CPU that freed them.
    => `color_right_percent`: of the allocations, those that got the colour that was asked for.
    => `failed_while_free_elsewhere`: allocations that found no page beside pages in another CPU's cache.
    => `free_512_blocks`: aligned blocks of BLOCK_PAGES at the end of the run with no page in use;
       `store_512_blocks`: with no page in a cache either. `stranded_..._pages`: so long after it.
    """

    held_items_p50: int | None = None
    held_items_p99: int | None = None
    held_items_max: int | None = None
    held_pages_max: int | None = None
    held_run_items_max: int | None = None
    parked_pages_max: int | None = None
    parked_pages_mean: float | None = None
    warm_percent: float | None = None
    reuse_pages_median: int | None = None
    color_right_percent: float | None = None
    failed_while_free_elsewhere: int | None = None
    free_512_blocks: int | None = None
    store_512_blocks: int | None = None
    stranded_1s_pages: int | None = None
    stranded_5s_pages: int | None = None
    stranded_20s_pages: int | None = None


def figures_of(tally: Tally | None) -> TallyFigures:
    """Derive the figures of a tally; all None without one."""
    if tally is None:
        return TallyFigures()
    items, run_items = (
        merged(one.items for one in tally.held if (one.caller == RUNS) is runs) for runs in (False, True)
    )
    pages = merged(one.pages for one in tally.held if one.caller != RUNS)
    warm = sum(times for value, times in tally.reuse_pages if value <= WARM_PAGES)
    after_1s, after_5s, after_20s = tally.stranded_pages
    return TallyFigures(
        # A design without shared locks has no holds: nothing is touched under one.
        held_items_p50=quantile(items, 0.5) or 0,
        held_items_p99=quantile(items, 0.99) or 0,
        held_items_max=quantile(items, 1) or 0,
        held_pages_max=quantile(pages, 1) or 0,
        held_run_items_max=quantile(run_items, 1) or 0,
        parked_pages_max=tally.parked_pages_max,
        parked_pages_mean=tally.parked_pages_total / tally.operations if tally.operations else 0.0,
        warm_percent=_percent(warm, tally.allocations),
        reuse_pages_median=quantile(tally.reuse_pages, 0.5),
        color_right_percent=_percent(tally.color_right, tally.allocations),
        failed_while_free_elsewhere=tally.failed_beside,
        free_512_blocks=tally.free_blocks,
        store_512_blocks=tally.store_blocks,
        stranded_1s_pages=after_1s,
        stranded_5s_pages=after_5s,
        stranded_20s_pages=after_20s,
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
