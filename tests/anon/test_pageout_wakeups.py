"""A page that was written to swap is free by the time that anybody is told of it."""

from tests.anon.rig import MARKS, USABLE, Rig, until
from tests.anon.test_pageout import Parts
from tests.kern.tasks import WAIT_S, begin, finish


def test_who_waits_for_a_pageout_is_woken_when_its_page_is_free() -> None:
    """R22: one page above the kernel reserve is enough, and it is the one that was written."""
    with Rig() as rig:
        rig.touch(*range(USABLE), write=True)
        assert rig.free() == MARKS.reserve_kernel
        assert rig.anons.reclaim_one()
        woken: list[bool] = []
        waiter = begin(lambda: woken.append(rig.pageout.wait(WAIT_S / 2)), "waiter")
        until(lambda: rig.pageout.waiters)
        assert rig.swap.one()
        finish(waiter)
        assert woken == [True]
        assert rig.free() == MARKS.reserve_kernel + 1
        rig.settle()


def test_a_pagedaemon_that_waits_is_woken_by_the_last_pageout_of_several() -> None:
    """R18, R22: with no page above the reserve, what is still on its way is what it waits for."""
    with Rig() as rig:
        rig.touch(*range(USABLE), write=True)
        assert rig.free() == MARKS.reserve_kernel
        woken: list[bool] = []

        def daemon() -> None:
            rig.daemon_thread = rig.machine.me()
            woken.append(rig.pageout.wait(WAIT_S / 2))

        rig.pageout.start(1)
        rig.pageout.start(2)
        waiter = begin(daemon, "daemon")
        until(lambda: rig.pageout.waiters)
        rig.pageout.done(1)
        assert (rig.pageout.waiters, rig.pageout.paging) == (1, 2)
        rig.pageout.done(2)
        finish(waiter)
        assert woken == [True]
        rig.settle()


def test_a_wakeup_that_nobody_waits_for_is_none() -> None:
    pageout = Parts(free=100).pageout
    pageout.start(1)
    pageout.done(1)
    assert pageout.wakeups == 0
