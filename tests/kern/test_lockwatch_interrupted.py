"""A thread whose wait for a lock is broken off waits no more, and is not shown as waiting."""

import threading

import pytest

from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockwatch import LockWatch, Watched, WatchingHandle


def test_a_wait_that_an_interrupt_ends_is_over() -> None:
    watched = Watched("uvm_cpu[0]", threading.Lock())
    seen: list[tuple[tuple[int, str], ...]] = []

    def interrupted() -> None:
        seen.append(watched.state().waiters)
        raise KeyboardInterrupt

    inner = LockHandle(interrupted, lambda: False, lambda: None)
    watching = WatchingHandle(watched, LockWatch(threading.Lock, threading.get_ident), inner, interrupted, "x")
    with pytest.raises(KeyboardInterrupt):
        watching.acquire()
    assert seen == [((threading.get_ident(), "x"),)]
    assert watched.state().waiters == ()
    assert watched.holder is None
