"""The lock records of a measured run: those of the workload, without what watching it and calling its CPUs cost."""

import pytest

import uvmfree
from uvmfree.measure import workloads
from uvmfree.measure.run import run
from uvmfree.param import Param
from uvmfree.uvm.system import OBSERVER


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_locks_are_those_of_the_workload(design: str) -> None:
    """The xc threads take the lock of the cross-calls as they start, the observer and the audit the page locks."""
    callers: set[str] = set()
    for seconds in (0.05, 1.0, 5.0):  # a host with other work may leave little of a short time
        if not {"uvm_pagealloc", "uvm_pagefree"} <= callers:
            load, param = workloads.pressure(2, seconds), Param(npages=512, ncpus=2)
            done = run(load, param, design, 0, lockstat=True, stop=lambda: False)
            assert done is not None
            callers = {lock.caller for lock in done.locks}
    assert {"uvm_pagealloc", "uvm_pagefree"} <= callers
    assert not {OBSERVER, "uvm_audit", "uvm_cpu_attach"} & {lock.caller for lock in done.locks}
    assert "xcall" not in {lock.name for lock in done.locks}
