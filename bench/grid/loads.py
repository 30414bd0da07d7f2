"""Loads of the table that no other script has: a trace several times over, and a process that ends.

=> Both are for virtual time: a second in which nobody works costs the host nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from uvmfree.errors import OutOfPages
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, drive
from uvmfree.workload.load import Load
from uvmfree.workload.replay import Copy
from uvmfree.workload.replay_plan import Plan

PROCESS_PAGES: Final = 20_000
"""What the process that ends has: 80 MB."""

EXIT_CPUS: Final = 4
EXIT_NPAGES: Final = 65_536

LOOKS_S: Final = (0, 1, 5, 20)
"""When to look after the exit; Linux' sets need tens of seconds to shrink."""

OTHERS_PAGES, OTHERS_NS = 8, 10_000_000
"""The other CPUs go on slowly: so many pages each ten milliseconds."""

TOUCH_NS: Final = 1000
"""Work outside of the allocator between two pages of the process."""


def passes(uvm: Uvm, plans: Sequence[Plan]) -> Load:
    """Make the load that replays plans one after the other, with the recorded gaps; all but the last must loop.

    => A CPU begins its next pass when it has ended one, whatever the others do; they are at most a window apart.
    """
    made = [Copy(plan, uvm, gaps=True) for plan in plans]
    bodies = [copy.bodies() for copy in made]

    def on_end(parts: Sequence[Body]) -> Body:
        def body(cpu: Cpu, lane: Lane) -> None:
            for part in parts:
                part(cpu, lane)

        return body

    def counts() -> dict[str, int]:
        counted = [copy.runs.counts() for copy in made]
        return {name: sum(one[name] for one in counted) for name in counted[0]}

    return Load(uvm, [on_end(parts) for parts in zip(*bodies, strict=True)], counts=counts)


def outside(uvm: Uvm) -> int:
    """Count the free pages that are in caches, or parked between them."""
    return sum(uvm.cached_pages()) + uvm.design.parked()


def after_exit(machine: VirtualMachine, tunables: dict[str, Any], pages: int = PROCESS_PAGES) -> dict[str, int]:
    """Let a process build up and end on CPU 0, which is idle from then on; say what is outside of the store then.

    => `before` the process, and so many seconds after its end; `idle_after_N_s`: of that, on CPU 0. The other CPUs go
       on slowly, and what is in their caches is in use.
    """
    sizes = {"ncpus": EXIT_CPUS, "npages": EXIT_NPAGES}
    uvm = boot(machine, **{**sizes, **tunables})
    seen: dict[str, int] = {}

    def process(cpu: Cpu, lane: Lane) -> None:
        seen["before"] = outside(uvm)
        held: list[VmPage] = []
        for _ in range(pages):
            pg = cpu.pagealloc(True)
            if pg is None:
                raise OutOfPages(f"{pages} pages do not fit into {EXIT_NPAGES}")
            held.append(pg)
            machine.charge(TOUCH_NS)
        for pg in held:
            cpu.pagefree(pg)
        began_ns = machine.clock_ns()
        for after_s in LOOKS_S:
            left_s = after_s - (machine.clock_ns() - began_ns) / 1e9
            if left_s > 0:
                machine.sleep(left_s)
            seen[f"after_{after_s}_s"] = outside(uvm)
            seen[f"idle_after_{after_s}_s"] = uvm.cached_pages()[0]
        lane.end_run()

    def other(cpu: Cpu, lane: Lane) -> None:
        while not lane.stopped:
            held = [pg for _ in range(OTHERS_PAGES) if (pg := cpu.pagealloc()) is not None]
            for pg in held:
                cpu.pagefree(pg)
            machine.charge(OTHERS_NS)

    with uvm:
        drive(uvm, [process, *[other] * (EXIT_CPUS - 1)])
        uvm.audit()
    return seen
