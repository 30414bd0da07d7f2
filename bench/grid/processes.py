"""Processes that build up and end on every CPU, out of step, under one lock: what the allocator takes of their time.

Whether frees in chunks pay can only show where holds of many pages meet others: where CPUs allocate and free at the
same time, under a lock that is more or less busy. How busy is the work between two operations.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from uvmfree.errors import OutOfPages
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.cell import Worker
from uvmfree.measure.workloads import PAGES_PER_CPU
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Lane, drive

PAGES: Final = 4000
"""Of a process, a quarter to seven quarters of it: 16 MB, a compiler."""

OPERATIONS: Final = 12_000
"""Of each CPU, at least: a process and a half. The first third is warm-up."""

FREES_FASTER: Final = 4
"""An exit frees page after page; between two allocations there is a page fault."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What an operation took in the allocator, in virtual nanoseconds, and for which share of the time the lock was
    held."""

    ns: float
    busy_percent: float


def processes(
    design: str,
    ncpus: int,
    think_ns: int,
    changed: dict[str, float],
    *,
    pages: int = PAGES,
    operations: int = OPERATIONS,
    **tunables: Any,
) -> Spent:
    """Run it under an MCS lock; OutOfPages if an allocation failed."""
    costs = costs_for("xeon-2s").with_figures(changed, "processes")
    machine = VirtualMachine(ncpus=ncpus, costs=costs, lock="mcs", seed=1, lockstat=True)
    npages = max(1 << 18, 2 * ncpus * (pages + PAGES_PER_CPU))
    uvm = boot(machine, npages=npages, ncpus=ncpus, design=design, lockstat=True, **tunables)
    spent_ns, counted = [0] * ncpus, [0] * ncpus

    def body(cpu: Cpu, lane: Lane) -> None:
        dice, at, done, held = random.Random(lane.index), lane.index, 0, []
        machine.charge(dice.randrange(2 * pages * think_ns))
        while done < operations:
            for _ in range(round(pages * dice.uniform(0.25, 1.75))):
                began_ns = machine.clock_ns()
                pg = cpu.pagealloc()
                if pg is None:
                    raise OutOfPages(f"processes: {npages} pages were not enough")
                held.append(pg)
                done += 1
                _count(at, done, machine.clock_ns() - began_ns)
                machine.charge(think_ns)
            while held:
                pg, began_ns = held.pop(), machine.clock_ns()
                cpu.pagefree(pg)
                done += 1
                _count(at, done, machine.clock_ns() - began_ns)
                machine.charge(think_ns // FREES_FASTER)

    def _count(at: int, done: int, ns: int) -> None:
        if done > operations // 3:
            spent_ns[at] += ns
            counted[at] += 1

    with uvm:
        drive(uvm, [body] * ncpus, Worker.stop)
        uvm.audit()
        held_ns = sum(lock.hold_ns_total for lock in uvm.lockstat() if lock.kind == "shared")
    return Spent(sum(spent_ns) / sum(counted), 100 * held_ns / machine.clock_ns())
