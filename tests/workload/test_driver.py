"""The driver: bodies begin together, end together, and whatever ends one of them ends the run in bounded time."""

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S, await_event
from tests.uvm.machines import HangMachine
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload import driver
from uvmfree.workload.driver import Body, DriveError, Lane, StoppedError, drive


@pytest.fixture
def uvm() -> Iterator[uvmfree.Uvm]:
    """A system of three CPUs, all of which can be played again after the test."""
    made = uvmfree.boot(npages=64, ncpus=3, redistribute_interval_s=3600)
    with made:
        yield made
        for index in range(3):
            with made.run_on(index):
                pass
        made.audit()


def wait_for_ever(cpu: Cpu, lane: Lane) -> None:
    lane.wait_until(lambda: False)


def test_each_body_plays_its_cpu_on_a_thread_of_its_own_and_all_are_there_before_one_begins(uvm: uvmfree.Uvm) -> None:
    began: list[tuple[int, int, str]] = []
    barrier = threading.Barrier(3)

    def body(cpu: Cpu, lane: Lane) -> None:
        barrier.wait(WAIT_S)
        assert uvm.cpus[cpu.index] is cpu
        began.append((cpu.index, lane.index, threading.current_thread().name))

    run = drive(uvm, [body] * 3)
    assert sorted(began) == [(index, index, f"cpu/{index}") for index in range(3)]
    assert run.wall_ns > 0
    assert (len(run.stall_ns), run.failed, run.interrupted) == (3, (0, 0, 0), False)


def test_no_body_begins_before_every_cpu_is_bound(uvm: uvmfree.Uvm) -> None:
    """If one CPU cannot be played, none of the others has done anything."""
    ran: list[int] = []
    with uvm.run_on(2), pytest.raises(DriveError, match="CPU 2 stopped the run: BindError") as refusal:
        drive(uvm, [lambda cpu, lane: ran.append(cpu.index)] * 3)
    assert isinstance(refusal.value.__cause__, uvmfree.BindError)
    assert ran == []


def test_what_lanes_counted_is_reported_by_cpu(uvm: uvmfree.Uvm) -> None:
    looked, go = threading.Event(), threading.Event()

    def may_go() -> bool:
        going = go.is_set()
        looked.set()
        return going

    def waits(cpu: Cpu, lane: Lane) -> None:
        lane.failed = 7
        lane.wait_until(may_go)

    def works(cpu: Cpu, lane: Lane) -> None:
        await_event(looked)  # in vain, since it may not go yet: from here on it waits
        go.set()

    run = drive(uvm, [waits, works])
    assert run.failed == (7, 0)
    assert run.stall_ns[0] > run.stall_ns[1] == 0
    assert run.wall_ns >= run.stall_ns[0]


def test_an_error_stops_the_others_and_is_the_cause(uvm: uvmfree.Uvm) -> None:
    stopped: list[int] = []
    waiting = threading.Event()

    def fails(cpu: Cpu, lane: Lane) -> None:
        await_event(waiting)
        raise LookupError("no such page")

    def polls(cpu: Cpu, lane: Lane) -> None:
        waiting.set()
        while not lane.stopped:
            lane_pause()
        stopped.append(cpu.index)

    lane_pause = lambda: uvm.machine.sleep(0)  # noqa: E731
    with pytest.raises(DriveError, match="CPU 1 stopped the run: LookupError: no such page") as refusal:
        drive(uvm, [wait_for_ever, fails, polls])
    cause = refusal.value.__cause__
    assert isinstance(cause, LookupError)
    assert cause.__traceback__ is not None
    assert any(entry.name == "fails" for entry in pytest.ExceptionInfo.from_exception(cause).traceback)
    assert stopped == [2]


def test_the_first_error_is_the_one_that_is_shown(uvm: uvmfree.Uvm) -> None:
    def first(cpu: Cpu, lane: Lane) -> None:
        raise LookupError("first")

    def second(cpu: Cpu, lane: Lane) -> None:
        try:
            lane.wait_until(lambda: False)
        except StoppedError:
            raise OSError("second") from None

    with pytest.raises(DriveError, match="first"):
        drive(uvm, [second, first])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_no_error_whatever_is_swallowed(uvm: uvmfree.Uvm, error: type[BaseException]) -> None:
    def fails(cpu: Cpu, lane: Lane) -> None:
        raise error

    with pytest.raises(DriveError) as refusal:
        drive(uvm, [wait_for_ever, fails])
    assert isinstance(refusal.value.__cause__, error)


def test_ctrl_c_stops_and_joins_all_and_keeps_what_was_measured(uvm: uvmfree.Uvm) -> None:
    ended: list[int] = []

    def waits(cpu: Cpu, lane: Lane) -> None:
        try:
            lane.wait_until(lambda: False)
        finally:
            ended.append(cpu.index)

    def interrupts(cpu: Cpu, lane: Lane) -> None:
        lane.failed = 3
        signal.raise_signal(signal.SIGINT)  # heard by the main thread
        waits(cpu, lane)

    run = drive(uvm, [waits, interrupts])
    assert sorted(ended) == [0, 1]
    assert run.interrupted
    assert run.failed == (0, 3)
    assert run.wall_ns > 0


def test_a_stop_that_is_asked_for_is_a_stop(uvm: uvmfree.Uvm) -> None:
    asked = threading.Event()

    def asks(cpu: Cpu, lane: Lane) -> None:
        asked.set()
        lane.wait_until(lambda: False)

    assert drive(uvm, [asks, wait_for_ever], asked.is_set).interrupted
    assert not drive(uvm, [lambda cpu, lane: None], lambda: False).interrupted


def test_a_body_that_waits_in_vain_is_a_hang_and_not_for_ever() -> None:
    class Never:
        """An event that does not happen, after which all the time to wait for it has passed."""

        def notify(self) -> None:
            pass

        def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
            return ready()

    class Hasty(ThreadsMachine):
        def event(self) -> Any:
            return Never()

    with uvmfree.boot(Hasty(), npages=64, ncpus=1, redistribute_interval_s=3600) as uvm:
        with pytest.raises(DriveError, match="CPU 0 has waited 30 s for another CPU") as refusal:
            drive(uvm, [wait_for_ever])
        assert isinstance(refusal.value.__cause__, uvmfree.HangError)


def test_a_body_that_does_not_hear_the_stop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "JOIN_S", 0.01)
    go, hangs = threading.Event(), threading.Event()
    uvm = uvmfree.boot(HangMachine("cpu/1", short_s=0.01), npages=64, ncpus=2)

    def deaf(cpu: Cpu, lane: Lane) -> None:
        hangs.set()
        go.wait(WAIT_S)

    try:
        with pytest.raises(uvmfree.HangError, match=r"^cpu/1 did not end"):
            drive(uvm, [wait_for_ever, deaf], hangs.is_set)
    finally:
        go.set()
        for thread in threading.enumerate():
            if thread.name == "cpu/1":
                thread.join(WAIT_S)
    uvm.close()


@pytest.mark.parametrize("bodies", [0, 4])
def test_a_run_needs_a_body_and_a_cpu_for_each(uvm: uvmfree.Uvm, bodies: int) -> None:
    ran: list[int] = []
    body: Body = lambda cpu, lane: ran.append(cpu.index)  # noqa: E731
    with pytest.raises(uvmfree.ArgumentError, match=f"{bodies} bodies: .* 1 to 3"):
        drive(uvm, [body] * bodies)
    assert ran == []


def test_a_run_lasts_from_the_first_beginning_to_the_last_end() -> None:
    """On a clock that goes on by a millisecond whenever it is read: no two bodies begin, or end, at once."""

    class Ticking(ThreadsMachine):
        ticks = itertools.count()

        def clock_ns(self) -> int:
            return next(self.ticks) * 1_000_000

    lanes: list[Lane] = []
    with uvmfree.boot(Ticking(), npages=64, ncpus=3, redistribute_interval_s=3600) as uvm:
        run = drive(uvm, [lambda cpu, lane: lanes.append(lane)] * 3)
    began, ended = sorted(lane.began_ns for lane in lanes), sorted(lane.ended_ns for lane in lanes)
    assert len({*began, *ended}) == 6
    assert run.wall_ns == ended[-1] - began[0]
