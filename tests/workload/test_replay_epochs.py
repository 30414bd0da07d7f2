"""The epochs of a copy, one by one: who waits for whom, where a plan that loops goes on, what a gap counts as."""

from array import array
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.workload.driver import StoppedError
from uvmfree.workload.replay import Copy
from uvmfree.workload.replay_plan import DO_ALLOC, DO_FREE, Plan, Program

EPOCHS = 4


def made(**how: Any) -> tuple[Copy, Any]:
    """Make a copy of a plan of two CPUs, each with an operation in each epoch; and a lane that counts waits."""
    program = Program(
        array("B", [DO_ALLOC, DO_FREE] * 2), array("I", [0, 0, 1, 1]), array("Q", [0, 4000, 0, 500]),
        array("I", [1, 2, 3, 4]), 2,
    )  # fmt: skip
    plan = Plan((program, program), 0, (), 4, 4, 8, 2, 0)
    machine = uvmfree.VirtualMachine(ncpus=2)
    copy = Copy(plan, SimpleNamespace(machine=machine), **how)  # type: ignore[arg-type]
    lane: Any = SimpleNamespace(stopped=False, waits=0)

    def wait_until(ready: Any, event: object) -> None:
        lane.waits += 1
        assert not ready()
        copy.finished[1] += 1
        assert ready()

    lane.wait_until = wait_until
    return copy, lane


def test_a_cpu_may_be_one_epoch_ahead_of_another_and_waits_before_the_next() -> None:
    copy, lane = made()
    waits = [(len(list(steps)), lane.waits) for steps in copy.epochs(0, lane)]
    assert waits == [(1, 0), (1, 0), (1, 1), (1, 2)]
    assert list(copy.finished) == [EPOCHS, 2]


def test_a_plan_that_loops_goes_on_from_its_beginning_and_counts_its_epochs_on() -> None:
    copy, lane = made(loops=True, epoch=3)
    seen: list[list[tuple[int, int]]] = []
    epochs = copy.epochs(0, lane)
    for _ in range(3):
        seen.append(list(next(epochs)))
        copy.finished[1] += 1
    lane.stopped = True
    with pytest.raises(StoppedError):
        next(epochs)
    assert seen == [[(DO_FREE, 1)], [(DO_ALLOC, 0)], [(DO_FREE, 0)]]
    assert copy.finished[0] == 3 + 3


def test_a_run_that_is_stopped_ends_before_the_next_epoch() -> None:
    copy, lane = made()
    epochs = copy.epochs(0, lane)
    next(epochs)
    lane.stopped = True
    with pytest.raises(StoppedError):
        next(epochs)


def test_a_gap_counts_as_long_as_it_took_and_says_when_it_ends() -> None:
    """Which is not what was recorded: the work in it varies."""
    copy, lane = made(gaps=True)
    clock_ns = copy._machine.clock_ns
    for number, steps in enumerate(copy.epochs(0, lane)):
        before_ns = clock_ns()
        assert len(list(steps)) == 1
        if number == 1:
            took_ns = clock_ns() - before_ns
            assert took_ns != 4000
            assert (list(copy.outside_ns), copy.ends_ns[0]) == ([took_ns, 0], clock_ns())
    assert copy.outside_ns[0] == clock_ns() > took_ns
