"""The end of the xc threads: what is queued runs, what hangs is named, and nobody waits for ever."""

import threading

import pytest

from tests.kern.tasks import WAIT_S, await_event, begin, finish
from tests.uvm.machines import HangMachine
from uvmfree.errors import ClosedError, HangError, XcallError
from uvmfree.kern.xcall import Ticket, Xcall
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.virtual.machine import VirtualMachine


def started(ncpus: int = 1, **how: object) -> "Xcall[int]":
    xcall: Xcall[int] = Xcall(ThreadsMachine(), ncpus, lambda index: index, **how)  # type: ignore[arg-type]
    xcall.start()
    return xcall


def test_close_runs_what_is_queued_and_is_idempotent() -> None:
    xcall = started(2)
    ran: list[int] = []
    tickets = [xcall.broadcast(ran.append) for _ in range(20)]
    xcall.close()
    assert sorted(ran) == [0] * 20 + [1] * 20
    for ticket in tickets:
        xcall.wait(ticket, 0)
    xcall.close()


def test_no_call_is_taken_after_close() -> None:
    xcall = started()
    xcall.close()
    with pytest.raises(ClosedError):
        xcall.broadcast(lambda cpu: None)
    with pytest.raises(ClosedError):
        xcall.unicast(lambda cpu: None, 0)


def test_calls_to_threads_that_were_never_started_end_with_the_system() -> None:
    xcall: Xcall[int] = Xcall(ThreadsMachine(), 2, lambda index: index)
    ticket = xcall.broadcast(lambda cpu: None)
    xcall.close()
    with pytest.raises(ClosedError):
        xcall.wait(ticket, WAIT_S)


def test_a_call_that_hangs_bounds_close_is_named_and_lets_its_waiters_go() -> None:
    """R30: nobody is left waiting for a call that will not run any more."""
    xcall: Xcall[int] = Xcall(HangMachine("xc/0"), 2, lambda index: index)
    xcall.start()
    go, hangs = threading.Event(), threading.Event()
    ran: list[int] = []

    def hang(cpu: int) -> None:
        hangs.set()
        go.wait(WAIT_S)

    stuck = xcall.unicast(hang, 0)
    behind = xcall.unicast(ran.append, 0)
    await_event(hangs)
    refused: list[type[BaseException]] = []

    def wait(ticket: Ticket) -> None:
        with pytest.raises(ClosedError) as refusal:
            xcall.wait(ticket, WAIT_S)
        refused.append(refusal.type)

    waiters = [begin(lambda: wait(stuck)), begin(lambda: wait(behind))]
    try:
        with pytest.raises(HangError, match=r"^xc/0 did not end within 0\.01 s"):
            xcall.close(timeout_s=0.01)
        finish(*waiters)
        with pytest.raises(HangError, match=r"^xc/0 did not end"):
            xcall.close(timeout_s=0.01)  # it still hangs, and whoever closes again is told again
    finally:
        go.set()
    assert refused == [ClosedError, ClosedError]
    xcall.close()  # now it has ended, or ends within the bound
    assert ran == [], "what has ended with an error does not run afterwards"


def test_an_error_of_the_timer_is_raised_by_close_and_the_first_job_goes_on() -> None:
    """P9 and R31: a timer that raises does not kill the thread either."""
    failed = threading.Event()

    def fails(index: int) -> None:
        failed.set()
        raise LookupError(index)

    xcall = started(1, on_timer=fails, interval_s=0.001)
    await_event(failed)
    ran: list[int] = []
    xcall.wait(xcall.broadcast(ran.append), WAIT_S)
    with pytest.raises(XcallError, match="the timer of an xc thread raised LookupError") as refusal:
        xcall.close()
    assert isinstance(refusal.value.__cause__, LookupError)
    assert ran == [0]


def test_a_thread_that_died_is_said_by_close() -> None:
    def fails() -> None:
        raise OSError("no thread")

    xcall = started(1, on_start=fails)
    ticket = xcall.broadcast(lambda cpu: None)
    with pytest.raises(XcallError, match="xc/0 died of OSError"):
        xcall.close()
    with pytest.raises(ClosedError):
        xcall.wait(ticket, WAIT_S)


@pytest.mark.parametrize("where", ["on_start", "on_timer"])
def test_what_went_wrong_is_said_once_and_closing_again_is_quiet(where: str) -> None:
    failed = threading.Event()

    def fails(*index: int) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("once")

    xcall = started(1, interval_s=0.001, **{where: fails})
    await_event(failed)
    with pytest.raises(XcallError, match="once"):
        xcall.close()
    xcall.close()


def test_the_interval_of_a_timer_begins_when_it_is_through() -> None:
    machine = VirtualMachine(ncpus=1)
    began_s: list[float] = []

    def timer(index: int) -> None:
        began_s.append(round(machine.clock_ns() / 1e9, 2))
        machine.sleep(0.5)

    xcall: Xcall[int] = Xcall(machine, 1, lambda index: index, on_timer=timer, interval_s=1.0)
    xcall.start()
    machine.sleep(4.2)
    xcall.close()
    assert began_s == [1.0, 2.5, 4.0]
