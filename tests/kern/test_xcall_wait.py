"""Cross-calls: what a wait without a bound, and one of no time at all, do; whose error a ticket carries."""

import re
import threading
from collections.abc import Iterator

import pytest

from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import until
from tests.uvm.machines import ClockMachine, HangMachine
from uvmfree.errors import ClosedError, HangError, XcallError, XcallTimeout
from uvmfree.kern.xcall import Xcall
from uvmfree.machine.threads import ThreadsMachine


@pytest.fixture
def xcall() -> Iterator["Xcall[int]"]:
    """Two CPUs, no timer, and an interval that would have the threads look at one all the time."""
    made: Xcall[int] = Xcall(ThreadsMachine(lockdebug=True), 2, lambda index: index, interval_s=0.0)
    made.start()
    yield made
    made.close()


def test_the_first_error_is_the_tickets(xcall: "Xcall[int]") -> None:
    """R31: of several CPUs on which a call raised, the one that was first."""
    second = threading.Event()

    def fails(cpu: int) -> None:
        if cpu == 0:
            assert second.wait(WAIT_S)
        raise LookupError(f"on {cpu}")

    ticket = xcall.broadcast(fails)
    xcall.wait(xcall.unicast(lambda cpu: None, 1), WAIT_S)  # CPU 1 has run the first call, and failed
    second.set()
    with pytest.raises(XcallError, match=r"LookupError\('on 1'\) on CPU 1"):
        xcall.wait(ticket, WAIT_S)


def test_an_error_on_one_cpu_is_not_forgotten_when_the_others_run_well(xcall: "Xcall[int]") -> None:
    """R31: whichever comes first."""
    for failing in (0, 1):
        failed = threading.Event()

        def runs(cpu: int, failing: int = failing, failed: threading.Event = failed) -> None:
            if cpu == failing:
                failed.set()
                raise LookupError(f"on {cpu}")
            assert failed.wait(WAIT_S)

        ticket = xcall.broadcast(runs)
        xcall.wait(xcall.unicast(lambda cpu: None, failing), WAIT_S)
        with pytest.raises(XcallError, match=f"on CPU {failing}"):
            xcall.wait(ticket, WAIT_S)


def test_a_wait_without_a_bound_sleeps_until_the_call_has_run(xcall: "Xcall[int]") -> None:
    """R30: xc_wait as the kernel has it; the waiter is asleep when the call ends."""
    go = threading.Event()
    ticket = xcall.broadcast(lambda cpu: go.wait(WAIT_S))
    waiter = begin(lambda: xcall.wait(ticket))
    until(lambda: xcall._done._waiters)
    go.set()
    finish(waiter)


@pytest.mark.parametrize("ncpus", [2, 3])
def test_xc_threads_that_wait_for_each_other_in_a_circle_are_told_so(ncpus: int) -> None:
    """R30: the one that would close the circle is refused, its call ends with that, and the others go on."""
    xcall: Xcall[int] = Xcall(ThreadsMachine(lockdebug=True), ncpus, lambda index: index)
    sent = threading.Barrier(ncpus)
    refused: list[str] = []

    def waits_for_the_next(cpu: int) -> None:
        sent.wait(WAIT_S)  # all xc threads are busy with this function: what is sent now can run only after it
        ticket = xcall.unicast(lambda cpu: None, (cpu + 1) % ncpus)
        sent.wait(WAIT_S)
        try:
            xcall.wait(ticket)
        except XcallError as error:
            refused.append(str(error))

    xcall.start()
    xcall.wait(xcall.broadcast(waits_for_the_next), WAIT_S)
    assert len(refused) == 1
    assert re.fullmatch(r"the xc thread of CPU \d waits for a call that waits for this thread in turn", refused[0])
    xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)  # and what it waited for once is forgotten
    xcall.close()


def test_xc_threads_may_wait_for_others_that_wait_for_a_third(xcall: "Xcall[int]") -> None:
    """R30: a chain is no circle, whatever has been waited for before."""
    for _ in range(2):
        first = xcall.unicast(lambda cpu: xcall.wait(xcall.unicast(lambda cpu: None, 1)), 0)
        xcall.wait(first, WAIT_S)
        second = xcall.unicast(lambda cpu: xcall.wait(xcall.unicast(lambda cpu: None, 0)), 1)
        xcall.wait(second, WAIT_S)


def test_a_wait_of_no_time_looks_once_even_if_the_clock_stands() -> None:
    """R30: 0 s is over at once."""
    xcall: Xcall[int] = Xcall(ClockMachine(), 1, lambda index: index)
    ticket = xcall.broadcast(lambda cpu: None)
    with pytest.raises(XcallTimeout, match=r"1 of 1 CPUs after 0 s"):
        xcall.wait(ticket, 0)
    xcall.close()


def test_without_a_timer_no_interval_is_kept(xcall: "Xcall[int]") -> None:
    """P9: the second job is optional; the threads sleep, and wake for calls alone."""
    for _ in range(20):
        xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)
    assert xcall.timer_errors == []


def test_a_call_that_comes_too_late_is_told_why() -> None:
    xcall: Xcall[int] = Xcall(ThreadsMachine(), 1, lambda index: index)
    xcall.close()
    with pytest.raises(ClosedError, match=r"^a cross-call was sent to a closed system$"):
        xcall.broadcast(lambda cpu: None)


def test_a_call_that_was_still_queued_is_told_why() -> None:
    """R30: its waiters hear of the end of the system, not of an error of the call."""
    xcall: Xcall[int] = Xcall(ThreadsMachine(), 2, lambda index: index)
    ticket = xcall.broadcast(lambda cpu: None)
    xcall.close()
    with pytest.raises(ClosedError, match=r"^the system was closed before the call had run$"):
        xcall.wait(ticket, WAIT_S)


def test_a_thread_sleeps_while_there_is_nothing_to_do() -> None:
    """P9: it wakes for a call, for the timer, or for the end; not in between."""
    fired = threading.Semaphore(0)
    machine = ClockMachine(now_s=100.0)
    xcall: Xcall[int] = Xcall(machine, 1, lambda index: index, on_timer=lambda index: fired.release(), interval_s=1.0)
    xcall.start()

    def looks() -> int:
        """Let the thread look at its timer, and return how often it has fired since."""
        for _ in range(2):
            xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)
        count = 0
        while fired.acquire(blocking=False):
            count += 1
        return count

    assert looks() == 0
    for now_s, fires in ((100.999, 0), (101.0, 1), (101.999, 0), (103.5, 1), (104.499, 0), (104.5, 1)):
        machine.now_s = now_s
        assert looks() == fires, now_s
    xcall.close()


def test_a_thread_is_asleep_until_its_timer_is_due() -> None:
    """P9: `cv_timedwait`, not a loop that looks at the clock."""
    xcall: Xcall[int] = Xcall(ClockMachine(), 1, lambda index: index, on_timer=lambda index: None, interval_s=1.0)
    xcall.start()
    until(lambda: xcall._work[0]._waiters)
    xcall.close()


def test_a_thread_that_does_not_end_is_given_its_time_and_no_more() -> None:
    """R31: the calls that it has not ended are told so; those that it has, are not."""
    go, hangs = threading.Event(), threading.Event()
    xcall: Xcall[int] = Xcall(HangMachine("xc/1"), 2, lambda index: index)
    xcall.start()
    done = xcall.broadcast(lambda cpu: None)
    xcall.wait(done, WAIT_S)

    def hang(cpu: int) -> None:
        if cpu == 1:
            hangs.set()
            assert go.wait(WAIT_S)

    stuck = xcall.broadcast(hang)
    assert hangs.wait(WAIT_S)
    try:
        with pytest.raises(HangError, match=r"^xc/1 did not end within 0\.01 s$"):
            xcall.close(timeout_s=0.01)
        assert (stuck.error_cpu, stuck.pending, done.error) == (1, set(), None)
        with pytest.raises(HangError, match=r"^xc/1 did not end"):  # it still has not, and is joined again
            xcall.close(timeout_s=0.01)
    finally:
        go.set()
    xcall.close()
