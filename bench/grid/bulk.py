"""Bulk: every CPU allocates many pages at once, then frees them all; what an operation takes, in virtual time.

The micro-benchmark of LLFree's evaluation: nobody works outside of the allocator, so that a lock that is taken for
each batch is full from a few CPUs on, and what an operation takes grows with their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from uvmfree.errors import OutOfPages
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.cell import Worker
from uvmfree.measure.workloads import PAGES_PER_CPU
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Lane, drive

NPAGES: Final = 1 << 19
"""RAM, the same for few CPUs and many, since sizes are derived from it: 2 GiB, where a batch of Linux is 63 pages."""

WARM_PAGES: Final = 512
"""Pages before a CPU looks at its clock: batches have grown by then."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """What an allocation and a free took, in virtual nanoseconds, on average over CPUs and pages."""

    alloc_ns: float
    free_ns: float


def bulk(
    design: str,
    ncpus: int,
    *,
    pages: int = 4096,
    costs: str = "one-socket",
    changed: dict[str, float] | None = None,
    lock: str = "mcs",
    think_ns: int = 0,
    **tunables: Any,
) -> Bulk:
    """Run it; `think_ns`: work outside after each operation, which is not counted.

    => OutOfPages if an allocation failed.
    """
    table = costs_for(costs).with_figures(changed or {}, "bulk")
    machine = VirtualMachine(ncpus=ncpus, costs=table, lock=lock, seed=1)
    npages = max(NPAGES, 2 * ncpus * (pages + PAGES_PER_CPU))
    uvm = boot(machine, npages=npages, ncpus=ncpus, design=design, **tunables)
    took: dict[str, list[float]] = {"alloc": [0.0] * ncpus, "free": [0.0] * ncpus}
    full = [0]  # CPUs that have allocated all; one strand runs at a time

    def body(cpu: Cpu, lane: Lane) -> None:
        held: list[VmPage] = []

        def alloc() -> None:
            pg = cpu.pagealloc()
            if pg is None:
                raise OutOfPages(f"bulk: {npages} pages were not enough")
            held.append(pg)

        def phase(name: str, step: Any) -> None:
            for number in range(pages):
                if number == WARM_PAGES:
                    began_ns = machine.clock_ns()
                step()
                if think_ns:
                    machine.charge(think_ns)
            counted = pages - WARM_PAGES
            took[name][lane.index] = (machine.clock_ns() - began_ns) / counted - think_ns

        phase("alloc", alloc)
        full[0] += 1
        lane.notify()
        lane.wait_until(lambda: full[0] == ncpus)
        held.reverse()
        phase("free", lambda: cpu.pagefree(held.pop()))

    with uvm:
        drive(uvm, [body] * ncpus, Worker.stop)
        uvm.audit()
    return Bulk(*(sum(took[name]) / ncpus for name in ("alloc", "free")))
