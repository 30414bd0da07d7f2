"""What one update of a shared counter costs beside what a lock costs: figures to subtract, no bound is claimed.

percpu updates uvmexp.free by an atomic operation where fpageqlock stores under its lock (P1): once for each miss,
spill or redistribution. In a kernel that is one locked instruction, about what the lock's own instruction costs. Here
it is a call of a library from Python, so a reader who compares the designs by time has to know what it adds.

How: a pair of lock operations, bound methods of a raw lock; an update by the direct call that the allocator makes; an
update by the public call of `atomics`; a plain store, which is what whoever holds a lock may do. Loops of timeit on
one thread, by its processor time, in many short slices in turn. Then two threads at once, by the clock: on one
counter with the direct call, and on one lock around a plain store, which is what the update stands in for.

What could fool it: the GIL, under which two threads take turns: the second half is left out there; two threads that
did not run at once: how far they overlapped is printed.
"""

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns, thread_time
from timeit import Timer

from bench.harness import REPETITIONS, Claim, Record, alternating, interleaved, main, spread
from uvmfree.machine.words import CounterPage
from uvmfree.measure.host import gil_enabled

RATIO = Claim(
    "counter-over-lock-pair",
    "one update of a shared counter, by the direct call, against one pair of lock operations, one thread",
    "ratio of times",
    None,
)
CONTENDED = Claim(
    "counter-over-lock-2cpu",
    "the same for two threads at once on one counter, against one lock around a plain store, free-threaded",
    "ratio of times",
    None,
)

CALLS, SLICES, SLICES_SMOKE = 2_000, 101, 2
SLOW = 20
"""A public call takes so much longer than the rest that so many times fewer will do."""

UPDATES, UPDATES_SMOKE = 200_000, 2_000
JOIN_S = 60.0


def call_ns(timer: Timer, calls: int) -> float:
    """Return the nanoseconds of one execution, over one slice."""
    return timer.timeit(calls) / calls * 1e9


def alone(page: CounterPage, public: CounterPage, smoke: bool) -> dict[str, list[float]]:
    """Time the parts on this thread; return the nanoseconds of each repetition."""
    lock, words = threading.Lock(), page.view()
    statements: dict[str, tuple[str, str, dict[str, object]]] = {
        "lock pair": ("acquire(); release()", "acquire, release = q.acquire, q.release", {"q": lock}),
        "counter, direct": ("add(1)", "add = q.add", {"q": page.adder("free")}),
        "counter, public": ("add(1)", "add = q.add", {"q": public.adder("free")}),
        "plain store": ("w[0] += 1", "w = q", {"q": words}),
    }
    measures = {
        name: partial(
            call_ns, Timer(statement, setup, thread_time, names), CALLS // (SLOW if "public" in name else 1)
        )
        for name, (statement, setup, names) in statements.items()
    }
    alternating(measures, 1)
    taken = [alternating(measures, SLICES_SMOKE if smoke else SLICES) for _ in range(2 if smoke else REPETITIONS)]
    words.release()
    return {name: [one[name] for one in taken] for name in measures}


def together_ns(body: Callable[[int], None], updates: int, overlaps: list[float]) -> float:
    """Run a body on two threads at once; return the nanoseconds of an update; note how far they overlapped."""
    spans: list[tuple[int, int]] = []
    barrier = threading.Barrier(2)

    def thread() -> None:
        barrier.wait(JOIN_S)
        began_ns = perf_counter_ns()
        body(updates)
        spans.append((began_ns, perf_counter_ns()))

    threads = [threading.Thread(target=thread, daemon=True) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(JOIN_S)
    if len(spans) < 2:
        raise RuntimeError(f"two threads did not end within {JOIN_S:.0f} s")
    began, ended = zip(*spans, strict=True)
    wall_ns: int = max(ended) - min(began)
    overlaps.append(max(0, min(ended) - max(began)) / wall_ns)
    return wall_ns / updates


def together(page: CounterPage, smoke: bool) -> dict[str, list[float]]:
    """Time two threads on one counter and on one lock, in turn; return the nanoseconds of an update."""
    lock, slot = threading.Lock(), page.slot("zeropages")

    def by_counter(updates: int) -> None:
        add = page.adder("free").add
        for _ in range(updates):
            add(1)

    def by_lock(updates: int) -> None:
        acquire, release, words = lock.acquire, lock.release, page.view()
        for _ in range(updates):
            acquire()
            words[slot] += 1
            release()
        words.release()

    overlaps: list[float] = []
    updates = UPDATES_SMOKE if smoke else UPDATES
    bodies = {"counter": by_counter, "lock": by_lock}
    took = interleaved(
        {name: partial(together_ns, body, updates, overlaps) for name, body in bodies.items()},
        1 if smoke else REPETITIONS,
        warm_up=not smoke,
    )
    print(f"  two threads, one counter {spread(took['counter'])} ns; one lock {spread(took['lock'])} ns")
    print(f"  they overlapped for at least {100 * min(overlaps):.0f} % of the time")
    return took


def ratios(upper: list[float], lower: list[float]) -> list[float]:
    """Divide the times of each repetition."""
    return [a / b for a, b in zip(upper, lower, strict=True)]


def bench(smoke: bool) -> list[Record]:
    """Time one thread, then two where they run at once."""
    parallel = not gil_enabled() and len(os.sched_getaffinity(0)) > 1
    page, public = CounterPage(("free", "zeropages")), CounterPage(("free",), public_calls=True)
    try:
        ns = alone(page, public, smoke)
        for name, values in ns.items():
            print(f"  {name:<24} {spread(values)} ns")
        if not page.direct:
            print("  the direct call of a counter is not to be had here; percpu uses the public one")
        both_ns = together(page, smoke) if parallel else {}
    finally:
        page.close()
        public.close()
    ratio = RATIO.record(ratios(ns["counter, direct"], ns["lock pair"]), judged=False)
    if not parallel:
        print("  two threads at once: not measured, here they take turns")
        return [ratio, CONTENDED.unmeasured()]
    return [ratio, CONTENDED.record(ratios(both_ns["counter"], both_ns["lock"]), judged=False)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
