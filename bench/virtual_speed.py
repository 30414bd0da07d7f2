"""Claims: the virtual machine switches strands in 1 us, and plays 80,000 to a million page operations a second.

How: local bursts with 1,000 ns of work outside of each pair, as many operations for each number of CPUs, in processor
time of the host. `fpageqlock` is the dear case: each operation takes the shared lock, and with 16 CPUs most of them
wait for it. A local hit of `percpu` is the cheap one. A switch is half of a ping-pong between two strands.

Whole runs are timed as a user has them, by the wall clock: two curves as commands of their own, on all processors;
the largest machine in a process of its own, whose peak of memory is judged, too. What they took of the processors is
printed beside: on a busy host that is the figure to look at.

The cost of an event may grow with the logarithm of the number of CPUs, since the heap does: judged is its cost at 256
CPUs over that at 16, which are twice as many levels of the heap; the caches of the host have their part in it.

What could fool it: a workload that fails early is quick, so every run is audited and its operations are counted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time

from bench.harness import Claim, Record, interleaved, main, no_gc
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.scale import Case, Traffic
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Body, Lane, drive

SWITCH = Claim("virtual-switch", "a switch of strands of the virtual machine", "us", 1.0)
SHARED_16 = Claim(
    "virtual-fpageqlock-16", "operations of fpageqlock on 16 virtual CPUs", "per s", 300_000, at_least=True
)
SHARED_256 = Claim("virtual-fpageqlock-256", "the same on 256", "per s", 80_000, at_least=True)
LOCAL = Claim(
    "virtual-local-hits", "local hits of percpu and their frees on 1 virtual CPU", "per s", 1e6, at_least=True
)
GROWTH = Claim("virtual-event-growth", "cost of an operation of fpageqlock, 256 CPUs over 16", "x", 2.0)
CURVE = Claim("virtual-curve-9", "9 points of two designs, local bursts, 1 to 256 CPUs", "s", 15.0)
COPIES_64 = Claim("virtual-copies-64", "two designs, copies of the shipped trace on 2 to 64 CPUs", "s", 30.0)
COPIES_224 = Claim("virtual-copies-224", "percpu, refill 32, 112 copies on 224 CPUs: a loop, and another", "s", 90.0)
COPIES_RATE = Claim("virtual-copies-224-rate", "page operations of the latter", "per s", 300_000, at_least=True)
COPIES_MEMORY = Claim("virtual-copies-224-memory", "peak memory of the latter", "MiB", 1024)

BURST_PAGES, THINK_NS = 16, 1000
OPERATIONS, OPERATIONS_SMOKE = 300_000, 20_000
SWITCHES, SWITCHES_SMOKE = 200_000, 5_000


def switch_us(switches: int) -> float:
    """Return what a switch takes: two strands that sleep for the same time, each in turn."""
    machine = VirtualMachine(ncpus=2)

    def body() -> None:
        for _ in range(switches // 2):
            machine.charge(10)
            if machine.scheduler.now > machine.scheduler.head:
                machine.scheduler.sync()

    tasks = [machine.spawn(f"cpu/{cpu}", body, cpu) for cpu in range(2)]
    with no_gc():
        began_s = process_time()
        machine.wait_for(tasks, lambda: False)
        took_s = process_time() - began_s
    return took_s / machine.scheduler.number * 1e6


def operations_per_s(design: str, ncpus: int, operations: int, think_ns: int = THINK_NS) -> float:
    """Return how many page operations a second of the host's processor time plays."""
    machine = VirtualMachine(ncpus=ncpus)
    bursts = max(1, operations // (2 * BURST_PAGES * ncpus))

    def body(cpu: Cpu, lane: Lane) -> None:
        pagealloc, pagefree, charge = cpu.pagealloc, cpu.pagefree, machine.charge
        for _ in range(bursts):
            held = []
            for _ in range(BURST_PAGES):
                charge(think_ns)
                held.append(pagealloc())
            for pg in held:
                assert pg is not None
                pagefree(pg)

    bodies: list[Body] = [body] * ncpus
    with boot(machine, npages=1024 * ncpus, ncpus=ncpus, design=design) as uvm, no_gc():
        began_s = process_time()
        drive(uvm, bodies)
        took_s = process_time() - began_s
        uvm.audit()
        done = sum(cpu.allocs + cpu.frees for cpu in uvm.cpu_stats())
        if done != 2 * BURST_PAGES * bursts * ncpus:
            raise RuntimeError(f"{done} operations were done")
    return done / took_s


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command took: by the wall clock, of all processors, most memory of one process; and what it printed."""

    wall_s: float
    processors_s: float
    peak_mib: float
    printed: str


def spent(what: str, arguments: Sequence[str]) -> Spent:
    """Run Python with these arguments to its end, and say what it took."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    began_s = perf_counter()
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout is not None
        printed = command.stdout.read()
        _, status, usage = os.wait4(command.pid, 0)
        command.returncode = os.waitstatus_to_exitcode(status)
    if command.returncode != 0:
        raise RuntimeError(f"{what}: exit code {command.returncode}")
    took = Spent(perf_counter() - began_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, printed)
    print(f"{what}: {took.wall_s:.1f} s, of processors {took.processors_s:.1f} s, peak {took.peak_mib:.0f} MiB")
    return took


def play_copies(copies: int, loops: float) -> None:
    """Play copies of the shipped trace for so many loops, twice; print the operations of each half, and its time."""
    traffic = Traffic()
    case = Case("percpu", copies * traffic.least_cpus(), traffic, settings=("refill=32",))
    made = case.machine()
    uvm = boot(made, **asdict(case.param()) | {"lockstat": False})
    load, half_s = traffic.load(uvm, made, case.seed), loops * traffic.loop_s()
    with uvm:
        machine, seen = uvm.machine, []

        def look() -> None:
            for _ in range(2):
                machine.sleep(half_s)
                seen.append((sum(cpu.allocs + cpu.frees for cpu in uvm.cpu_stats()), process_time()))

        with no_gc():
            began_s = process_time()
            machine.spawn("look", look)
            drive(uvm, load.bodies, seconds=2 * half_s * 1.001)
    (warm, warm_s), (done, done_s) = seen
    print(
        json.dumps({"warm": warm, "warm_s": warm_s - began_s, "counted": done - warm, "counted_s": done_s - warm_s})
    )


def whole_runs(smoke: bool) -> list[Record]:
    """Time what a user runs."""
    judged = not smoke and VirtualMachine().strands == "greenlet"
    scale = ("-m", "uvmfree", "scale", "--design", "percpu", *(() if smoke else ("--design", "fpageqlock")))
    curve = spent("9 points", (*scale, "--cpus", "2") if smoke else scale)
    copies_64 = (*scale, "--workload", "trace", "--cpus", "2,4,8,16,32,64")
    trace = curve if smoke else spent("copies to 64 CPUs", copies_64)
    copies, loops = (1, 0.02) if smoke else (112, 1)
    program = f"from bench.virtual_speed import play_copies; play_copies({copies}, {loops})"
    largest = spent(f"{copies} copies", ("-c", program))
    figures = json.loads(largest.printed)
    return [
        CURVE.record([curve.wall_s], judged=judged),
        COPIES_64.record([trace.wall_s], judged=judged),
        COPIES_224.record([largest.wall_s], judged=judged),
        COPIES_RATE.record([figures["counted"] / figures["counted_s"]], judged=judged),
        COPIES_MEMORY.record([largest.peak_mib], judged=judged),
    ]


def bench(smoke: bool) -> list[Record]:
    """Take all speeds in turn."""
    # First: a command's peak of memory is at least what this process had when it began the command.
    whole = whole_runs(smoke)
    operations = OPERATIONS_SMOKE if smoke else OPERATIONS
    found = interleaved(
        {
            "switch": lambda: switch_us(SWITCHES_SMOKE if smoke else SWITCHES),
            "16": lambda: operations_per_s("fpageqlock", 16, operations),
            "256": lambda: operations_per_s("fpageqlock", 256, operations),
            "local": lambda: operations_per_s("percpu", 1, operations),
        },
        repetitions=1 if smoke else 5,
        warm_up=not smoke,
    )
    growth = [few / many for few, many in zip(found["16"], found["256"], strict=True)]
    judged = not smoke and VirtualMachine().strands == "greenlet"
    return [
        SWITCH.record(found["switch"], judged=judged),
        SHARED_16.record(found["16"], judged=judged),
        SHARED_256.record(found["256"], judged=judged),
        LOCAL.record(found["local"], judged=judged),
        GROWTH.record(growth, judged=judged),
        *whole,
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
