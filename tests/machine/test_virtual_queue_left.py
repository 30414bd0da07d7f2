"""Who waits in a lock's queue and is interrupted leaves it: the release goes to who is behind, or to nobody."""

import pytest

from tests.machine.virtual_rig import BIG, machine_of
from uvmfree.machine.virtual.machine import VirtualMachine


@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize("lock", ["mcs", "ticket", "sleep"])
def test_the_release_passes_over_who_has_left(lock: str, behind: int) -> None:
    machine = machine_of(VirtualMachine, lock)
    mutex, granted = machine.mutex(BIG), []

    def holder() -> None:
        with mutex.handle("holder"):
            machine.sleep(10e-6)

    def interrupter() -> None:
        machine.sleep(5e-6)
        machine.scheduler.interrupt(KeyboardInterrupt())

    def waiter() -> None:
        machine.sleep(2e-6)
        with mutex.handle("waiter"):
            granted.append(machine.clock_ns() > 10_000)

    bodies = (holder, interrupter, *[waiter] * behind)
    tasks = [machine.spawn(body.__name__, body, cpu) for cpu, body in enumerate(bodies)]
    machine.sleep(1e-6)
    with pytest.raises(KeyboardInterrupt):
        mutex.handle("main").acquire()
    assert machine.wait_for(tasks, lambda: False)
    assert [task.error for task in tasks] == [None] * len(bodies)
    assert granted == [True] * behind
    with mutex.handle("main"):
        pass
