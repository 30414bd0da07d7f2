"""Closing again while a thread of the system still hangs: it is named again, and joined when it has ended."""

import threading

import pytest

from tests.kern.tasks import WAIT_S, await_event
from tests.uvm.machines import HangMachine
from uvmfree.errors import HangError
from uvmfree.kern.xcall import Xcall


def test_a_thread_that_hangs_is_named_by_each_close_until_it_has_ended() -> None:
    xcall: Xcall[int] = Xcall(HangMachine("xc/1"), 2, lambda index: index)
    xcall.start()
    go, hangs = threading.Event(), threading.Event()

    def hang(cpu: int) -> None:
        hangs.set()
        go.wait(WAIT_S)

    xcall.unicast(hang, 1)
    await_event(hangs)
    try:
        for _ in range(2):
            with pytest.raises(HangError, match=r"^xc/1 did not end within 0\.01 s"):
                xcall.close(timeout_s=0.01)
    finally:
        go.set()
    xcall.close(WAIT_S)
