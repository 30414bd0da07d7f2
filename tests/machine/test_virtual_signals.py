"""Signals of which a handler raises, while strands of a virtual machine run: the main strand gets what it raises."""

import os
import signal

import pytest

from tests.machine.virtual_rig import BIG, machine_of
from uvmfree.cli.running import Interrupted, first_signal_asks, signals_raise
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work

KINDS = ["baton", *(["greenlet"] if greenlets_work() else [])]


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("strands", KINDS)
def test_what_a_handler_raises_reaches_the_main_strand_and_no_other(strands: str, asks: bool) -> None:
    """The first signal may be a request; a second one that comes while strands run raises, and nothing hangs."""
    machine = machine_of(VirtualMachine, strands=strands)
    handle = machine.mutex(BIG).handle("worker")
    strikes = [50, 60][: 1 + asks]
    stop, steps = [False], [0]

    def work() -> None:
        while not stop[0]:
            with handle:
                steps[0] += 1
                if steps[0] in strikes:
                    os.kill(os.getpid(), signal.SIGTERM)
            machine.charge(100)

    tasks = [machine.spawn(f"works{cpu}", work, cpu) for cpu in range(2)]
    handled = first_signal_asks() if asks else signals_raise()
    with handled, pytest.raises(Interrupted) as came:
        machine.wait_for(tasks, lambda: False)
    assert came.value.status == 128 + signal.SIGTERM
    assert strikes[-1] <= steps[0] < 10_000
    stop[0] = True
    assert all(task.join(1.0) and task.error is None for task in tasks)
