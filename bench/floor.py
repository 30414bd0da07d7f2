"""Claim: a local-hit pair pagealloc + pagefree of percpu costs at most 2.0 times the floor.

The floor is the least that a locked free list can do: a class whose two methods do `with lock: q.pop()` and
`with lock: q.append(p)`. The pair is that of the public face, with lockstat and lockdebug off: colours in rotation,
the check for a double free, the place, one counter for each call.

How: both pairs in loops of timeit (which keeps the garbage collector out), in turn, on one thread that built what
it uses and waits for nothing, by its processor time; the cost of the empty loop is taken off both. A repetition is
many short slices, there and back, whose medians give one ratio.

Beside it stands what one update of a shared counter costs, by the direct call and by the public one of `atomics`,
and what a pair of lock operations does. A miss of percpu pays for one such update, which in a kernel is one locked
instruction: a reader of other figures can subtract it.

What could fool it: a cache that runs empty, so that misses are timed (the script counts them: none may happen);
one loop for both pairs, in which the interpreter could specialise for neither (each has code of its own).
"""

import sys
import threading
from functools import partial
from time import thread_time
from timeit import Timer

from bench.harness import REPETITIONS, Claim, Record, alternating, main, spread
from uvmfree.machine.words import CounterPage
from uvmfree.uvm.boot import boot

CLAIM = Claim(
    "floor-ratio",
    "a local-hit pair pagealloc + pagefree of percpu against the floor, two methods of `with lock`",
    "ratio of times",
    2.0,
)

CACHED_PAGES = 64
"""Pages in the cache and on the floor's list: several of each of the 8 colours."""

SLICE_PAIRS, SLICES, SLICES_SMOKE = 2_000, 101, 2
SLOW = 20
"""A public call of a counter takes so much longer than the rest that so many times fewer will do."""


class Floor:
    """A free list under a lock, and nothing else."""

    __slots__ = ("_lock", "_q")

    def __init__(self, pages: list[object]) -> None:
        self._lock = threading.Lock()
        self._q = pages

    def pop(self) -> object:
        """Take a page."""
        with self._lock:
            return self._q.pop()

    def append(self, page: object) -> None:
        """Give a page back."""
        with self._lock:
            self._q.append(page)


def call_ns(timer: Timer, loops: int) -> float:
    """Return the nanoseconds of one execution, over one slice."""
    return timer.timeit(loops) / loops * 1e9


def bench(smoke: bool) -> list[Record]:
    """Time the two pairs, and the parts that they are made of."""
    slices, repetitions = (SLICES_SMOKE, 2) if smoke else (SLICES, REPETITIONS)
    uvm = boot(npages=1024, ncpus=1, design="percpu")
    direct, public = CounterPage(("free",)), CounterPage(("free",), public_calls=True)
    try:
        with uvm.run_on(0) as cpu:
            for pg in [cpu.pagealloc() for _ in range(CACHED_PAGES)]:
                assert pg is not None
                cpu.pagefree(pg)
            floor = Floor([object() for _ in range(CACHED_PAGES)])
            timer = partial(Timer, timer=thread_time)
            timers = {
                "empty loop": timer("pass"),
                "floor pair": timer("free(alloc())", "alloc, free = q.pop, q.append", globals={"q": floor}),
                "local pair": timer("free(alloc())", "alloc, free = q.pagealloc, q.pagefree", globals={"q": cpu}),
                "lock pair, with": timer("with lock: pass", "lock = lk", globals={"lk": threading.Lock()}),
                "lock pair, bound calls": timer(
                    "acquire(); release()",
                    "acquire, release = lk.acquire, lk.release",
                    globals={"lk": threading.Lock()},
                ),
                "counter, direct": timer("add(1)", "add = a.add", globals={"a": direct.adder("free")}),
                "counter, public": timer("add(1)", "add = a.add", globals={"a": public.adder("free")}),
            }
            before = uvm.cpu_stats()[0]
            measures = {
                name: partial(call_ns, made, SLICE_PAIRS // SLOW if name == "counter, public" else SLICE_PAIRS)
                for name, made in timers.items()
            }
            alternating(measures, slices)  # warms up
            taken = [alternating(measures, slices) for _ in range(repetitions)]
            after = uvm.cpu_stats()[0]
    finally:
        uvm.close()
        direct.close()
        public.close()
    if after.cpumiss != before.cpumiss or after.cpuhit == before.cpuhit:
        raise RuntimeError(f"not all were local hits: {after.cpumiss - before.cpumiss} misses")
    ns = {name: [one[name] for one in taken] for name in timers}
    for name, values in ns.items():
        print(f"  {name:<24} {spread(values)} ns")
    if not direct.direct:
        print("  the direct call of a counter is not to be had here; percpu uses the public one")
    ratios = [
        (local - empty) / (floor_ns - empty)
        for local, floor_ns, empty in zip(ns["local pair"], ns["floor pair"], ns["empty loop"], strict=True)
    ]
    return [CLAIM.record(ratios, judged=not smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
