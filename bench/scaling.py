"""Claims: on a free-threaded interpreter percpu scales, and leaves fpageqlock behind.

Ping-pong, local bursts of allocations and frees: percpu does at least 1.8 times as much a second on 2 CPUs as on 1,
and at least 2.5 times as much as fpageqlock on 2 CPUs.

The other registered designs run beside them, and how each scales is recorded: none is judged.

How: workload/synthetic.py through the driver; each run on a system of its own, xc threads running as they do in use.
That system has 2 CPUs and 256 MiB in every run; in a run on 1 CPU the other one is idle. A run's rate is its page
operations divided by the time from the first thread's beginning to the last one's end; each CPU does the same work,
so 2 CPUs do twice the work of 1. Each repetition takes all runs one after another and gives one value of either
ratio. Lockstat is off.

What could fool it: a design that has no cache in one of the runs. NetBSD 10 has none where there is a bucket of pages
for each CPU, as on a machine of one CPU; FreeBSD has none where a thousandth of the pages is too few for all CPUs, as
it is of 4,096. So sizes that are derived from CPUs and RAM are the same in all runs, and the share of allocations
that were hits (R11) stands beside each rate. That one design costs more than the other before any lock is waited for,
which is a matter of how each is written. So fpageqlock runs on 1 CPU too, and the ratio there is printed: only what
the ratio on 2 CPUs has beyond it comes from sharing. A machine whose second CPU is busy, or shares a core with the
first: so the same bursts run on floors (bench/floor.py), one for each thread, which share nothing. No design can
scale better than they do, and where even they do not reach the bound the claims are not judged. How many CPUs each
run had, processor time by wall time, stands beside its rate. The GIL, under which no parallel speed can be measured:
the script then says so and records nothing.
"""

import os
import statistics
import sys
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, process_time

from bench.floor import Floor
from bench.harness import REPETITIONS, Claim, Record, driven, interleaved, main, no_gc, spread
from uvmfree.measure.host import gil_enabled
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import REGISTRY
from uvmfree.workload.driver import Body, Lane
from uvmfree.workload.synthetic import BURST_PAGES, pingpong

SCALING = Claim(
    "scaling-2cpu",
    "ping-pong of percpu, 2 CPUs against 1, free-threaded",
    "ratio of page operations a second",
    1.8,
    True,
)
OVER = Claim(
    "percpu-over-fpageqlock-2cpu",
    "ping-pong on 2 CPUs, percpu against fpageqlock, free-threaded",
    "ratio of page operations a second",
    2.5,
    True,
)


def scales(design: str) -> Claim:
    """Return the claim of how a design scales, which is not judged."""
    claim = f"ping-pong on 2 processors against 1, free-threaded: {design}"
    return Claim(f"scaling-{design.replace(' ', '-')}", claim, "ratio of page operations a second", None)


PAGES, PAGES_SMOKE = 400_000, 8_000
"""Pages that each CPU allocates and frees: about half a second's work."""

NPAGES, NCPUS = 65_536, 2
"""Of the system, however many of its CPUs play."""

NOTHING_SHARED = "nothing shared"
"""The run in which every thread has a floor of its own."""


def floors(ncpus: int, pages: int) -> list[Body]:
    """Make bodies that do the bursts of pingpong() on a free list of their own."""

    def body(cpu: Cpu, lane: Lane) -> None:
        floor = Floor([object() for _ in range(BURST_PAGES)])
        pop, append = floor.pop, floor.append
        for _ in range(0, pages, BURST_PAGES):
            held = [pop() for _ in range(BURST_PAGES)]
            for page in held:
                append(page)

    return [body] * ncpus


@dataclass(slots=True)
class Beside:
    """What stands beside a run's rates: how many CPUs it had, and what share of its allocations were hits."""

    cpus_had: list[float] = field(default_factory=list)
    hits_percent: float | None = None


def rate(design: str, ncpus: int, pages: int, beside: Beside) -> float:
    """Return the page operations a second of one run, in thousands; note what stands beside it."""
    alone = design == NOTHING_SHARED
    with boot(npages=NPAGES, ncpus=NCPUS, design="percpu" if alone else design) as uvm:
        with no_gc():
            used_s, began_s = process_time(), perf_counter()
            done = driven(uvm, floors(ncpus, pages) if alone else pingpong(ncpus, pages))
            beside.cpus_had.append((process_time() - used_s) / (perf_counter() - began_s))
        stats = uvm.cpu_stats()
        if not alone:
            beside.hits_percent = 100 * sum(cpu.cpuhit for cpu in stats) / sum(cpu.allocs for cpu in stats)
    return 2 * pages * ncpus / done.wall_ns * 1e6


def ratios(lower: list[float], upper: list[float]) -> list[float]:
    """Divide the rates of each repetition."""
    return [b / a for a, b in zip(lower, upper, strict=True)]


def bench(smoke: bool) -> list[Record]:
    """Run the designs on one and two CPUs in turn."""
    others = [] if smoke else [name for name in REGISTRY if name not in ("percpu", "fpageqlock")]
    names = ["percpu", "fpageqlock", NOTHING_SHARED, *others]
    if gil_enabled() or len(os.sched_getaffinity(0)) < 2:
        why = "the GIL is on, threads take turns" if gil_enabled() else "there is one CPU"
        print(f"  not measured: {why}, so nothing here says how a design scales")
        return [claim.unmeasured() for claim in (*map(scales, names), SCALING, OVER)]
    pages = PAGES_SMOKE if smoke else PAGES
    runs = [(design, ncpus) for design in names for ncpus in (1, 2)]
    beside = {f"{design}, {n} CPU": Beside() for design, n in runs}
    krates = interleaved(
        {name: partial(rate, *run, pages, beside[name]) for name, run in zip(beside, runs, strict=True)},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    print("  thousand page operations a second, how many CPUs the run had, hits of own lists (R11)")
    for name, values in krates.items():
        hits = beside[name].hits_percent
        said = "" if hits is None else f"{hits:.1f} %"
        print(f"  {name:<24} {spread(values):<22} {spread(beside[name].cpus_had, 2):<18} {said}")
    by_design = {design: ratios(krates[f"{design}, 1 CPU"], krates[f"{design}, 2 CPU"]) for design in names}
    over_one, over_two = (ratios(krates[f"fpageqlock, {n} CPU"], krates[f"percpu, {n} CPU"]) for n in (1, 2))
    print(f"  percpu over fpageqlock on 1 CPU, where nobody waits: {spread(over_one, 2)}")
    for name in names[1:]:
        print(f"  {name}, 2 CPUs against 1: {spread(by_design[name], 2)}")
    assert SCALING.bound is not None
    fair = statistics.median(by_design[NOTHING_SHARED]) >= SCALING.bound
    if not fair:
        print("  not judged: the machine did not give two CPUs even to threads that share nothing; it is busy")
    return [
        *(scales(name).record(values, judged=False) for name, values in by_design.items()),
        SCALING.record(by_design["percpu"], judged=fair and not smoke),
        OVER.record(over_two, judged=fair and not smoke),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
