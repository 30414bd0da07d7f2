"""A CPU that is taken over beside one that is not: the same pages come, in the same order, and counts are equal."""

from dataclasses import asdict
from typing import Any

import pytest

import uvmfree
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm

CACHING: dict[str, dict[str, Any]] = {"freebsd_pgcache": {"cache_fraction": 16}, "netbsd10": {"nbuckets": 1}}
"""Designs that would cache little or nothing in so small a system."""

Step = tuple[int, bool, int]
STEPS: tuple[Step, ...] = (
    (70, False, 45),
    (3, True, 20),
    (30, True, 37),
    (0, False, 1),
    (200, False, 190),
    (5, True, 9),
)
"""Pages to allocate, whether zeroed, and pages to free, from the oldest and the newest by turns."""


def step(uvm: Uvm, cpu: Cpu, held: list[VmPage], wish: Step) -> list[int]:
    """Allocate of either freelist and free; return which pages came."""
    allocated, zero, freed = wish
    for number in range(allocated):
        pg = cpu.pagealloc(zero) if number % 5 else cpu.pagealloc(zero, strat="only", free_list=1)
        assert pg is not None
        held.append(pg)
    came = [pg.pfn for pg in held[len(held) - allocated :]]
    for number in range(freed):
        pg = held.pop(0 if number % 3 else -1)
        if number % 17 == 16:
            uvm.design.pagefree_global(pg)
        else:
            cpu.pagefree(pg)
    return came


def played(design: str, *, parts: bool) -> tuple[list[list[int]], dict[str, Any], tuple[int, ...]]:
    """Play the steps, each as a player of its own or all as one; return what came, the counts and what is cached."""
    machine = VirtualMachine(ncpus=2)
    tunables = CACHING.get(design, {})
    with uvmfree.boot(machine, npages=1024, ncpus=2, nfreelists=2, design=design, **tunables) as uvm:
        held: list[VmPage] = []
        came = []
        if parts:
            for wish in STEPS:
                with uvm.run_on(0) as cpu:
                    came.append(step(uvm, cpu, held, wish))
        else:
            with uvm.run_on(0) as cpu:
                came = [step(uvm, cpu, held, wish) for wish in STEPS]
        uvm.audit()
        return came, asdict(uvm.cpu_stats()[0]), tuple(uvm.cached_pages())


@pytest.mark.sampled(5)
@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_the_next_player_gets_what_the_last_one_would_have(design: str) -> None:
    assert played(design, parts=True) == played(design, parts=False)
