"""Whoever takes a CPU over goes on with what was counted of it, in every design; so does who comes back to it."""

from dataclasses import asdict
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.cpu import Cpu


def booted(design: str) -> uvmfree.Uvm:
    return uvmfree.boot(VirtualMachine(ncpus=2), npages=8192, ncpus=2, ncolors=4, design=design)


def work(cpu: Cpu) -> None:
    """Allocate and free so much that pages come from the store and go back to it, with and without zeros."""
    free_all(cpu, [take(cpu) for _ in range(300)])
    free_all(cpu, [take(cpu, zero=number % 3 == 0, color=number % 5) for number in range(60)])


def counts(uvm: uvmfree.Uvm) -> dict[str, Any]:
    return asdict(uvm.cpu_stats()[0])


@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_each_count_goes_on_with_the_next_player(design: str) -> None:
    with booted(design) as uvm:
        with uvm.run_on(0) as cpu:
            work(cpu)
        before = counts(uvm)
        assert before["allocs"] == before["frees"] == 360
        with uvm.run_on(0) as cpu:
            assert counts(uvm) == before
            work(cpu)
        assert counts(uvm)["allocs"] == counts(uvm)["frees"] == 720
        assert counts(uvm)["atomics"] >= before["atomics"]
        uvm.audit()


@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_each_count_goes_on_when_the_cpu_comes_back(design: str) -> None:
    """What it cached has gone to the store by then; to bring it there may take atomic updates."""
    with booted(design) as uvm:
        with uvm.run_on(0) as cpu:
            work(cpu)
        before = counts(uvm)
        uvm.detach(0)
        gone = counts(uvm)
        assert gone["cached"] == 0
        assert gone["atomics"] >= before["atomics"]
        uvm.attach(0)
        assert counts(uvm) == gone
        moving = ("drained", "filled", "cached", "atomics")
        assert [gone[name] for name in gone if name not in moving] == [
            before[name] for name in before if name not in moving
        ]
        uvm.audit()


@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_what_others_freed_on_a_cpus_account_stays_told_apart(design: str) -> None:
    """The depot takes a CPU for idle by what it did itself."""
    with booted(design) as uvm:
        pages = [take(uvm.cpus[0]) for _ in range(4)]
        for pg in pages:
            uvm.design.pagefree_global(pg)
        booked = sum(cpu.booked for cpu in uvm.cpus)
        assert booked == 4
        for index in range(2):
            with uvm.run_on(index):
                pass
        assert sum(cpu.booked for cpu in uvm.cpus) == booked
        uvm.audit()
