"""A mutex that is wrested from who took it is not held by that thread any more, in the book of the checking mutex."""

import threading

from uvmfree.kern.lockdebug import LockDebug
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.kern.mutex import Mutex


def test_who_took_it_may_take_it_again() -> None:
    debug = LockDebug(threading.Lock, threading.get_ident)
    mutex = Mutex(UVM_FPAGEQLOCK, None, raw_lock=threading.Lock, clock_ns=lambda: 0, lockstat=False, debug=debug)
    handle = mutex.handle("uvm_pagealloc")
    handle.acquire()
    mutex.wrest()
    assert (debug.held(), mutex.owner) == ((), None)
    with handle:
        assert debug.held() == (mutex,)


def test_one_that_came_free_just_now_is_let_be() -> None:
    mutex = Mutex(UVM_FPAGEQLOCK, None, raw_lock=threading.Lock, clock_ns=lambda: 0, lockstat=False, debug=None)
    mutex.wrest()
    assert mutex.comes_free(0)
