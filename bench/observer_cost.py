"""Claim: being watched by the observer costs at most 2 % of the throughput of local hits.

How: one thread plays CPU 0 of a system whose threads run, and does local-hit pairs, pagealloc + pagefree of percpu;
now watched (measure/observer.py, a sample every 4 ms, with the GIL every 20 ms), now not, in slices of some 120 ms,
there and back. By the clock: with the GIL the observer needs it for each sample, so that the thread stands still
meanwhile and for the way there and back. The medians of a repetition's slices give one value, the share of pairs a
second that is gone. The cache is never handed back: one that was has but the page of the pair, which then has to be
looked for among the colours, so that pairs take several times as long from the first redistribution on.

Beside it, by processor time: what the thread itself lost, and what the whole process used more, the observer's own
work included; that is what a machine loses whose processors are all busy. Neither counts what other loads take.

And what it would cost to look at nothing but the counter page: each CPU would have to store there what its cache
holds, on a line of its own, with every local hit. Pairs with two such stores take their turns with the others.

What could fool it: an observer that does not look: its samples are counted; a slice too short to hold some; pairs of
another kind, so every hit has to be of the colour that was looked for first. Another load on the machine, which takes
more than 2 % now from the one, now from the other: see the extremes, and the figures by processor time.
"""

import statistics
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from time import perf_counter, process_time, thread_time

from bench.harness import REPETITIONS, Claim, Record, main, no_gc, spread
from uvmfree.machine.words import CounterPage
from uvmfree.measure.observer import watch
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm

CLAIM = Claim(
    "observer-cost-percent",
    "watched against unwatched: the share of local-hit pairs a second of percpu that the observer costs",
    "% of throughput",
    2.0,
)

NPAGES, NCPUS = 65_536, 2
NEVER_S = 3600.0
CACHED_PAGES = 64
PAIRS, PAIRS_SMOKE = 200_000, 100_000
ALONE, WATCHED, STORING = range(3)
SLICES = 13
"""Slices of each kind in a repetition: some five seconds in all."""

CLOCKS: tuple[Callable[[], float], ...] = (perf_counter, thread_time, process_time)


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: seconds by each of CLOCKS, and the samples that were taken."""

    took: tuple[float, ...]
    samples: int


def run(uvm: Uvm, cpu: Cpu, pairs: int, kind: int) -> Slice:
    """Do so many pairs."""
    alloc, free = cpu.pagealloc, cpu.pagefree
    words = CounterPage(("cached",)).view()
    with watch(uvm) if kind == WATCHED else nullcontext() as observation:
        began = [clock() for clock in CLOCKS]
        if kind == STORING:
            for pair in range(pairs):
                pg = alloc()
                words[0] = pair
                free(pg)  # type: ignore[arg-type]
                words[0] = pair
        else:
            for _ in range(pairs):
                free(alloc())  # type: ignore[arg-type]  # a local hit: never None
        took = tuple(clock() - start for clock, start in zip(CLOCKS, began, strict=True))
        samples = observation.seen.samples if observation is not None else 0
    return Slice(took, samples)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a repetition found. => `watched`: in percent, by each of CLOCKS. `stored`: the same by the first."""

    watched: tuple[float, ...]
    stored: float
    samples_per_s: float


def costs(uvm: Uvm, cpu: Cpu, pairs: int, slices: int) -> Costs:
    """Take slices in turn; return what being watched costs, and what storing would."""
    taken: dict[int, list[Slice]] = {ALONE: [], WATCHED: [], STORING: []}
    for number in range(slices):
        for kind in taken if number % 2 else reversed(taken):
            taken[kind].append(run(uvm, cpu, pairs, kind))

    def percent(kind: int, clock: int) -> float:
        alone, other = (statistics.median(one.took[clock] for one in taken[which]) for which in (ALONE, kind))
        return 100 * (1 - alone / other)

    looked_s = sum(one.took[0] for one in taken[WATCHED])
    return Costs(
        watched=tuple(percent(WATCHED, clock) for clock in range(len(CLOCKS))),
        stored=percent(STORING, 0),
        samples_per_s=sum(one.samples for one in taken[WATCHED]) / looked_s,
    )


def bench(smoke: bool) -> list[Record]:
    """Do pairs on one CPU, now and then watched."""
    pairs, slices, repetitions = (PAIRS_SMOKE, 2, 1) if smoke else (PAIRS, SLICES, REPETITIONS)
    found: list[Costs] = []
    system = boot(npages=NPAGES, ncpus=NCPUS, design="percpu", redistribute_interval_s=NEVER_S)
    with system as uvm, uvm.run_on(0) as cpu, no_gc():
        for pg in [cpu.pagealloc() for _ in range(CACHED_PAGES)]:
            assert pg is not None
            cpu.pagefree(pg)
        before = uvm.cpu_stats()[0]
        for repetition in range(repetitions + 1):
            costing = costs(uvm, cpu, pairs, slices)
            if repetition:  # the first one warms up
                found.append(costing)
        after = uvm.cpu_stats()[0]
        uvm.audit()
    if after.cpumiss - before.cpumiss or after.colormiss - before.colormiss:
        raise RuntimeError("not every pair was a local hit of the colour that was looked for first")
    if not all(one.samples_per_s for one in found):
        raise RuntimeError("the observer took no sample")
    wall, own, process = (list(column) for column in zip(*(one.watched for one in found), strict=True))
    print(f"  {spread([one.samples_per_s for one in found])} samples a second")
    print(f"  by processor time: the thread {spread(own, 2)} %, the whole process {spread(process, 2)} %")
    print(f"  a word of the counter page stored twice a pair instead: {spread([one.stored for one in found], 2)} %")
    return [CLAIM.record(wall, judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
