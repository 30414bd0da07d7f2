"""A spinner that gives up: the lock goes to who looks next, and not to who has gone."""

import pytest

from tests.machine.virtual_rig import BIG, machine_of
from uvmfree.machine.virtual.machine import VirtualMachine


def test_the_look_of_who_was_interrupted_is_passed_over() -> None:
    # CPU 0 drops the lock at 215. The main strand looks at 330 then, CPU 1, which came 10 ns later, at 340.
    machine = machine_of(VirtualMachine, "ttas")
    mutex, granted = machine.mutex(BIG), []

    def holder() -> None:
        with mutex.handle("holder"):
            pass

    def spinner() -> None:
        machine.sleep(60e-9)
        handle = mutex.handle("spinner")
        handle.acquire()
        granted.append(machine.clock_ns())
        handle.release()

    def interrupter() -> None:
        machine.sleep(250e-9)
        machine.scheduler.interrupt(KeyboardInterrupt())

    tasks = [machine.spawn(body.__name__, body, cpu) for cpu, body in enumerate((holder, spinner, interrupter))]
    machine.sleep(50e-9)
    with pytest.raises(KeyboardInterrupt):
        mutex.handle("main").acquire()
    assert machine.wait_for(tasks, lambda: False)
    assert [task.error for task in tasks] == [None] * 3
    assert granted == [340 + 100]
