"""The open questions that want single calls, not a run: what each does, and how long it takes.

Q7 (reserves beside full caches), Q8 (contiguous allocation: from the store, or drain first), Q9 (what colours cost a
cache that has hardly a page, as after a redistribution), Q10 (what an idle machine pays for the timers), Q12 (how
long the global lock is held for a splice), Q13 (recolouring, detaching and attaching a CPU with pages in its cache);
docs/questions.md has them in words. bench/questions.py has those that want runs.

How: one thread plays all CPUs, so that nobody else is in the way; each call several times, on freshly filled caches,
the settings of a question in turn. Hold times are from a system all of whose holds are timed. Nothing is judged: a
question has no bound.

What could fool it: a call is timed whole, the wait for locks that nobody holds included. What the timers of an idle
machine cost is measured in processor time of the process, against a system whose timers never come due.
"""

import statistics
import sys
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter_ns, process_time
from typing import Final

from bench.harness import REPETITIONS, Claim, Record, interleaved, main, no_gc, spread
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.uvm.boot import boot, threads
from uvmfree.uvm.designs import PAIR
from uvmfree.uvm.system import Uvm

NPAGES: Final = 65_536
WARM_PAGES: Final = 10_000
"""In each cache, where caches are to be full."""

NEVER_S: Final = 3600.0
RUN_PAGES: Final = 16
IDLE_S: Final = 1.0
SHOTS: Final = 5
PAIRS: Final = 200_000


def fill(uvm: Uvm, pages: int = WARM_PAGES) -> None:
    """Let each CPU have so many pages in its cache, whatever it had."""
    uvm.redistribute()
    for cpu in uvm.cpus:
        for pg in [cpu.pagealloc() for _ in range(pages)]:
            assert pg is not None
            cpu.pagefree(pg)


def shown(asks: str, unit: str, id: str, found: Mapping[str, list[float]], digits: int = 0) -> list[Record]:
    """Print a question's rows; return their records."""
    print(f"\n  {asks}, {unit}")
    for name, values in found.items():
        print(f"    {name:<48} {spread(values, digits)}")
    return [Claim(id, f"{asks}: {name}", unit, None).record(values, judged=False) for name, values in found.items()]


def reserves() -> list[Record]:
    """Q7: let ordinary allocations fail on CPU 0, beside what CPU 1 freed; then allocate with the reserve.

    => The system has no threads: a daemon would hand the caches back, which is what is left out here.
    """
    with_reserve: dict[str, list[float]] = {}
    cached: dict[str, list[float]] = {}
    for design in PAIR:
        uvm = boot(npages=1024, ncpus=2, design=design)
        cpu, other = uvm.cpus
        for pg in [other.pagealloc() for _ in range(400)]:
            assert pg is not None
            other.pagefree(pg)
        while cpu.pagealloc() is not None:
            pass
        got = 0
        while cpu.pagealloc(use_reserve=True) is not None:
            got += 1
        with_reserve[design], cached[design] = [got], [sum(uvm.cached_pages())]
        uvm.audit()
        uvm.close()
    return [
        *shown("Q7: got by a kernel thread after ordinary ones get nothing", "pages", "q7-got", with_reserve),
        *shown("Q7: cached on another CPU when it got no more", "pages", "q7-cached", cached),
    ]


def contiguous(shots: int, repetitions: int) -> list[Record]:
    """Q8: a run that the store has, under its lock, or after handing every cache back; and what the caches keep."""
    names = ("the store's lock", "drain first")
    left: dict[str, list[float]] = {name: [] for name in names}

    def once(name: str) -> float:
        took = []
        for _ in range(shots):
            fill(uvm)
            began_ns = perf_counter_ns()
            if name == "drain first":
                uvm.redistribute()
            pages = uvm.pglistalloc(RUN_PAGES, alignment=RUN_PAGES)
            took.append((perf_counter_ns() - began_ns) / 1e3)
            left[name].append(sum(uvm.cached_pages()))
            uvm.pglistfree(pages)
        return statistics.median(took)

    uvm = boot(npages=NPAGES, ncpus=4)
    with no_gc():
        found = interleaved({name: partial(once, name) for name in names}, repetitions, warm_up=False)
    uvm.audit()
    uvm.close()
    warm = 4 * WARM_PAGES
    return [
        *shown(f"Q8: {RUN_PAGES} aligned pages beside {warm:,} cached ones", "us a call", "q8-us", found),
        *shown(f"Q8: of {warm:,} cached pages, still in the caches", "pages", "q8-left", left),
    ]


def colours(pairs: int, repetitions: int) -> list[Record]:
    """Q9: a local hit and its free, when every colour has pages, and when there is but the page of the pair."""

    def once(cached: int) -> float:
        with boot(npages=NPAGES, ncpus=1, redistribute_interval_s=NEVER_S) as uvm, uvm.run_on(0) as cpu, no_gc():
            fill(uvm, cached)
            began_ns = perf_counter_ns()
            for _ in range(pairs):
                cpu.pagefree(cpu.pagealloc())  # type: ignore[arg-type]  # a local hit: never None
            return (perf_counter_ns() - began_ns) / pairs

    measures = {f"{cached} page{'s' * (cached > 1)} cached": partial(once, cached) for cached in (64, 1)}
    return shown("Q9: a local hit and its free", "ns a pair", "q9-pair-ns", interleaved(measures, repetitions))


def idle(seconds: float, repetitions: int) -> list[Record]:
    """Q10: the processor time that a system takes in which nobody does anything."""

    def once(ncpus: int, interval_s: float) -> float:
        with boot(npages=NPAGES, ncpus=ncpus, redistribute_interval_s=interval_s) as uvm:
            nobody_comes = uvm.machine.raw_lock()
            nobody_comes.acquire()
            began_s = process_time()
            nobody_comes.acquire(True, seconds)
            return (process_time() - began_s) / seconds * 1e3

    measures = {
        f"{ncpus} CPUs, every {interval_s:g} s": partial(once, ncpus, interval_s)
        for ncpus in (4, 64)
        for interval_s in (0.1, 1.0, NEVER_S)
    }
    found = interleaved(measures, repetitions, warm_up=False)
    return shown(
        "Q10: what the timers of an idle machine cost", "ms of processor time a second", "q10-idle", found, 2
    )


def splice_holds(shots: int) -> list[Record]:
    """Q12: how long a redistribution of CPU 0 holds the global lock."""
    found: dict[str, list[float]] = {}
    for pages in (1_000, 10_000, 30_000):
        machine = threads(lockstat=True, locktrace=True)
        assert machine.locktrace is not None
        uvm = boot(machine, npages=NPAGES, ncpus=2, lockstat=True)
        with no_gc():
            for _ in range(shots):
                fill(uvm, pages)
                uvm.redistribute(0)
        held = [
            (each.ended_ns - each.began_ns) / 1e3
            for each in machine.locktrace.slices()
            if each.held and each.lock == UVM_FPAGEQLOCK.name and each.caller == "uvm_redistribute"
        ]
        found[f"{pages:,} pages"] = held
        uvm.audit()
        uvm.close()
    return shown("Q12: the global lock held for a splice", "us", "q12-held", found, 1)


def hotplug(repetitions: int) -> list[Record]:
    """Q13: recolour, detach and attach, with full caches; no page is lost, says the audit."""
    found: dict[str, list[float]] = {}

    def took(name: str, call: Callable[[], object]) -> None:
        began_ns = perf_counter_ns()
        call()
        found.setdefault(name, []).append((perf_counter_ns() - began_ns) / 1e6)

    for design in PAIR:
        with boot(npages=NPAGES, ncpus=2, design=design, redistribute_interval_s=NEVER_S) as uvm, no_gc():
            for _ in range(repetitions):
                fill(uvm)
                took(f"{design}, recolour", lambda: uvm.recolor(8 if uvm.uvmexp.ncolors == 16 else 16))
                fill(uvm)
                took(f"{design}, detach", lambda: uvm.detach(1))
                took(f"{design}, attach", lambda: uvm.attach(1))
                uvm.audit()
    return shown(f"Q13: with {WARM_PAGES:,} pages in each cache", "ms a call", "q13-ms", found, 2)


def bench(smoke: bool) -> list[Record]:
    """Ask one question after the other."""
    repetitions, shots = (1, 1) if smoke else (REPETITIONS, SHOTS)
    return [
        *reserves(),
        *contiguous(shots, repetitions),
        *colours(1_000 if smoke else PAIRS, repetitions),
        *idle(0.1 if smoke else IDLE_S, repetitions),
        *splice_holds(shots * repetitions),
        *hotplug(repetitions),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
