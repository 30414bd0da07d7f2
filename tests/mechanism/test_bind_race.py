"""A CPU that is detached, or whose system is closed, between the check of run_on() and the binding itself (Q13)."""

import pytest

import uvmfree
from tests.mechanism.rig import SMALL, own_lock, settle
from tests.uvm.machines import InterposingMachine


@pytest.mark.parametrize("end", ["detach", "close"])
def test_whoever_takes_over_a_cpu_the_moment_it_stops_is_told(design: str, end: str) -> None:
    """Q13: the lists that a new player would get are not there any more; it is refused, and nothing is lost."""
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": design})
    machine.at = own_lock(design, 1)
    machine.then = (lambda: uvm.detach(1)) if end == "detach" else uvm.close
    with pytest.raises(uvmfree.UvmError, match="CPU 1 is detached" if end == "detach" else "closed"):
        uvm.run_on(1).__enter__()
    assert machine.at == ""
    if end == "detach":
        uvm.attach(1)
        with uvm.run_on(1) as cpu:
            pg = cpu.pagealloc()
            assert pg is not None
            cpu.pagefree(pg)
        settle(uvm)
    uvm.close()


def test_a_player_that_has_gone_leaves_its_counts_and_nothing_else() -> None:
    """R11: what was counted stays, however often a CPU is taken over; the handles of those who left are let go."""
    for design in uvmfree.DESIGNS:
        with uvmfree.boot(**SMALL | {"design": design, "lockstat": True}) as uvm:
            mutexes = [uvm._state.fpageqlock, *uvm._state.cpu_mutexes]
            before = [len(mutex._counting) for mutex in mutexes]
            for _ in range(7):
                with uvm.run_on(1) as cpu:
                    pg = cpu.pagealloc()
                    assert pg is not None
                    cpu.pagefree(pg)
            assert [len(mutex._counting) for mutex in mutexes] == before
            callers = {(each.name, each.caller): each.acquired for each in uvm.lockstat(by_caller=True)}
            assert callers[own_lock(design, 1), "uvm_pagefree"] == 7
