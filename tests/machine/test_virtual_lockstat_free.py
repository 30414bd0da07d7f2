"""Counting takes no virtual time: an acquisition that tries first, to know whether it waits, costs what one does."""

import pytest

from tests.machine.virtual_rig import costs, run
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.policies import POLICIES


def ended_ns(lock: str, *, lockstat: bool) -> tuple[list[int], int]:
    """Have four CPUs take a lock at once, again and again; return when each has ended, and how often one waited."""
    machine = VirtualMachine(ncpus=4, costs=costs(global_outside=70), lock=lock, lockstat=lockstat)
    mutex, ended = machine.mutex(UVM_FPAGEQLOCK), [0] * 4

    def takes(cpu: int) -> None:
        handle = mutex.handle("uvm_pagealloc")
        for _ in range(8):
            with handle:
                pass
        ended[cpu] = machine.clock_ns()

    run(machine, [(cpu, lambda cpu=cpu: takes(cpu)) for cpu in range(4)])  # type: ignore[misc]
    return ended, sum(record.contended for record in mutex.snapshot())


@pytest.mark.parametrize("lock", POLICIES)
def test_waits_take_as_long_with_lockstat_as_without(lock: str) -> None:
    plain, counted = (ended_ns(lock, lockstat=lockstat) for lockstat in (False, True))
    assert counted[0] == plain[0]
    assert counted[1] > 0
