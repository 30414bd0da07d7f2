"""The real Machine: its threads keep the error that ended them, and its waits are bounded."""

import signal
import threading

import pytest

from tests.kern.tasks import WAIT_S, await_event, begin
from uvmfree.machine.threads import SPINS, ThreadsMachine


def test_a_task_keeps_the_error_that_ended_it() -> None:
    def fails() -> None:
        raise LookupError("lost")

    task = ThreadsMachine().spawn("fails", fails)
    assert task.join(WAIT_S)
    assert task.name == "fails"
    assert isinstance(task.error, LookupError)
    assert task.error.__traceback__ is not None


def test_even_an_exit_is_kept_and_goes_no_further() -> None:
    task = begin(lambda: (_ for _ in ()).throw(SystemExit(3)))
    assert task.join(WAIT_S)
    assert isinstance(task.error, SystemExit)


def test_a_task_that_ends_well_has_no_error() -> None:
    task = ThreadsMachine().spawn("ends", lambda: None)
    assert task.join(WAIT_S)
    assert task.error is None


def test_join_says_that_a_task_has_not_ended_and_a_task_bears_its_name() -> None:
    go = threading.Event()
    names: list[str] = []

    def waits() -> None:
        names.append(threading.current_thread().name)
        go.wait(WAIT_S)

    task = ThreadsMachine().spawn("waits", waits)
    assert not task.join(0.0)
    go.set()
    assert task.join(WAIT_S)
    assert names == ["waits"]


def test_a_join_that_ctrl_c_breaks_off_takes_no_thread_for_ended() -> None:
    """Up to Python 3.12 `Thread.join` did so: whoever joined once more went on beside a thread that still ran."""
    joining, go = threading.Event(), threading.Event()

    def interrupts() -> None:
        await_event(joining)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await_event(go)

    def join() -> None:
        joining.set()
        for _ in range(1000):
            task.join(0.01)

    task = ThreadsMachine().spawn("interrupts", interrupts)
    try:
        with pytest.raises(KeyboardInterrupt):
            join()
        assert not task.join(0.01)
    finally:
        go.set()
    assert task.join(WAIT_S)
    assert task.error is None


def test_two_threads_have_two_identities() -> None:
    machine = ThreadsMachine()
    seen = [machine.me()]
    task = begin(lambda: seen.append(machine.me()))
    assert task.join(WAIT_S)
    assert len(set(seen)) == 2


def test_time_goes_on_and_a_pause_ends() -> None:
    machine = ThreadsMachine()
    before_ns = machine.clock_ns()
    machine.pause(0)
    machine.pause(SPINS)
    assert machine.clock_ns() > before_ns
