"""What a CPU hands back goes to the store with the page that it freed last on top: the next CPU gets that first."""

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine

OTHERWISE = {"depot", "freebsd_pgcache", "llfree", "netbsd10"}
"""Units keep their own order, a bucket of UMA is filled from the front and allocated from the back, LLFree goes by
addresses, and a full array has been turned round before."""


@pytest.mark.whole
@pytest.mark.parametrize("design", [design for design in uvmfree.DESIGNS if design not in OTHERWISE])
def test_the_next_cpu_gets_what_was_freed_last(design: str) -> None:
    """R2: the warmest page is used first; one colour, so that no wish for a colour comes before it."""
    machine = VirtualMachine(ncpus=2)
    with uvmfree.boot(machine, npages=1024, ncpus=2, ncolors=1, design=design) as uvm:
        pages = [take(uvm.cpus[0]) for _ in range(10)]
        free_all(uvm.cpus[0], pages)
        uvm.redistribute(0)
        assert [take(uvm.cpus[1]).pfn for _ in range(3)] == [pg.pfn for pg in reversed(pages[7:])]
