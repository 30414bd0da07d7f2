"""What is counted since a mark, in a design with a cache that CPUs share: pages parked there were not handed out."""

from dataclasses import asdict, fields
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.mark import Mark
from uvmfree.uvm.uvmexp import UvmExpSnapshot


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


def test_each_counter_is_what_came_since_and_each_level_as_it_is() -> None:
    """Those of the system; how many wait, and how many pages are on their way, is no sum of anything."""
    names = [one.name for one in fields(UvmExpSnapshot)]
    levels = {"pagesize", "npages", "ncolors", "free", "zeropages", "cached", "reserve_pagedaemon", "reserve_kernel"}
    levels |= {"freemin", "freetarg", "paging", "pdpending", "waiters"}
    before = UvmExpSnapshot(**{name: 100 + at for at, name in enumerate(names)})
    after = UvmExpSnapshot(**{name: 200 + 3 * at for at, name in enumerate(names)})
    snapshots = iter((before, after))
    uvm: Any = SimpleNamespace(
        machine=SimpleNamespace(name="threads", clock_ns=lambda: 0),
        param=SimpleNamespace(npages=64),
        design=SimpleNamespace(stock=lambda: (64,), parked=lambda: 0),
        uvmexp=SimpleNamespace(snapshot=lambda: next(snapshots)),
        cached_pages=tuple,
        cpu_stats=tuple,
        redistributions=dict,
    )
    assert asdict(Mark(uvm).uvmexp()) == {
        name: 200 + 3 * at if name in levels else 100 + 2 * at for at, name in enumerate(names)
    }
