"""A stress run: its rests end when the next burst begins, and a fault that broke it was not survived."""

from typing import Any

import pytest

import uvmfree
from tests.uvm.machines import ClockMachine
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.stress.fault import Fault
from uvmfree.stress.shared import Pace, Shared


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
