"""FreeBSD's pagedaemon takes single pages: a bucket of its own would hold the last ones back from everybody else."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import take
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.state import Lwp

SIZE = 8


@pytest.mark.parametrize(("lwp", "cached"), [("user", SIZE - 1), ("kernel", SIZE - 1), ("pagedaemon", 0)])
def test_who_fills_a_bucket(lwp: Lwp, cached: int) -> None:
    tunables: dict[str, Any] = {"cache_fraction": 8, "bucket_max": SIZE}
    with uvmfree.boot(VirtualMachine(ncpus=1), npages=4096, ncpus=1, design="freebsd_pgcache", **tunables) as uvm:
        with uvm.run_on(0, lwp) as cpu:
            take(cpu)
            assert (uvm.cached_pages(), cpu.stats().filled) == ((cached,), 1 + cached)
        uvm.audit()
