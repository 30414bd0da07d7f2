"""A CPU that changes hands again and again keeps the counts of all its players, and the handles of the last alone."""

import gc

import pytest

import uvmfree
from uvmfree.kern.lockstat import CountingHandle

TIMES = 12


def handles() -> int:
    gc.collect()
    return sum(type(each) is CountingHandle for each in gc.get_objects())


@pytest.mark.parametrize("design", ["fpageqlock", "depot"])
def test_they_do_not_add_up(design: str) -> None:
    with uvmfree.boot(npages=256, ncpus=1, design=design, lockstat=True, redistribute_interval_s=3600) as uvm:
        with uvm.run_on(0):
            pass
        before = handles()
        for _ in range(TIMES):
            with uvm.run_on(0) as cpu:
                cpu.pagefree(cpu.pagealloc())  # type: ignore[arg-type]
        del cpu
        assert handles() == before
        taken = sum(lock.acquired for lock in uvm.lockstat(by_caller=True) if lock.caller == "uvm_pagefree")
        assert taken == TIMES
        uvm.audit()
