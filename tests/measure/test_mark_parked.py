"""What is counted since a mark, in a design with a cache that CPUs share: pages parked there were not handed out."""

import pytest

import uvmfree
from tests.conformance.steps import free_all
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.mark import Mark


@pytest.mark.parametrize("handed_out", [0, 16])
def test_only_runs_are_ranged_pages(handed_out: int) -> None:
    machine, tunables = VirtualMachine(ncpus=2), {"cache_fraction": 16, "bucket_max": 8}
    with uvmfree.boot(machine, npages=8192, ncpus=2, design="freebsd_pgcache", **tunables) as uvm:
        pages = uvm.pglistalloc(80, nsegs=80)
        mark = Mark(uvm)
        free_all(uvm.cpus[0], pages)
        assert uvm.design.parked() > 0
        run = uvm.pglistalloc(handed_out, low=4096) if handed_out else []
        assert mark.ranged_pages() == handed_out
        uvm.pglistfree(run)
        assert mark.ranged_pages() == handed_out
