"""Claims: the virtual machine switches strands in 1 us, and plays 80,000 to a million page operations a second.

How: local bursts with 1,000 ns of work outside of each pair, as many operations for each number of CPUs, in processor
time of the host. `fpageqlock` is the dear case: each operation takes the shared lock, and with 16 CPUs most of them
wait for it. A local hit of `percpu` is the cheap one. A switch is half of a ping-pong between two strands.

The cost of an event may grow with the logarithm of the number of CPUs, since the heap does: judged is its cost at 256
CPUs over that at 16, which are twice as many levels of the heap; the caches of the host have their part in it.

What could fool it: a workload that fails early is quick, so every run is audited and its operations are counted.
"""

import sys
from time import process_time

from bench.harness import Claim, Record, interleaved, main, no_gc
from uvmfree.machine.virtual.machine import VirtualMachine
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
    return took_s / machine.scheduler.steps * 1e6


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


def bench(smoke: bool) -> list[Record]:
    """Take all speeds in turn."""
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
    ]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
