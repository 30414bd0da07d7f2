"""Who is interrupted about when a lock is granted to it leaves that lock free, whichever of the two comes first."""

from functools import partial
from typing import Any

import pytest

from tests.machine.virtual_rig import BIG, machine_of
from uvmfree.machine.virtual.machine import VirtualMachine


def holder(machine: Any, mutex: Any) -> None:
    with mutex.handle("holder"):
        machine.sleep(10e-6)


def interrupter(machine: Any, at_ns: int) -> None:
    machine.sleep(at_ns / 1e9)
    machine.scheduler.interrupt(KeyboardInterrupt())


@pytest.mark.parametrize("lock", ["mcs", "ticket"])
@pytest.mark.parametrize("at_ns", [9_950, 10_100, 10_300])
def test_the_lock_is_free_afterwards(lock: str, at_ns: int) -> None:
    """It is held for 10 us: the interrupt comes before that is over, before who was granted the lock runs, after."""
    machine = machine_of(VirtualMachine, lock)
    mutex = machine.mutex(BIG)
    bodies = (partial(holder, machine, mutex), partial(interrupter, machine, at_ns))
    tasks = [machine.spawn(f"s{cpu}", body, cpu) for cpu, body in enumerate(bodies)]
    machine.sleep(1e-6)
    with pytest.raises(KeyboardInterrupt), mutex.handle("main"):
        machine.sleep(1)
    assert machine.wait_for(tasks, lambda: False)
    with mutex.handle("main"):
        pass
