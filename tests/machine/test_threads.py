"""The real Machine: its threads keep the error that ended them, and its waits are bounded."""

import itertools
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


def test_time_goes_on_and_a_sleep_ends() -> None:
    machine = ThreadsMachine()
    before_ns = machine.clock_ns()
    machine.sleep(0.001)
    assert machine.clock_ns() - before_ns >= 1_000_000


def test_who_sleeps_on_an_event_sees_what_came_true_whether_told_or_not() -> None:
    event, true, seen = ThreadsMachine().event(), threading.Event(), list[bool]()
    task = begin(lambda: seen.append(event.sleep_until(true.is_set)))
    true.set()
    assert task.join(WAIT_S)
    assert seen == [True]


def test_a_sleep_on_an_event_ends_with_its_time() -> None:
    machine = ThreadsMachine()
    looks = itertools.count()
    before_ns = machine.clock_ns()
    assert not machine.event().sleep_until(lambda: next(looks) < 0, 0.001)
    assert machine.clock_ns() - before_ns >= 1_000_000
    assert next(looks) > 1


def test_a_sleeper_that_has_looked_often_gives_its_processor_up_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one that waits for long keeps a processor busy all the while."""
    slept_s: list[float] = []
    monkeypatch.setattr("time.sleep", slept_s.append)
    looks = itertools.count()
    assert ThreadsMachine().event().sleep_until(lambda: next(looks) == SPINS + 3)
    assert slept_s == [0] * SPINS + [50e-6] * 3


def test_waiting_for_threads_ends_with_them_or_when_it_is_to_stop() -> None:
    machine, go, asked = ThreadsMachine(), threading.Event(), itertools.count()
    tasks = [machine.spawn(f"task {number}", go.wait) for number in range(2)]
    assert not machine.wait_for(tasks, lambda: next(asked) == 1)
    go.set()
    assert machine.wait_for(tasks, lambda: False)
    assert all(task.join(0) for task in tasks)


def test_ram_is_zeroed_and_every_view_is_of_the_same_bytes() -> None:
    ram = ThreadsMachine().ram(8192)
    one, two = ram.view(), ram.view()
    assert bytes(one) == bytes(8192)
    one[5] = 7
    assert two[5] == 7
