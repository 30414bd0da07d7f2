"""Claims: on a free-threaded interpreter percpu scales, and leaves fpageqlock behind.

Ping-pong, local bursts of allocations and frees: percpu does at least 1.8 times as much a second on 2 CPUs as on 1,
and at least 2.5 times as much as fpageqlock on 2 CPUs.

How: workload/synthetic.py through the driver; each run on a system of its own, RAM populated, xc threads running as
they do in use. A run's rate is its page operations divided by the time from the first thread's beginning to the last
one's end; each CPU does the same work, so 2 CPUs do twice the work of 1. Each repetition takes the four runs one
after another and gives one value of either ratio. Lockstat is off.

What could fool it: the GIL, under which no parallel speed can be measured: the script then says so and records
nothing; a machine with one CPU, or whose second CPU is busy, which shows in the extremes and in the load.
"""

import os
import sys
from functools import partial

from bench.harness import REPETITIONS, Claim, Record, driven, gil_enabled, interleaved, main, no_gc, spread
from uvmfree.uvm.system import boot
from uvmfree.workload.synthetic import pingpong

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


def rate(design: str, ncpus: int, pages: int) -> float:
    """Return the page operations a second of one run, in thousands."""
    with boot(npages=4096, ncpus=ncpus, design=design) as uvm:
        uvm.physmem.populate()
        with no_gc():
            done = driven(uvm, pingpong(ncpus, pages))
    return 2 * pages * ncpus / done.wall_ns * 1e6


def bench(smoke: bool) -> list[Record]:
    """Run both designs on one and two CPUs in turn."""
    if gil_enabled() or len(os.sched_getaffinity(0)) < 2:
        why = "the GIL is on, threads take turns" if gil_enabled() else "there is one CPU"
        print(f"  not measured: {why}, so nothing here says how a design scales")
        return [SCALING.unmeasured(), OVER.unmeasured()]
    pages = PAGES_SMOKE if smoke else PAGES
    runs = [("percpu", 1), ("percpu", 2), ("fpageqlock", 1), ("fpageqlock", 2)]
    krates = interleaved(
        {f"{design}, {n} CPU": partial(rate, design, n, pages) for design, n in runs},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    for name, values in krates.items():
        print(f"  {name:<20} {spread(values)} thousand page operations a second")
    one, two, before = krates["percpu, 1 CPU"], krates["percpu, 2 CPU"], krates["fpageqlock, 2 CPU"]
    return [
        SCALING.record([b / a for a, b in zip(one, two, strict=True)], judged=not smoke),
        OVER.record([b / a for a, b in zip(before, two, strict=True)], judged=not smoke),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
