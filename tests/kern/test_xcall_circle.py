"""The search for circles of xc threads that wait for each other knows who waits now, and not who has waited (R30)."""

import threading

import pytest

from tests.kern.tasks import WAIT_S
from uvmfree.errors import XcallTimeout
from uvmfree.kern.xcall import Xcall
from uvmfree.machine.threads import ThreadsMachine


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
