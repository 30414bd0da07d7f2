"""The runs that are both made and predicted: a design, a workload, one or two CPUs, real threads or virtual time.

As a program it measures them on this interpreter, for bench/predict.py, and prints JSON: `runs.py OPERATIONS`.

=> Rates are nanoseconds a page operation and CPU: less is better, and one CPU's are what two would ideally have.
=> Waits are shares of all CPUs' time. The warm-up is left out by a first run on the same system.
"""

import functools
import gc
import json
import random
import resource
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

from uvmfree.uvm.boot import boot
from uvmfree.uvm.system import OBSERVER, Uvm
from uvmfree.workload import pressure, replay, replay_plan, synthetic
from uvmfree.workload.driver import Body, drive
from uvmfree.workload.load import Load
from uvmfree.workload.thinking import thinking
from uvmfree.workload.trace import read_trace

DESIGNS: Final[dict[str, dict[str, Any]]] = {
    "fpageqlock": {"design": "fpageqlock"},
    "percpu, refill 1": {"design": "percpu", "refill": 1},
    "percpu, refill 32": {"design": "percpu", "refill": 32},
}
WORKLOADS: Final = ("pingpong", "handoff", "forkexit", "cc-j4")
TRACE: Final = Path(__file__).resolve().parents[1] / "traces" / "cc-j4.perf.xz"

BARE_HOLD, BARE_OUTSIDE = 40, (140, 260)
"""Turns of a loop under a bare lock, and, from and to, between two holds: threads that do the same fall into step."""


def alone(workload: str) -> str:
    """The workload whose one-CPU run stands for this one: handing over takes two."""
    return "pingpong" if workload == "handoff" else workload


def bodies(uvm: Uvm, workload: str, operations: int) -> Sequence[Body]:
    """Make a load of about so many page operations a CPU."""
    ncpus, charge = uvm.param.ncpus, uvm.machine.charge
    if workload == "cc-j4":
        return replay.bodies(_plan(ncpus), uvm)
    if workload == "forkexit":
        return pressure.forkexit(uvm, max(1, operations // (2 * synthetic.BURST_PAGES))).bodies
    if workload == "handoff":
        made = synthetic.handoff(ncpus, operations, uvm.machine.event)
    else:
        made = synthetic.pingpong(ncpus, operations // 2)
    return Load(uvm, thinking(made, charge, 0)).bodies


@functools.cache
def _plan(ncpus: int) -> replay_plan.Plan:
    """The trace as it was recorded on two CPUs; its tasks one after the other on one."""
    return replay_plan.plan(read_trace(TRACE), ncpus=ncpus, by="cpu" if ncpus > 1 else "task")


def once(design: str, workload: str, ncpus: int, operations: int, machine: Any = None) -> tuple[float, float, float]:
    """Run once; return nanoseconds an operation and CPU, the wait share, and the mean hold of a shared lock."""
    place = [] if machine is None else [machine]
    with boot(*place, npages=131072, ncpus=ncpus, lockstat=True, **DESIGNS[design]) as uvm:
        if machine is None:
            uvm.physmem.populate()
        passes = []
        for _ in range(2 if workload != "cc-j4" else 1):  # the first fills the caches
            before = _counted(uvm)
            gc.collect()
            done = drive(uvm, bodies(uvm, workload, operations))
            if done.interrupted:
                raise KeyboardInterrupt
            passes.append((done.wall_ns, *(b - a for a, b in zip(before, _counted(uvm), strict=True))))
        wall_ns, ops, waited, held, acquired = passes[-1]
    return wall_ns * ncpus / ops, waited / (wall_ns * ncpus), held / max(1, acquired)


def _counted(uvm: Uvm) -> tuple[int, int, int, int]:
    """Page operations, waits, and holds of the shared lock: their time and number."""
    locks = [one for one in uvm.lockstat(by_caller=True) if one.caller != OBSERVER]
    shared = [one for one in locks if one.name.startswith("uvm_fpageqlock")]
    waits = sum(one.wait_ns_total for one in locks if one.name.startswith(("uvm_fpageqlock", "uvm_cpu")))
    held, acquired = sum(one.hold_ns_total for one in shared), sum(one.acquired for one in shared)
    return sum(cpu.allocs + cpu.frees for cpu in uvm.cpu_stats()), waits, held, acquired


def miss(design: str, pages: int) -> float:
    """Return nanoseconds of an allocation by a CPU whose cache is empty, so that each `refill`-th one is a miss."""
    with boot(npages=4 * pages, ncpus=1, **DESIGNS[design]) as uvm, uvm.run_on(0) as cpu:
        uvm.physmem.populate()
        began = perf_counter_ns()
        held = [cpu.pagealloc() for _ in range(pages)]
        took = perf_counter_ns() - began
        for pg in held:
            if pg is not None:
                cpu.pagefree(pg)
    return took / pages


def bare(threads: int, holds: int, *, awake: bool = False) -> tuple[float, float]:
    """Return nanoseconds a hold and thread of one lock, with a short loop under it and a longer one outside; and how
    many of the holds a thread slept before.

    => `awake`: who finds the lock held tries again and again, and never sleeps.
    """
    lock, gate = threading.Lock(), threading.Barrier(threads)
    took, slept = [0] * threads, [0] * threads

    def body(index: int) -> None:
        acquire, release = lock.acquire, lock.release
        dice = random.Random(index)
        outside = [dice.randint(*BARE_OUTSIDE) for _ in range(holds)]
        gate.wait()
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        began = perf_counter_ns()
        for turns in outside:
            if awake:
                while not acquire(False):
                    pass
            else:
                acquire()
            for _ in range(BARE_HOLD):
                pass
            release()
            for _ in range(turns):
                pass
        took[index] = perf_counter_ns() - began
        slept[index] = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before

    players = [threading.Thread(target=body, args=(index,)) for index in range(threads)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    return sum(took) / threads / holds, sum(slept) / threads / holds


def loop(turns: int, times: int) -> float:
    """Return nanoseconds of such a loop."""
    began = perf_counter_ns()
    for _ in range(times):
        for _ in range(turns):
            pass
    return (perf_counter_ns() - began) / times


def pair(times: int) -> float:
    """Return nanoseconds of an uncontended acquire and release."""
    acquire, release = (lock := threading.Lock()).acquire, lock.release
    began = perf_counter_ns()
    for _ in range(times):
        acquire()
        release()
    return (perf_counter_ns() - began) / times - loop(1, times) / 2


def measure(operations: int) -> dict[str, Any]:
    """Measure all that is fitted, and all that is predicted."""
    from uvmfree.measure.host import gil_enabled

    one, two = {}, {}
    for design in DESIGNS:
        for workload in WORKLOADS:
            if alone(workload) == workload:
                one[f"{design}; {workload}"] = once(design, workload, 1, operations)
            two[f"{design}; {workload}"] = once(design, workload, 2, operations)
    return {
        "gil": gil_enabled(),
        "python": sys.version.split()[0],
        "one": one,
        "two": two,
        "miss": {design: miss(design, max(1024, operations // 8)) for design in DESIGNS},
        "pair": pair(operations),
        "hold": loop(BARE_HOLD, operations // 10),
        "bare": [list(bare(threads, operations // 5)) for threads in (1, 2)],
        "awake": [list(bare(threads, operations // 5, awake=True)) for threads in (1, 2)],
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
