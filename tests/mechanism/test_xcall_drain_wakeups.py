"""Pages that are handed back when nobody waits for that any more: who sleeps for pages is told all the same."""

import threading

from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import Boot, free_on, take_everything, until


def test_an_xc_thread_that_comes_late_wakes_the_waiters_itself(boot: Boot) -> None:
    """Q6, R19: the daemon sleeps beside a waiter while a page is on its way to swap, and will not look again."""
    go = threading.Event()
    with boot(design="percpu") as uvm:
        pages = take_everything(uvm)
        uvm.pageout.start(1)
        free_on(uvm, 1, pages)
        uvm.xcall.unicast(lambda cpu: go.wait(WAIT_S), 1)
        woken: list[bool] = []
        waiter = begin(lambda: woken.append(uvm.wait(WAIT_S / 2)), "waiter")
        try:
            until(lambda: uvm.pageout.waiters and uvm.pagedaemon.pdrevs)  # the daemon waited for the drain in vain
        finally:
            go.set()
        finish(waiter)
        uvm.pageout.done(1)
    assert woken == [True]
