"""Claims: on a free-threaded interpreter percpu scales, and leaves fpageqlock behind.

Ping-pong, local bursts of allocations and frees: percpu does at least 1.8 times as much a second on 2 CPUs as on 1,
and at least 2.5 times as much as fpageqlock on 2 CPUs.

How: workload/synthetic.py through the driver; each run on a system of its own, RAM populated, xc threads running as
they do in use. A run's rate is its page operations divided by the time from the first thread's beginning to the last
one's end; each CPU does the same work, so 2 CPUs do twice the work of 1. Each repetition takes all runs one
after another and gives one value of either ratio. Lockstat is off.

What could fool it: that one design costs more than the other before any lock is waited for, which is a matter of how
each is written. So fpageqlock runs on 1 CPU too, and the ratio there is printed: only what the ratio on 2 CPUs has
beyond it comes from sharing. A machine whose second CPU is busy, or shares a core with the first: so the same bursts
run on floors (bench/floor.py), one for each thread, which share nothing; no design can scale better than they do. The
GIL, under which no parallel speed can be measured: the script then says so and records nothing.
"""

import os
import sys
from functools import partial

from bench.floor import Floor
from bench.harness import REPETITIONS, Claim, Record, driven, gil_enabled, interleaved, main, no_gc, spread
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.system import boot
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

PAGES, PAGES_SMOKE = 400_000, 8_000
"""Pages that each CPU allocates and frees: about half a second's work."""


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


def rate(design: str, ncpus: int, pages: int) -> float:
    """Return the page operations a second of one run, in thousands."""
    alone = design == NOTHING_SHARED
    with boot(npages=4096, ncpus=ncpus, design="percpu" if alone else design) as uvm:
        uvm.physmem.populate()
        with no_gc():
            done = driven(uvm, floors(ncpus, pages) if alone else pingpong(ncpus, pages))
    return 2 * pages * ncpus / done.wall_ns * 1e6


def ratios(lower: list[float], upper: list[float]) -> list[float]:
    """Divide the rates of each repetition."""
    return [b / a for a, b in zip(lower, upper, strict=True)]


def bench(smoke: bool) -> list[Record]:
    """Run both designs on one and two CPUs in turn."""
    if gil_enabled() or len(os.sched_getaffinity(0)) < 2:
        why = "the GIL is on, threads take turns" if gil_enabled() else "there is one CPU"
        print(f"  not measured: {why}, so nothing here says how a design scales")
        return [SCALING.unmeasured(), OVER.unmeasured()]
    pages = PAGES_SMOKE if smoke else PAGES
    runs = [(design, ncpus) for design in ("percpu", "fpageqlock", NOTHING_SHARED) for ncpus in (1, 2)]
    krates = interleaved(
        {f"{design}, {n} CPU": partial(rate, design, n, pages) for design, n in runs},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    for name, values in krates.items():
        print(f"  {name:<20} {spread(values)} thousand page operations a second")
    one, two, before_one, before_two, floor_one, floor_two = krates.values()
    print(f"  percpu over fpageqlock on 1 CPU, where nobody waits: {spread(ratios(before_one, one), 2)}")
    print(f"  nothing shared, 2 CPUs against 1: {spread(ratios(floor_one, floor_two), 2)}")
    print(f"  fpageqlock, 2 CPUs against 1: {spread(ratios(before_one, before_two), 2)}")
    return [
        SCALING.record(ratios(one, two), judged=not smoke),
        OVER.record(ratios(before_two, two), judged=not smoke),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
