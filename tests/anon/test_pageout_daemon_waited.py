"""A pagedaemon that has waited for pages: what it is told of then, other waiters are not told of later."""

from tests.anon.rig import until
from tests.anon.test_pageout import Parts
from tests.kern.tasks import WAIT_S, begin, finish


def test_r22_a_daemon_that_goes_on_counts_as_waiting_no_more() -> None:
    """R22: the last pageout's end wakes a daemon that waits; without pages it wakes nobody else."""
    parts = Parts(free=0)
    parts.pageout.start(1)

    def daemon() -> None:
        parts.daemon = parts.machine.me()
        assert parts.pageout.wait(WAIT_S)

    task = begin(daemon)
    until(lambda: parts.pageout.waiters == 1)
    parts.pageout.done(1)
    finish(task)
    parts.daemon = None
    parts.pageout.restart()
    (waiter,) = parts.waiting(1)
    parts.pageout.start(1)
    parts.pageout.done(1)
    assert (parts.pageout.waiters, parts.pageout.wakeups) == (1, 0)
    parts.free = 100
    parts.pageout.wake_waiters()
    finish(waiter)


def test_r22_a_daemon_whose_wait_ran_out_counts_as_waiting_no_more() -> None:
    """As above; and a waiter whose time runs out leaves the daemon's wait as it is."""
    parts = Parts(free=0)
    parts.pageout.start(1)
    parts.daemon = parts.machine.me()
    assert not parts.pageout.wait(0)
    parts.daemon = None
    parts.pageout.restart()
    (waiter,) = parts.waiting(1)
    parts.pageout.done(1)
    assert (parts.pageout.waiters, parts.pageout.wakeups) == (1, 0)

    def daemon() -> None:
        parts.daemon = parts.machine.me()
        assert parts.pageout.wait(WAIT_S)

    parts.pageout.start(1)
    task = begin(daemon)
    until(lambda: parts.pageout.waiters == 2)
    assert not parts.pageout.wait(0)
    parts.pageout.done(1)
    finish(task)
    finish(waiter)
