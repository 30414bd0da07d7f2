"""Claim: counting locks (lockstat) costs at most 35 % of the throughput of local hits.

How: the pair pagealloc + pagefree of percpu, each a local hit, on two systems that differ in `lockstat` only; loops
of timeit on one thread that built what it uses, by the processor time of that thread, which waits for nothing. A
repetition is many short slices, off and on in turn, there and back; the medians of its slices give one value, the
share of pairs a second that counting takes away. It is a share of pairs with nothing between them: a program that
does anything with its pages loses less.

Beside it: the same for fpageqlock, and what a pair of lock operations costs with and without counting. Most of it is
two calls of a Python function, where without counting there is none.

What could fool it: misses, which are counted and may not happen; a system with lockstat that counts nothing, so its
acquisitions are held against the pairs; the first samples of hold times, gone in the warm-up.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import thread_time
from timeit import Timer

from bench.harness import REPETITIONS, Claim, Record, alternating, main, spread
from uvmfree.kern.lockrank import UVM_CPU
from uvmfree.uvm.boot import boot, threads
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import PAIR
from uvmfree.uvm.system import Uvm

CLAIM = Claim(
    "lockstat-cost-percent",
    "lockstat on against off: the share of local-hit pairs a second of percpu that it costs",
    "% of throughput",
    35.0,
)

CACHED_PAGES = 64
SLICE_PAIRS, SLICES, SLICES_SMOKE = 1_000, 201, 4
"""A slice takes about a millisecond: on a busy machine most run undisturbed, and the median is one of those."""


@contextmanager
def ready(design: str, *, lockstat: bool) -> Iterator[tuple[Uvm, Cpu]]:
    """Boot a system whose CPU 0 is played by this thread and has pages in its cache."""
    uvm = boot(npages=1024, ncpus=1, design=design, lockstat=lockstat)
    try:
        with uvm.run_on(0) as cpu:
            for pg in [cpu.pagealloc() for _ in range(CACHED_PAGES)]:
                assert pg is not None
                cpu.pagefree(pg)
            yield uvm, cpu
    finally:
        uvm.close()


def pair_ns(timer: Timer) -> float:
    """Return the nanoseconds of one execution, over one slice."""
    return timer.timeit(SLICE_PAIRS) / SLICE_PAIRS * 1e9


def pairs(cpu: Cpu) -> Timer:
    """Make the timer of local-hit pairs; each has code of its own, for the interpreter to specialise."""
    return Timer("free(alloc())", "alloc, free = q.pagealloc, q.pagefree", thread_time, {"q": cpu})


def lock_pairs(*, lockstat: bool) -> Timer:
    """Make the timer of pairs of lock operations on a mutex's handle."""
    handle = threads(lockstat=lockstat).mutex(UVM_CPU, 0).handle("bench")
    return Timer("acquire(); release()", "acquire, release = h.acquire, h.release", thread_time, {"h": handle})


def acquired(uvm: Uvm) -> int:
    """Return how often a lock was taken."""
    return sum(record.acquired for record in uvm.lockstat())


def measure(timers: dict[str, Timer], slices: int, repetitions: int) -> dict[str, list[float]]:
    """Take all timers in turn; return the nanoseconds of each repetition."""
    measures = {name: partial(pair_ns, timer) for name, timer in timers.items()}
    alternating(measures, 1)  # warms up
    taken = [alternating(measures, slices) for _ in range(repetitions)]
    return {name: [one[name] for one in taken] for name in timers}


def cost_percent(off_ns: list[float], on_ns: list[float]) -> list[float]:
    """Return by how much the rate of the second is below that of the first, in each repetition."""
    return [100 * (1 - off / on) for off, on in zip(off_ns, on_ns, strict=True)]


def bench(smoke: bool) -> list[Record]:
    """Time pairs of both designs without and with counting, then the lock operations alone."""
    slices, repetitions = (SLICES_SMOKE, 2) if smoke else (SLICES, REPETITIONS)
    costs: dict[str, list[float]] = {}
    for design in PAIR:
        with ready(design, lockstat=False) as (_, cpu), ready(design, lockstat=True) as (counting, counted):
            before, acquired_before = counting.cpu_stats()[0], acquired(counting)
            ns = measure({"off": pairs(cpu), "on": pairs(counted)}, slices, repetitions)
            after, done = counting.cpu_stats()[0], (1 + slices * repetitions) * SLICE_PAIRS
            if after.cpuhit - before.cpuhit != done or acquired(counting) - acquired_before < 2 * done:
                raise RuntimeError(f"{done} pairs: not all were local hits, or their locks were not counted")
        costs[design] = cost_percent(ns["off"], ns["on"])
        print(f"  {design:<12} off {spread(ns['off'])} ns a pair, on {spread(ns['on'])} ns")
    print(f"  fpageqlock: {spread(costs['fpageqlock'], 1)} % of throughput")
    ns = measure({"off": lock_pairs(lockstat=False), "on": lock_pairs(lockstat=True)}, slices, repetitions)
    print(f"  acquire + release: {spread(ns['off'])} ns, counted {spread(ns['on'])} ns")
    return [CLAIM.record(costs["percpu"], judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
