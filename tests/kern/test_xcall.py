"""Cross-calls: what runs where and in which order, what a ticket says, and the threads' timed wait."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kern.tasks import WAIT_S, await_event, run_all
from uvmfree.errors import ArgumentError, XcallError, XcallTimeout
from uvmfree.kern.xcall import Ticket, Xcall
from uvmfree.machine.threads import ThreadsMachine

Make = Callable[..., "Xcall[int]"]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make started xc threads whose CPUs are the numbers from 100 on; they are closed after the test."""
    made: list[Xcall[int]] = []

    def make(ncpus: int = 2, *, started: bool = True, **how: Any) -> Xcall[int]:
        xcall: Xcall[int] = Xcall(ThreadsMachine(lockdebug=True), ncpus, lambda index: 100 + index, **how)
        made.append(xcall)
        if started:
            xcall.start()
        return xcall

    yield make
    for xcall in made:
        xcall.close()


def test_a_broadcast_runs_once_on_the_thread_of_every_cpu(make: Make) -> None:
    """R30: one thread bound to each CPU runs the calls; the ticket ends when that very call has run everywhere."""
    xcall = make(4)
    ran: list[tuple[int, str]] = []
    xcall.wait(xcall.broadcast(lambda cpu: ran.append((cpu, threading.current_thread().name))), WAIT_S)
    assert sorted(ran) == [(100 + index, f"xc/{index}") for index in range(4)]


def test_a_unicast_runs_on_that_cpu_alone(make: Make) -> None:
    """R30: xc_unicast."""
    xcall = make(3)
    ran: list[int] = []
    xcall.wait(xcall.unicast(ran.append, 1), WAIT_S)
    assert ran == [101]
    for index in (-1, 3):
        with pytest.raises(ArgumentError, match=f"cpu_index={index}: there are CPUs 0 to 2"):
            xcall.unicast(ran.append, index)


def test_the_calls_of_one_cpu_run_in_the_order_in_which_they_were_sent(make: Make) -> None:
    """R30: in order, broadcasts and unicasts in one queue, also those sent before the threads start."""
    xcall = make(2, started=False)
    ran: dict[int, list[int]] = {100: [], 101: []}
    tickets = []
    for number in range(60):
        call = lambda cpu, number=number: ran[cpu].append(number)  # noqa: E731
        tickets.append(xcall.unicast(call, 0) if number % 3 else xcall.broadcast(call))
        if number == 20:
            xcall.start()
    for ticket in tickets:
        xcall.wait(ticket, WAIT_S)
    assert ran == {100: list(range(60)), 101: list(range(0, 60, 3))}


def test_a_ticket_is_about_its_own_call_only(make: Make) -> None:
    """R30: a wait for one call does not wait for a later one, and a finished ticket stays finished."""
    xcall = make(1)
    go = threading.Event()
    first = xcall.broadcast(lambda cpu: None)
    second = xcall.broadcast(lambda cpu: go.wait(WAIT_S))
    xcall.wait(first, WAIT_S)
    with pytest.raises(XcallTimeout):
        xcall.wait(second, 0)
    go.set()
    xcall.wait(second, WAIT_S)
    xcall.wait(first, 0)
    xcall.wait(second, 0)


def test_a_wait_that_gives_up_says_how_much_is_missing_and_leaves_the_call_queued(make: Make) -> None:
    xcall = make(3)
    go = threading.Event()
    ticket = xcall.broadcast(lambda cpu: cpu == 100 or go.wait(WAIT_S))
    xcall.wait(xcall.unicast(lambda cpu: None, 0), WAIT_S)
    with pytest.raises(XcallTimeout, match=r"has not run on 2 of 3 CPUs after 0\.001 s") as refusal:
        xcall.wait(ticket, 0.001)
    assert isinstance(refusal.value, TimeoutError)
    go.set()
    xcall.wait(ticket, WAIT_S)


def test_an_error_is_carried_to_the_waiter_and_the_thread_goes_on(make: Make) -> None:
    """R31: the ticket carries the error, with its traceback, to every wait; the thread runs the next call."""
    xcall = make(2)
    threads: list[int] = []
    xcall.wait(xcall.unicast(lambda cpu: threads.append(threading.get_ident()), 1), WAIT_S)

    def fails(cpu: int) -> None:
        if cpu == 101:
            raise ZeroDivisionError("by nothing")

    ticket = xcall.broadcast(fails)
    for _ in range(2):
        with pytest.raises(XcallError, match=r"ZeroDivisionError\('by nothing'\) on CPU 1") as refusal:
            xcall.wait(ticket, WAIT_S)
        assert isinstance(refusal.value.__cause__, ZeroDivisionError)
        assert refusal.value.__cause__.__traceback__ is not None
    xcall.wait(xcall.unicast(lambda cpu: threads.append(threading.get_ident()), 1), WAIT_S)
    assert len(set(threads)) == 1


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_no_error_whatever_ends_the_thread(make: Make, error: type[BaseException]) -> None:
    """R31: a call that raises must not kill the thread."""
    xcall = make(1)

    def fails(cpu: int) -> None:
        raise error

    with pytest.raises(XcallError) as refusal:
        xcall.wait(xcall.broadcast(fails), WAIT_S)
    assert isinstance(refusal.value.__cause__, error)
    xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)


def test_a_call_that_raises_on_several_cpus_has_run_on_all_before_the_wait_ends(make: Make) -> None:
    """R31: the first error is the ticket's; the wait still ends only when the call has run everywhere (R30)."""
    xcall = make(4)
    ran: list[int] = []

    def fails(cpu: int) -> None:
        ran.append(cpu)
        raise OSError(cpu)

    ticket = xcall.broadcast(fails)
    with pytest.raises(XcallError) as refusal:
        xcall.wait(ticket, WAIT_S)
    assert sorted(ran) == [100, 101, 102, 103]
    assert f"on CPU {refusal.value.__cause__.args[0] - 100}" in str(refusal.value)  # type: ignore[union-attr]


def test_a_thread_that_waits_for_its_own_call_is_refused_and_not_hung(make: Make) -> None:
    xcall = make(2)

    def waits_for_itself(cpu: int) -> None:
        xcall.wait(xcall.broadcast(lambda cpu: None))

    with pytest.raises(XcallError) as refusal:
        xcall.wait(xcall.unicast(waits_for_itself, 0), WAIT_S)
    assert "the xc thread of CPU 0 waits for a call that it has to run itself" in str(refusal.value)


def test_a_call_may_send_another_and_wait_for_another_cpu(make: Make) -> None:
    xcall = make(2)
    ran: list[int] = []
    sent: list[Ticket] = []

    def outer(cpu: int) -> None:
        xcall.wait(xcall.unicast(ran.append, 1), WAIT_S)
        sent.append(xcall.broadcast(ran.append))

    xcall.wait(xcall.unicast(outer, 0), WAIT_S)
    xcall.wait(sent[0], WAIT_S)
    assert sorted(ran) == [100, 101, 101]


def test_calls_from_many_threads_all_run(make: Make) -> None:
    xcall = make(2)
    ran: dict[int, int] = {100: 0, 101: 0}  # each counted by the one thread of its CPU

    def count(cpu: int) -> None:
        ran[cpu] += 1

    def send() -> None:
        for _ in range(50):
            xcall.wait(xcall.broadcast(count), WAIT_S)

    run_all(*[send] * 4)
    assert ran == {100: 200, 101: 200}


def test_the_timer_fires_on_every_cpu_without_any_call(make: Make) -> None:
    """P9: the wait for work has a timeout."""
    fired = [threading.Event(), threading.Event()]
    make(2, on_timer=lambda index: fired[index].set(), interval_s=0.001)
    for event in fired:
        await_event(event)


def test_the_timer_fires_while_calls_never_cease(make: Make) -> None:
    """P9: it hands pages back in between; the first job cannot starve the second."""
    begun, fired, starved = threading.Event(), threading.Event(), threading.Event()
    # Before the first call it fires anyway.
    xcall = make(1, on_timer=lambda index: fired.set() if begun.is_set() else None, interval_s=0.001)

    def again(cpu: int) -> None:
        begun.set()
        if not fired.is_set() and not starved.is_set():
            xcall.broadcast(again)  # the queue is never empty

    xcall.broadcast(again)
    came = fired.wait(WAIT_S)
    starved.set()
    assert came


def test_calls_run_while_the_timer_fires_again_and_again(make: Make) -> None:
    """P9: the thread still does its first job."""
    xcall = make(1, on_timer=lambda index: None, interval_s=0.001)
    for _ in range(100):
        xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)


def test_each_thread_runs_what_it_is_told_to_run_first(make: Make) -> None:
    names: list[str] = []
    xcall = make(2, on_start=lambda: names.append(threading.current_thread().name))
    xcall.wait(xcall.broadcast(lambda cpu: None), WAIT_S)
    assert sorted(names) == ["xc/0", "xc/1"]
