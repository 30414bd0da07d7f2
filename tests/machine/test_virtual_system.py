"""Whole systems on the virtual machine: each workload runs, the same twice; what holds cost is what they touch."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import uvmfree
from tests.machine.virtual_rig import costs
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.run import Run, run
from uvmfree.measure.workloads import by_name
from uvmfree.param import Param
from uvmfree.workload import pressure, synthetic
from uvmfree.workload.driver import Body, Drive, drive
from uvmfree.workload.load import Load

NCPUS = 4
LOADS: dict[str, Callable[[uvmfree.Uvm], Load]] = {
    "pingpong": lambda uvm: Load(uvm, synthetic.pingpong(NCPUS, 300)),
    "handoff": lambda uvm: Load(uvm, synthetic.handoff(NCPUS, 300, uvm.machine.event)),
    "forkexit": lambda uvm: pressure.forkexit(uvm, 2),
    "pressure": lambda uvm: pressure.pressure(uvm, 0.01),
}


def once(kind: str, design: str, *, seed: int = 1, npages: int = 4096, **how: Any) -> Run:
    """Run a short workload on a virtual machine that is checked."""
    workload = replace(by_name(kind, ncpus=NCPUS), load=LOADS[kind])
    machine = VirtualMachine(ncpus=NCPUS, seed=seed, lockstat=True, check=kind != "pressure", **how)
    param = Param(npages=npages, ncpus=NCPUS, design=design)
    done = run(workload, param, design, 0, lockstat=True, stop=lambda: False, machine=machine)
    assert done is not None
    return done


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", LOADS)
@pytest.mark.parametrize("design", list(uvmfree.DESIGNS))
def test_every_workload_runs_and_is_the_same_again(kind: str, design: str) -> None:
    first = once(kind, design)
    assert first == once(kind, design)
    assert first.drive.wall_ns > 0
    assert first != once(kind, design, seed=2)


@pytest.mark.skipif(not greenlets_work(), reason="no greenlet here")
def test_both_kinds_of_strands_give_the_same_records() -> None:
    assert once("handoff", "percpu", strands="greenlet") == once("handoff", "percpu", strands="baton")


def drive_one(design: str, bodies: Callable[[VirtualMachine], list[Body]], ncpus: int, **tunables: Any) -> Drive:
    """Drive bodies on a machine of round figures; RAM is at hand, and no CPU does more than its body."""
    figures = costs(line_memory=0, cached_alloc=60, cached_free=40, global_outside=0, global_alloc=30, page_moved=10)
    machine = VirtualMachine(ncpus=ncpus, costs=figures, lock="mcs", check=True)
    with uvmfree.boot(machine=machine, npages=2048, ncpus=ncpus, design=design, **tunables) as uvm:
        return drive(uvm, bodies(machine))


def test_local_hits_take_the_sum_of_the_table() -> None:
    """A pair of acquire and release is 15, the work 60 and 40; the first allocation fetches its page."""

    def bodies(machine: VirtualMachine) -> list[Body]:
        def body(cpu: Any, lane: Any) -> None:
            cpu.pagefree(cpu.pagealloc())
            # The colour moves on: pages of each colour have been fetched then.
            for _ in range(7):
                cpu.pagefree(cpu.pagealloc())
            began_ns = machine.clock_ns()
            for _ in range(100):
                cpu.pagefree(cpu.pagealloc())
            assert machine.clock_ns() - began_ns == 100 * (15 + 60 + 15 + 40)

        return [body]

    drive_one("percpu", bodies, 1)


@pytest.mark.parametrize("refill", [1, 8, 64])
def test_a_hold_costs_what_it_touches(refill: int) -> None:
    """The global lock: 15 and 30, 10 a page. The update of uvmexp.free: 20. The CPU's own: 15 and 60."""

    def bodies(machine: VirtualMachine) -> list[Body]:
        def body(cpu: Any, lane: Any) -> None:
            for _ in range(2):
                began_ns = machine.clock_ns()
                cpu.pagealloc(color=0)
                took_ns = machine.clock_ns() - began_ns
                assert took_ns == 15 + 60 + 15 + 30 + 10 * refill + 20
                for _ in range(refill - 1):
                    cpu.pagealloc()

        return [body]

    drive_one("percpu", bodies, 1, refill=refill)


def test_a_page_brings_its_line_along() -> None:
    """CPU 1 frees what CPU 0 allocated: a transfer of 100 for each page, and none for those that it frees again."""
    took: list[int] = []

    def bodies(machine: VirtualMachine) -> list[Body]:
        pages: list[Any] = []
        ready = machine.event()

        def giver(cpu: Any, lane: Any) -> None:
            pages.extend(cpu.pagealloc() for _ in range(8))
            ready.notify()

        def taker(cpu: Any, lane: Any) -> None:
            ready.sleep_until(lambda: len(pages) == 8)
            for _ in range(2):
                began_ns = machine.clock_ns()
                for pg in pages:
                    cpu.pagefree(pg)
                took.append(machine.clock_ns() - began_ns)
                pages[:] = [cpu.pagealloc() for _ in range(8)]

        return [giver, taker]

    drive_one("percpu", bodies, 2)
    assert took == [8 * (15 + 40 + 100), 8 * (15 + 40)]
