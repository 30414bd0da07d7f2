"""Claim: redistributing 100,000 cached pages takes at most 2 times what 1,000 take: buckets count, not pages.

How: two systems, one with 1,000 pages in the cache of CPU 0, one with 100,000. Both caches are filled, then
`uvm.redistribute(0)` is timed on either, one call each, in alternating order; then both are filled again. A
repetition is the median over its shots, and gives one ratio.

What could fool it: filling 100,000 pages leaves the processor's own caches full of them, so that the call after it
would be slow whatever it did; therefore both are filled before either is timed, and a redistribution of another CPU
goes before each timed call, which loads the code. A call that moves nothing is quick: the pages moved are checked.
"""

import statistics
import sys
from time import perf_counter_ns

from bench.harness import REPETITIONS, Claim, Record, main, no_gc, spread
from uvmfree.uvm.boot import boot
from uvmfree.uvm.system import Uvm

CLAIM = Claim(
    "splice-100k-over-1k",
    "redistribute() of 100,000 cached pages against 1,000",
    "ratio of times",
    2.0,
)

FEW_PAGES, MANY_PAGES = 1_000, 100_000
SHOTS = 5
"""Calls in a repetition: each takes some 20 us, so one interrupt would spoil a single one."""


def fill(uvm: Uvm, pages: int) -> None:
    """Put pages into the empty cache of CPU 0, and a few into that of CPU 1."""
    for cpu, count in ((uvm.cpus[0], pages), (uvm.cpus[1], 8)):
        for pg in [cpu.pagealloc() for _ in range(count)]:
            assert pg is not None
            cpu.pagefree(pg)


def once_us(uvm: Uvm, pages: int) -> float:
    """Time one redistribution of CPU 0."""
    uvm.redistribute(1)
    began_ns = perf_counter_ns()
    moved = uvm.redistribute(0)
    took_ns = perf_counter_ns() - began_ns
    if moved != pages:
        raise RuntimeError(f"{moved} pages moved, {pages} were cached")
    return took_ns / 1e3


def bench(smoke: bool) -> list[Record]:
    """Fill both, time both, as often as it takes."""
    systems = {pages: boot(npages=2 * MANY_PAGES, ncpus=2, design="percpu") for pages in (FEW_PAGES, MANY_PAGES)}
    medians: dict[int, list[float]] = {FEW_PAGES: [], MANY_PAGES: []}
    try:
        with no_gc():
            for repetition in range(2 if smoke else REPETITIONS + 1):
                shots: dict[int, list[float]] = {FEW_PAGES: [], MANY_PAGES: []}
                for shot in range(2 if smoke else SHOTS):
                    for pages, uvm in systems.items():
                        fill(uvm, pages)
                    order = (FEW_PAGES, MANY_PAGES) if shot % 2 else (MANY_PAGES, FEW_PAGES)
                    for pages in order:
                        shots[pages].append(once_us(systems[pages], pages))
                if repetition:  # the first one warms up
                    for pages in systems:
                        medians[pages].append(statistics.median(shots[pages]))
        for uvm in systems.values():
            uvm.audit()
    finally:
        for uvm in systems.values():
            uvm.close()
    for pages, values in medians.items():
        print(f"  {pages:>7,} pages: {spread(values, 1)} us")
    ratios = [many / few for few, many in zip(medians[FEW_PAGES], medians[MANY_PAGES], strict=True)]
    return [CLAIM.record(ratios, judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
