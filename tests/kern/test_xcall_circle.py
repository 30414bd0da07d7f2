"""The search for circles of xc threads that wait for each other knows who waits now, and not who has waited (R30)."""

import threading

import pytest

from tests.kern.tasks import WAIT_S
from uvmfree.errors import XcallError, XcallTimeout
from uvmfree.kern.xcall import Xcall
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.virtual.machine import VirtualMachine


def test_a_wait_that_timed_out_closes_no_circle() -> None:
    """CPU 0 gives up waiting for CPU 1, which may then wait for CPU 0."""
    xcall: Xcall[int] = Xcall(ThreadsMachine(lockdebug=True), 2, lambda index: index)
    busy, given_up = threading.Event(), threading.Event()

    def waits_for_cpu_0(cpu: int) -> None:
        busy.set()
        assert given_up.wait(WAIT_S)
        xcall.wait(xcall.unicast(lambda cpu: None, 0), WAIT_S)

    def gives_up_on_cpu_1(cpu: int) -> None:
        assert busy.wait(WAIT_S)
        with pytest.raises(XcallTimeout):
            xcall.wait(xcall.unicast(lambda cpu: None, 1), 0.0)
        given_up.set()

    xcall.start()
    try:
        for ticket in (xcall.unicast(waits_for_cpu_0, 1), xcall.unicast(gives_up_on_cpu_1, 0)):
            xcall.wait(ticket, WAIT_S)
    finally:
        xcall.close()


def test_a_circle_is_found_though_the_search_goes_on_behind_it() -> None:
    """CPU 0 would wait for CPU 1, which waits for CPUs 0 and 2, and CPU 2 for CPU 3."""
    machine = VirtualMachine(ncpus=4)
    xcall: Xcall[int] = Xcall(machine, 4, lambda index: index)

    def waits_for_cpu_1(cpu: int) -> None:
        machine.sleep(20e-6)
        with pytest.raises(XcallError, match="waits for this thread in turn"):
            xcall.wait(xcall.unicast(lambda cpu: None, 1), WAIT_S)

    def waits_for_cpus_0_and_2(cpu: int) -> None:
        machine.sleep(10e-6)
        for other in (1, 3):
            xcall.set_online(other, False)
        ticket = xcall.broadcast(lambda cpu: None)
        for other in (1, 3):
            xcall.set_online(other, True)
        xcall.wait(ticket, WAIT_S)

    def waits_for_cpu_3(cpu: int) -> None:
        xcall.wait(xcall.unicast(lambda cpu: None, 3), WAIT_S)

    def works(cpu: int) -> None:
        machine.sleep(100e-6)

    # CPU 3 first: it is not to run the call before it works.
    calls = [(3, works), (2, waits_for_cpu_3), (1, waits_for_cpus_0_and_2), (0, waits_for_cpu_1)]
    tickets = [xcall.unicast(call, cpu) for cpu, call in calls]
    xcall.start()
    try:
        for ticket in tickets:
            xcall.wait(ticket, WAIT_S)
    finally:
        xcall.close()
