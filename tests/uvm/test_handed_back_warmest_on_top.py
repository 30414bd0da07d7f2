"""What a CPU hands back goes to the store with the page that it freed last on top: the next CPU gets that first."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine

CACHING: dict[str, dict[str, Any]] = {"freebsd_pgcache": {"cache_fraction": 16}}

OTHERWISE = {"depot", "llfree", "netbsd10"}
"""Units keep their own order, LLFree goes by addresses, and a full array has been turned round before."""


@pytest.mark.whole
@pytest.mark.parametrize("design", [design for design in uvmfree.DESIGNS if design not in OTHERWISE])
def test_the_next_cpu_gets_what_was_freed_last(design: str) -> None:
    """R2: the warmest page is used first; one colour, so that no wish for a colour comes before it."""
    machine, tunables = VirtualMachine(ncpus=2), CACHING.get(design, {})
    with uvmfree.boot(machine, npages=1024, ncpus=2, ncolors=1, design=design, **tunables) as uvm:
        pages = [take(uvm.cpus[0]) for _ in range(10)]
        free_all(uvm.cpus[0], pages)
        uvm.redistribute(0)
        assert [take(uvm.cpus[1]).pfn for _ in range(3)] == [pg.pfn for pg in reversed(pages[7:])]
