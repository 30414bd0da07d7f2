"""What strands leave behind that gave up or were interrupted: no lock, no wakeup, no time that is past."""

import signal
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.machine.virtual_rig import machine_of, run
from uvmfree.errors import DeadlockError
from uvmfree.machine.virtual.interrupt import SIGNALS, interruptible
from uvmfree.machine.virtual.jitter import PERIOD, Jitter
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.watchdog import LOOKS, _look


def test_a_lock_does_not_go_to_who_gave_up_waiting_for_it() -> None:
    machine = machine_of(VirtualMachine)
    raw, got = machine.raw_lock(), list[tuple[bool, int]]()

    def holds() -> None:
        with raw:
            machine.sleep(5e-6)

    def gives_up() -> None:
        machine.sleep(1e-6)
        got.append((raw.acquire(timeout=1e-6), machine.clock_ns()))
        machine.sleep(20e-6)
        got.append((raw.acquire(blocking=False), machine.clock_ns()))

    run(machine, [(0, holds), (1, gives_up)])
    assert got == [(False, 2000), (True, 22_000)]


def test_an_event_wakes_nobody_who_sleeps_elsewhere_by_now() -> None:
    machine = machine_of(VirtualMachine)
    event, ends = machine.event(), list[int]()

    def gives_up() -> None:
        assert not event.sleep_until(lambda: False, 1e-6)
        machine.sleep(20e-6)
        ends.append(machine.clock_ns())

    def notifies() -> None:
        machine.sleep(5e-6)
        event.notify()

    run(machine, [(0, gives_up), (1, notifies)])
    assert ends == [21_000]


def test_a_lock_is_handed_over_at_the_end_of_a_with_block() -> None:
    machine = machine_of(VirtualMachine)
    raw, got = machine.raw_lock(), list[str]()

    def holds() -> None:
        with raw:
            machine.sleep(5e-6)
        got.append(f"holder finds it {'held' if raw.locked() else 'free'}")

    def waits() -> None:
        machine.sleep(1e-6)
        with raw:
            got.append("waiter")

    run(machine, [(0, holds), (1, waits)])
    assert got == ["holder finds it held", "waiter"]


def test_a_deadline_that_has_passed_takes_no_time_back() -> None:
    machine = machine_of(VirtualMachine)
    ends = []

    def late() -> None:
        machine.sleep(5e-6)
        assert not machine.event().sleep_until(lambda: False, -2e-6)
        ends.append(machine.clock_ns())

    run(machine, [(None, late), (0, late), (1, lambda: machine.sleep(4e-6))])
    assert ends == [5000] * 2


def test_of_those_who_sleep_until_the_same_moment_the_first_to_come_goes_first() -> None:
    machine = machine_of(VirtualMachine)
    order: list[str] = []

    def once() -> None:
        machine.sleep(1e-6)
        order.append("once")

    def twice() -> None:
        machine.sleep(0.5e-6)
        machine.sleep(0.5e-6)
        order.append("twice")

    run(machine, [(None, once), (None, twice)])
    assert order == ["once", "twice"]


def test_all_others_have_unwound_when_the_main_strand_hears_of_a_deadlock() -> None:
    machine = machine_of(VirtualMachine)
    raw, left = machine.raw_lock(), list[str]()
    raw.acquire()

    def waits() -> None:
        try:
            raw.acquire()
        finally:
            left.append("unwound")

    tasks = [machine.spawn(f"waits{cpu}", waits, cpu) for cpu in range(3)]
    with pytest.raises(DeadlockError):
        machine.event().sleep_until(lambda: False)
    assert left == ["unwound"] * 3
    assert [type(task.error) for task in tasks] == [DeadlockError] * 3


def test_ctrl_c_that_ends_a_strand_reaches_the_main_strand() -> None:
    machine = machine_of(VirtualMachine)

    def strikes() -> None:
        machine.sleep(1e-6)
        raise KeyboardInterrupt

    machine.spawn("strikes", strikes, 0)
    with pytest.raises(KeyboardInterrupt):
        machine.sleep(1e-3)


class Struck:
    """A scheduler that notes what is sent to its main strand."""

    def __init__(self, one_thread: bool) -> None:
        self.one_thread = one_thread
        self.sent: list[BaseException] = []

    def interrupt(self, error: BaseException) -> None:
        self.sent.append(error)


class Own(KeyboardInterrupt):
    """What a handler raises here."""


def raises(number: int, frame: object) -> None:
    raise Own(number)


@pytest.fixture
def handlers() -> Iterator[None]:
    """Have all signals raise, and put back what was there."""
    before = {number: signal.signal(number, raises) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("one_thread", [True, False])
def test_a_second_signal_raises_where_all_strands_are_in_one_thread(number: int, one_thread: bool) -> None:
    scheduler = Struck(one_thread)
    raised = 0
    with interruptible(scheduler):
        for _ in range(3):
            try:
                signal.raise_signal(number)
            except Own:
                raised += 1
    assert (len(scheduler.sent), raised) == ((1, 2) if one_thread else (3, 0))
    assert [signal.getsignal(each) for each in SIGNALS] == [raises] * 3


@pytest.mark.usefixtures("handlers")
def test_what_has_no_handler_is_left_alone() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible(Struck(one_thread=True)):
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not raises
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("runs", "steps", "struck"), [("other", False, True), ("other", True, False), ("main", False, False)]
)
def test_the_watchdog_strikes_after_so_many_looks_and_never_the_main_strand(
    runs: str, steps: bool, struck: bool
) -> None:
    nobody = 0
    main = SimpleNamespace(number=0, ident=nobody)
    scheduler: Any = SimpleNamespace(number=7, main=main, current=main)
    if runs == "other":
        scheduler.current = SimpleNamespace(number=1, ident=nobody)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        scheduler.number += steps
        return len(waits) > 20

    over: Any = SimpleNamespace(wait=wait)
    find: Any = lambda: scheduler  # noqa: E731
    _look(find, over, 2.0)
    assert waits == [2.0 / LOOKS] * (1 + LOOKS if struck else 21)


@pytest.mark.parametrize(("ns", "exact_ns"), [(37, 0), (50, 8)])
def test_jitter_takes_nothing_from_the_mean(ns: int, exact_ns: int) -> None:
    jitter = Jitter(3, 20, lambda: 0)
    draw = jitter.costs(ns, "key", exact_ns)[0]
    drawn = [draw() for _ in range(PERIOD)]
    assert abs(sum(drawn) / PERIOD - ns - exact_ns) < 0.1
    assert jitter.costs(ns, "key", exact_ns) is jitter.costs(ns, "key", exact_ns)
    assert jitter.costs(ns, "key", exact_ns + 1) is not jitter.costs(ns, "key", exact_ns)
