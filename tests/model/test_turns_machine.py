"""The Machine on which threads take turns: who runs when, what time it is, and that a test that hangs fails."""

from collections.abc import Iterator

import pytest

from tests.model.turns import NS, TurnsMachine


@pytest.fixture
def machine() -> Iterator[TurnsMachine]:
    machine = TurnsMachine()
    yield machine
    machine.give_up()


def test_nobody_runs_before_the_test_sleeps_then_all_in_order(machine: TurnsMachine) -> None:
    ran: list[str] = []
    for name in ("a", "b"):
        machine.spawn(name, lambda name=name: ran.append(name))
    assert ran == []
    machine.settle()
    assert ran == ["a", "b"]


def test_time_passes_when_all_sleep_and_the_test_wakes_last(machine: TurnsMachine) -> None:
    woken: list[tuple[str, int]] = []

    def nap(name: str, seconds: float) -> None:
        lock = machine.raw_lock()
        lock.acquire()
        assert not lock.acquire(True, seconds)
        woken.append((name, machine.clock_ns()))

    for name, seconds in (("a", 2.0), ("b", 1.0), ("c", 2.0), ("d", 9.0)):
        machine.spawn(name, lambda name=name, seconds=seconds: nap(name, seconds))
    machine.advance(2.0)
    assert woken == [("b", NS), ("a", 2 * NS), ("c", 2 * NS)]
    assert machine.clock_ns() == 2 * NS


def test_a_lock_is_handed_to_who_has_waited_longest(machine: TurnsMachine) -> None:
    lock, got = machine.raw_lock(), []

    def take(name: str) -> None:
        with lock:
            got.append(name)
            machine.let_others()

    lock.acquire()
    for name in ("a", "b"):
        machine.spawn(name, lambda name=name: take(name))
    machine.settle()
    assert got == []
    assert not lock.acquire(False)
    lock.release()
    machine.settle()
    assert got == ["a", "b"]


def test_a_wakeup_that_never_comes_fails_the_test(machine: TurnsMachine) -> None:
    lock = machine.raw_lock()
    lock.acquire()
    machine.spawn("sleeper", lock.acquire)
    with pytest.raises(AssertionError, match="nobody will wake test, sleeper"):
        lock.acquire()


def test_a_thread_that_runs_on_and_on_fails_the_test(machine: TurnsMachine) -> None:
    def spin() -> None:
        while True:
            lock = machine.raw_lock()
            lock.acquire()
            lock.acquire(True, 0)

    machine.spawn("spinner", spin)
    with pytest.raises(AssertionError, match="spinner runs on and on"):
        machine.advance(1.0)


def test_an_error_is_kept_for_who_joins(machine: TurnsMachine) -> None:
    turn = machine.spawn("thief", lambda: [][0])
    assert turn.join(1.0)
    assert isinstance(turn.error, IndexError)
    assert machine.clock_ns() == 0
