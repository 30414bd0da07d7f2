"""A stress run: its rests end when the next burst begins, and a fault that broke it was not survived."""

from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.uvm.machines import ClockMachine
from uvmfree.errors import ArgumentError, BindError
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.stress.fault import Fault
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.preempt import preempt
from uvmfree.stress.program import draw
from uvmfree.stress.shared import Pace, Shared
from uvmfree.stress.stamps import LOOSE, Stamper


def shared_on(machine: Any, **pace: Any) -> Shared:
    uvm = uvmfree.boot(machine, npages=64, ncpus=1)
    return Shared(uvm, LockWatch(machine.raw_lock, machine.me), 1, [], Pace(**pace))


def test_a_quarter_of_the_time_is_work_and_the_rest_ends_when_the_next_burst_begins() -> None:
    """A burst of 50 ms each 200 ms, from when the CPUs began."""
    machine = ClockMachine(now_s=3.0)
    shared = shared_on(machine, busy=0.25)
    rests = []
    for into_s in (0.0, 0.049, 0.05, 0.1, 0.19, 0.2, 0.249, 0.26):
        machine.now_s = 3.0 + into_s
        rests.append(shared.rest_s())
    assert rests == pytest.approx([0, 0, 0.15, 0.1, 0.01, 0, 0, 0.14], abs=1e-6)


def test_who_is_always_busy_never_rests() -> None:
    machine = ClockMachine(now_s=3.0)
    shared = shared_on(machine)
    machine.now_s = 3.19
    assert shared.rest_s() == 0


@pytest.mark.parametrize("broken", [False, True])
def test_a_fault_that_broke_the_run_has_not_been_survived(broken: bool) -> None:
    shared = shared_on(ClockMachine())

    class Once(Fault):
        name, pause_s = "once", (0.0, 0.0)

        def inject(self, shared: Shared) -> bool:
            self.note(shared, "here")
            if broken:
                shared.fail("here", AssertionError())
            shared.stopped = True
            return True

    shared.nap = lambda seconds: shared.stopped  # type: ignore[method-assign]
    fault = Once()
    fault.run(shared)
    assert (fault.injected, fault.survived) == (1, not broken)


@pytest.mark.parametrize(
    ("pace", "ns", "brief_ns"),
    [({}, 2e9, 2e9), ({"rate": 4.0}, 5e8, 5e8), ({"busy": 0.25}, 2e9, 5e8), ({"rate": 2.0, "busy": 0.5}, 1e9, 5e8)],
)
def test_two_seconds_of_threads_on_a_machine_of_another_pace(
    pace: dict[str, float], ns: float, brief_ns: float
) -> None:
    """What CPUs cannot rest in is shorter where they rest."""
    shared = shared_on(ClockMachine(), **pace)
    assert (shared.ns(2), shared.brief_ns(2)) == (ns, brief_ns)


def test_the_course_of_a_fault_is_drawn_from_the_seed_and_its_name() -> None:
    """It waits for 20 to 40 ms at first, and between two injections for a time from its range."""
    shared = shared_on(ClockMachine())
    naps: list[float] = []

    class Course(Fault):
        name, pause_s = "course", (0.5, 0.75)

        def inject(self, shared: Shared) -> bool:
            return False

    def nap(seconds: float) -> bool:
        naps.append(seconds)
        return len(naps) == 4

    shared.nap = nap  # type: ignore[method-assign]
    Course().run(shared)
    bits = draw(1, "course")
    parts = [bits(16) / (1 << 16) for _ in range(4)]
    assert naps == pytest.approx([0.02 + 0.02 * parts[0], *(0.5 + 0.25 * part for part in parts[1:])])


def test_the_last_injections_of_a_fault_are_remembered() -> None:
    machine, fault = ClockMachine(now_s=0.0), Fault()
    shared = shared_on(machine)
    for machine.now_s in range(1, 71):
        fault.note(shared, f"number {machine.now_s}")
    assert fault.injected == 70
    assert fault.events == [(at * 10**9, f"number {at}") for at in range(7, 71)]


def test_a_nap_is_slept_in_pieces_and_ends_with_the_run() -> None:
    machine = ClockMachine(now_s=0.0)
    shared = shared_on(machine)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        machine.now_s += seconds
        shared.stopped = len(slept) == 5

    machine.sleep = sleep  # type: ignore[method-assign]
    assert not shared.nap(0.05)
    assert slept == pytest.approx([0.02, 0.02, 0.01])
    assert shared.nap(60.0)
    assert len(slept) == 5


def test_how_dense_a_run_in_virtual_time_is() -> None:
    """Two hundred times as dense as on threads while CPUs are at work; a step takes a microsecond of their own."""
    assert Virtual().pace == Pace(rate=200.0, busy=1.0, step_ns=1000, preempts=True)
    assert Virtual(busy=25).pace == Pace(rate=50.0, busy=0.25, step_ns=1000, preempts=True)
    assert Virtual(busy=0.01).pace.busy == pytest.approx(0.0001)
    assert Virtual(busy=60).words()[-2:] == ("--busy", "60")
    with pytest.raises(ArgumentError, match=r"--busy 100\.5: must be from 0\.01 to 100"):
        Virtual(busy=100.5)


def test_a_page_of_a_cross_call_whose_cpu_is_gone_is_left_to_the_pagedaemon() -> None:
    shared = shared_on(ClockMachine())
    with shared.uvm.run_on(0) as mine:
        pg = mine.pagealloc(zero=True)
    assert pg is not None

    def pagefree(page: object) -> None:
        raise BindError("detached")

    cpu: Any = SimpleNamespace(pagealloc=lambda zero: pg, pagefree=pagefree)
    shared.called(cpu)
    assert list(shared.loose) == [(pg, 0)]
    Stamper(shared.uvm).check(pg, LOOSE, 0)
    assert shared.reclaim_one()
    assert not shared.reclaim_one()
    shared.uvm.close()


def test_threads_are_held_up_at_one_lock_operation_in_32() -> None:
    """Where they have taken a mutex, and where they have dropped one, for up to 8 microseconds."""
    slept: list[float] = []
    mutexes = [SimpleNamespace(on_taken=None, on_dropped=None) for _ in range(2)]
    machine: Any = SimpleNamespace(sleep=slept.append)
    watch: Any = SimpleNamespace(watched=lambda: mutexes)
    preempt(machine, watch, 5)
    hooks: list[Any] = [hook for mutex in mutexes for hook in (mutex.on_taken, mutex.on_dropped)]
    for _ in range(1000):
        for hook in hooks:
            hook()
    bits = draw(5, "preempt")
    wanted = [bits(13) / 1e9 for _ in range(4000) if not bits(5)]
    assert slept == wanted
    assert 90 < len(slept) < 160
