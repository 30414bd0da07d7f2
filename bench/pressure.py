"""Claims: nobody sleeps long beside free pages, nobody is told in vain that there are none, and help comes soon.

- The workload `pressure` on 4 CPUs: an anon map of 1.5 times RAM, for two seconds. An observer looks every 4 ms,
  with the GIL every 20 ms, whether somebody waits for pages while the global list has some above the kernel reserve:
  the longest such spell of all runs is at most 250 ms. No access, and no CPU at the end, finds itself out of memory.
- A pressure redistribution: all of memory is parked in the cache of CPU 1. CPU 0 asks for a page, gets none, which
  kicks the pagedaemon (R17), and waits; the daemon has the caches handed back (P10), and CPU 0 gets its page. From
  the call that fails to the one that succeeds: at most 50 ms at the median.

How: the first on both designs in turn, the worst value of all counts. The second on percpu, since fpageqlock has no
caches, with the two CPUs otherwise idle; beside it, with two threads at work, and with `remote_drain`. What the host
makes of two threads that wake each other, without any allocator, is measured beside them: the way to a page is
four such steps (kick, cross-call, answer, wakeup), with `remote_drain` two.

What could fool it: a spell is seen from its first sample on, so as much as lies between samples is missing; the
observer is a thread that takes turns with the others. Two drains within `redistribute_min_gap_s` would measure the
rate limit: the daemon is left alone for longer than that between them.
"""

import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from bench.harness import REPETITIONS, Claim, Record, interleaved, main, no_gc, spread
from uvmfree.measure.run import Run, figures, run
from uvmfree.measure.workloads import pressure
from uvmfree.param import Param
from uvmfree.uvm.boot import boot
from uvmfree.uvm.designs import PAIR
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm

BESIDE_FREE = Claim(
    "pressure-longest-sleep-beside-free-ms",
    "the longest that a waiter was seen to sleep while pages were on the global list, 4 CPUs, worst of all runs",
    "ms",
    250.0,
)
FALSE_OOM = Claim(
    "pressure-false-oom",
    "accesses, and CPUs at the end, that found no memory while there was some, all runs together",
    "count",
    0.0,
)
TO_PAGE = Claim(
    "pressure-redistribution-to-page-ms",
    "from the kick to a page in hand, all memory being parked in another CPU's cache, percpu, CPUs otherwise idle",
    "ms",
    50.0,
)

NCPUS = 4
SHOTS = 21
NPAGES = 4096
QUIET_NS = 20_000_000
"""Without a wakeup for so long the daemon sleeps. Longer than the rate limit of redistributions, 10 ms."""


def sustained(smoke: bool) -> list[Run]:
    """Run `pressure` on both designs in turn."""
    workload = pressure(NCPUS, 0.3 if smoke else 2.0)
    assert workload.npages is not None
    param = Param(npages=workload.npages, ncpus=NCPUS)
    runs: list[Run] = []

    def once(design: str) -> float:
        done = run(workload, param, design, 0, lockstat=True, stop=lambda: False)
        if done is None:
            raise KeyboardInterrupt
        runs.append(done)
        return figures(done).faults_per_s or 0.0

    faults = interleaved(
        {design: lambda design=design: once(design) for design in PAIR},  # type: ignore[misc]
        1 if smoke else REPETITIONS,
        warm_up=False,
    )
    for design, values in faults.items():
        of = [figures(done) for done in runs if done.design == design]
        print(
            f"  {design:<12} {spread(values)} faults a second; waits for pages {spread([one.waits for one in of])}, "
            f"the longest {max(one.wait_longest_ms for one in of):,.1f} ms, beside free pages "
            f"{max(one.beside_free_longest_ms for one in of):,.1f} ms"
        )
    return runs


PARKINGS_MAX = 20
"""Attempts to park all memory with one CPU; one is the rule."""


def park(uvm: Uvm) -> None:
    """Put all of memory into the cache of CPU 1.

    => Taking it all kicks the daemon, again and again; it has gone back to sleep before the first page is freed.
    """
    uvm.redistribute()
    held: list[VmPage] = []
    while (pg := uvm.cpus[1].pagealloc(use_reserve=True)) is not None:
        held.append(pg)
    quiet_since_ns, woke = perf_counter_ns(), uvm.pagedaemon.pdwoke
    while perf_counter_ns() - quiet_since_ns < QUIET_NS:
        uvm.machine.sleep(50e-6)
        if uvm.pagedaemon.pdwoke != woke:
            quiet_since_ns, woke = perf_counter_ns(), uvm.pagedaemon.pdwoke
    for pg in held:
        uvm.cpus[1].pagefree(pg)


def to_page_ms(uvm: Uvm) -> float:
    """Return how long CPU 0 takes to get a page when all are with CPU 1.

    => A redistribution that an xc thread comes to late, where more threads than processors are at work, undoes the
       parking; it is then done again.
    """
    cpu = uvm.cpus[0]
    for _ in range(PARKINGS_MAX):
        park(uvm)
        began_ns = perf_counter_ns()
        pg = cpu.pagealloc()
        if pg is None:
            break
        cpu.pagefree(pg)
    else:
        raise RuntimeError(f"memory could not be parked with CPU 1 in {PARKINGS_MAX} attempts")
    while pg is None:
        if not uvm.wait(10.0):
            raise RuntimeError("no page came within 10 s")
        pg = cpu.pagealloc()
    took_ns = perf_counter_ns() - began_ns
    cpu.pagefree(pg)
    return took_ns / 1e6


@contextmanager
def at_work(uvm: Uvm, threads: int) -> Iterator[None]:
    """Keep so many threads computing for the length of a `with` block."""
    stop: list[bool] = []  # polled by the threads; a stale answer makes one go round once more

    def spin() -> None:
        while not stop:
            sum(range(1000))

    tasks = [uvm.machine.spawn(f"spin/{number}", spin) for number in range(threads)]
    try:
        yield
    finally:
        stop.append(True)
        for task in tasks:
            if not task.join(10.0):
                raise RuntimeError(f"{task.name} did not end")


def handoff_ms(uvm: Uvm, shots: int) -> float:
    """Return the median time from the release of a lock by one thread to its return from acquire in another."""
    there, back = uvm.machine.raw_lock(), uvm.machine.raw_lock()
    there.acquire()
    back.acquire()

    def echo() -> None:
        for _ in range(shots):
            there.acquire()
            back.release()

    task = uvm.machine.spawn("echo", echo)
    took_ms = []
    for _ in range(shots):
        uvm.machine.sleep(50e-6)  # the echo sleeps by then
        began_ns = perf_counter_ns()
        there.release()
        if not back.acquire(True, 10.0):
            raise RuntimeError("no echo came within 10 s")
        took_ms.append((perf_counter_ns() - began_ns) / 2e6)  # there and back are two
    if not task.join(10.0):
        raise RuntimeError("the echo did not end")
    return statistics.median(took_ms)


def redistribution(smoke: bool) -> list[float]:
    """Time the way to a page, in three settings in turn; return the values of the first."""
    settings = {
        "CPUs idle": (False, 0),
        "CPUs idle, remote_drain": (True, 0),
        "two threads at work": (False, 2),
        "two threads at work, remote_drain": (True, 2),
    }
    shots: dict[str, list[float]] = {name: [] for name in settings}
    handoffs: dict[int, list[float]] = {0: [], 2: []}
    for _ in range(1 if smoke else REPETITIONS):
        for name, (remote, threads) in settings.items():
            with boot(npages=NPAGES, ncpus=2, remote_drain=remote, redistribute_interval_s=3600.0) as uvm:
                values = []
                with at_work(uvm, threads), no_gc():
                    to_page_ms(uvm)  # warms up
                    values = [to_page_ms(uvm) for _ in range(2 if smoke else SHOTS)]
                uvm.audit()
            shots[name].append(statistics.median(values))
            if not remote:
                with boot(npages=NPAGES, ncpus=2) as uvm, at_work(uvm, threads):
                    handoffs[threads].append(handoff_ms(uvm, 2 if smoke else SHOTS))
    for name, medians in shots.items():
        print(f"  from the kick to a page, {name}: {spread(medians, 2)} ms")
    for threads, medians in handoffs.items():
        print(f"  a bare wakeup of one thread by another, {threads} threads at work: {spread(medians, 2)} ms")
    return shots["CPUs idle"]


def bench(smoke: bool) -> list[Record]:
    """Run the workload, then time the redistributions."""
    runs = sustained(smoke)
    beside_free = max(figures(done).beside_free_longest_ms for done in runs)
    false_oom = sum(done.counts["false_oom"] for done in runs)
    return [
        BESIDE_FREE.record([beside_free], judged=not smoke),
        FALSE_OOM.record([false_oom], judged=True),
        TO_PAGE.record(redistribution(smoke), judged=not smoke),
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
