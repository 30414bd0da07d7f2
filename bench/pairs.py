"""The local pair of each design: pagealloc + pagefree of one CPU, beside percpu's pair and the floor's.

No bound: a table of what a hit costs in Python, and of who takes no lock for it. A design whose kernel only keeps
interrupts off has no lock in its hit; a design that swaps words has none at all. So the locks and atomic operations
of a pair stand beside its time, counted in a run with lockstat on.

How: as bench/floor.py, with each design's CPU in the place of percpu's, on systems of 2 CPUs and 256 MiB, where each
design has its cache; one thread plays, by its processor time.

What could fool it: a pair that is no hit. The share of hits (R11) is printed. A cache that is handed back on the way:
with all designs in turn a run takes seconds, and after one second percpu's timer does so. From then on its cache has
one page, of one colour, and each pair has to search for it. So the timers are put off, and a run in which one came
is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from time import thread_time
from timeit import Timer
from typing import Any

from bench.floor import CACHED_PAGES, SLICE_PAIRS, SLICES, SLICES_SMOKE, Floor, call_ns
from bench.harness import REPETITIONS, Claim, Record, alternating, main, spread
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.system import Uvm

FLOOR_NS = Claim("pair-floor-ns", "the floor's pair, by itself", "ns", None)
CLAIM = Claim("pairs-slowest-over-floor", "a local pair of the slowest design against the floor's", "ratio", None)

NPAGES, NCPUS = 65_536, 2
PUT_OFF_S = 3600.0
COUNTED_PAIRS = 1_000
PAIR = "free(alloc())"


def over_floor(design: str) -> Claim:
    """Return the claim of a design's pair."""
    return Claim(f"pair-{design}", f"a local pair against the floor's: {design}", "ratio", None)


@contextmanager
def warm(design: str, *, lockstat: bool = False) -> Iterator[tuple[Uvm, Cpu]]:
    """Boot a system, and fill the cache of a CPU that this thread plays."""
    sizes: dict[str, Any] = {"npages": NPAGES, "ncpus": NCPUS, "redistribute_interval_s": PUT_OFF_S}
    with boot(design=design, lockstat=lockstat, **sizes) as uvm, uvm.run_on(0) as cpu:
        for pg in [cpu.pagealloc() for _ in range(CACHED_PAGES)]:
            assert pg is not None
            cpu.pagefree(pg)
        yield uvm, cpu
        if any(uvm.redistributions().values()):
            raise RuntimeError(f"{design}: the cache was handed back, so not all were local hits")


def counted(design: str) -> str:
    """Say what a pair takes: the CPU's own lock or none, shared locks, atomic operations; and how often it hits."""
    with warm(design, lockstat=True) as (uvm, cpu):

        def counts() -> tuple[int, ...]:
            locks, stats = uvm.lockstat(), uvm.cpu_stats()[0]
            of_kind = [sum(lock.acquired for lock in locks if lock.kind == kind) for kind in ("cpu", "off", "shared")]
            return *of_kind, stats.atomics, stats.cpuhit

        before = counts()
        for _ in range(COUNTED_PAIRS):
            pg = cpu.pagealloc()
            assert pg is not None
            cpu.pagefree(pg)
        own, off, shared, atomics, hits = (
            (now - then) / COUNTED_PAIRS for now, then in zip(counts(), before, strict=True)
        )
    return f"{own:.1f} own, {shared:.1f} shared, {off:.1f} off, {atomics:.1f} atomics, {100 * hits:.0f} % hits"


def bench(smoke: bool) -> list[Record]:
    """Time all pairs in turn."""
    slices, repetitions = (SLICES_SMOKE, 1) if smoke else (SLICES, REPETITIONS)
    timer = partial(Timer, timer=thread_time)
    with ExitStack() as systems:
        floor = Floor([object() for _ in range(CACHED_PAGES)])
        timers = {
            "empty loop": timer("pass"),
            "floor": timer(PAIR, "alloc, free = q.pop, q.append", globals={"q": floor}),
        }
        for design in REGISTRY:
            _, cpu = systems.enter_context(warm(design))
            timers[design] = timer(PAIR, "alloc, free = q.pagealloc, q.pagefree", globals={"q": cpu})
        measures = {name: partial(call_ns, made, SLICE_PAIRS) for name, made in timers.items()}
        alternating(measures, slices)  # warms up
        taken = [alternating(measures, slices) for _ in range(repetitions)]
    ratios: dict[str, list[float]] = {
        name: [(one[name] - one["empty loop"]) / (one["floor"] - one["empty loop"]) for one in taken]
        for name in REGISTRY
    }
    print("  a pair over the floor's, in ns, and what it takes")
    for name, values in ratios.items():
        ns = [one[name] - one["empty loop"] for one in taken]
        print(f"  {name:<16} {spread(values, 2):<18} {spread(ns):<18} {counted(name)}")
    return [
        *(over_floor(name).record(values, judged=False) for name, values in ratios.items()),
        FLOOR_NS.record([one["floor"] - one["empty loop"] for one in taken], judged=False),
        CLAIM.record([max(values) for values in zip(*ratios.values(), strict=True)], judged=False),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
