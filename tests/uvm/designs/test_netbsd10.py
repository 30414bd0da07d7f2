"""NetBSD 10's arrays and buckets: what of them is not in the contract, and not counted in tests/designs."""

from collections import Counter
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.designs.netbsd10 import FILLPGS


def booted(**tunables: Any) -> uvmfree.Uvm:
    """Boot 256 pages of two colours, for two CPUs in virtual time."""
    told = {"npages": 256, "ncpus": 2, "ncolors": 2} | tunables
    return uvmfree.boot(VirtualMachine(ncpus=2, lockholds=True), design="netbsd10", **told)


def touched(uvm: uvmfree.Uvm) -> Counter[int]:
    """Count the CPUs' holds of the bucket's lock by the pages that each touched."""
    machine = uvm.machine
    assert isinstance(machine, VirtualMachine)
    assert machine.lockholds is not None
    return next(one.pages for one in machine.lockholds.snapshot() if one.caller == "uvm_pagealloc")


@pytest.mark.parametrize(("above", "filled"), [(1, 1), (2, 6), (9, 1 + FILLPGS)])
def test_a_miss_fills_its_array_if_the_bucket_is_above_the_reserve_without_the_page(above: int, filled: int) -> None:
    """One page above it goes out alone. With two there are five more of the colour, with nine more than fit."""
    with booted() as uvm:
        pages = uvm.pglistalloc(256, nsegs=256)
        uvm.pglistfree(pages[: uvm.uvmexp.reserve_kernel + above])
        uvm.redistribute()
        cpu = uvm.cpus[0]
        before, holds = cpu.stats().filled, touched(uvm)
        take(cpu, color=0)
        assert cpu.stats().filled - before == filled
        assert touched(uvm) - holds == {filled: 1}
        uvm.audit()


def test_a_miss_fills_the_array_of_the_colour_that_it_found_and_counts_what_is_there() -> None:
    with booted() as uvm:
        pages = uvm.pglistalloc(256, nsegs=256)
        ones = [pg for pg in pages if pg.color == 1]
        uvm.pglistfree(ones[:60])
        uvm.redistribute()
        cpu = uvm.cpus[0]
        free_all(cpu, ones[60:63])
        filled = cpu.stats().filled
        assert take(cpu, color=0).color == 1
        assert (uvm.cached_pages()[0], cpu.stats().filled - filled) == (FILLPGS, 1 + FILLPGS - 3)
        uvm.audit()
