"""A spinner that gives up: the lock goes to who looks next, and not to who has gone."""

from collections.abc import Callable

import pytest

from tests.machine.virtual_rig import BIG, costs, machine_of
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


def test_who_began_to_spin_while_others_went_first_is_passed_over_too() -> None:
    """The main strand comes at 70, behind the idler's 60, so it is put among the spinners without being run. It would
    look at 350; CPU 1, which came 10 ns later, looks at 360."""
    machine = machine_of(VirtualMachine, "ttas")
    mutex, granted = machine.mutex(BIG), []

    def holder() -> None:
        with mutex.handle("holder"):
            pass

    def spinner() -> None:
        machine.sleep(80e-9)
        with mutex.handle("spinner"):
            granted.append(machine.clock_ns())

    def idler() -> None:
        machine.sleep(60e-9)

    def interrupter() -> None:
        machine.sleep(250e-9)
        machine.scheduler.interrupt(KeyboardInterrupt())

    bodies = (holder, spinner, idler, interrupter)
    tasks = [machine.spawn(body.__name__, body, cpu) for cpu, body in enumerate(bodies)]
    machine.sleep(50e-9)
    machine.charge(20)
    with pytest.raises(KeyboardInterrupt):
        mutex.handle("main").acquire()
    assert machine.wait_for(tasks, lambda: False)
    assert [task.error for task in tasks] == [None] * 4
    assert granted == [360 + 100]


def test_who_has_spun_for_long_leaves_no_look_behind_either() -> None:
    """By then each looks every 640 ns. At 10,360 CPU 1 finds the lock free. The main strand, which was to look at
    10,900, goes at 10,380, while CPU 1 has it. CPU 2 looks 40 ns later than that one, and not in its place."""
    machine = machine_of(VirtualMachine, "ttas", costs=costs(backoff_max=64))
    mutex, granted = machine.mutex(BIG), []

    def holder() -> None:
        with mutex.handle("holder"):
            machine.sleep(10e-6)

    def spinner(comes_ns: int) -> Callable[[], None]:
        def spin() -> None:
            machine.sleep(comes_ns / 1e9)
            with mutex.handle("spinner"):
                granted.append(machine.clock_ns())
                machine.sleep(100e-9)

        return spin

    def interrupter() -> None:
        machine.sleep(10_380e-9)
        machine.scheduler.interrupt(KeyboardInterrupt())

    bodies = (holder, spinner(60), spinner(640), interrupter)
    tasks = [machine.spawn(body.__name__, body, cpu) for cpu, body in enumerate(bodies)]
    machine.sleep(600e-9)
    with pytest.raises(KeyboardInterrupt):
        mutex.handle("main").acquire()
    assert machine.wait_for(tasks, lambda: False)
    assert [task.error for task in tasks] == [None] * 4
    assert granted == [10_360, 10_940]
