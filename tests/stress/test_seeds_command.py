"""What `uvmfree stress --seeds` says and which exit code it has, by how its runs ended; no run is played."""

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

import pytest

from uvmfree.cli import stress_seeds as module
from uvmfree.cli.running import Asked
from uvmfree.cli.stress_seeds import stress_seeds
from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.measure import executors
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.supervised import Options

FINE = StressRun("percpu")
BROKEN = StressRun("percpu", errors=("it broke", "twice"), command="uvmfree stress --seed 4", file="somewhere")
Outcome = StressRun | Exception | None


class Played(Executor):
    """Has each run end as it is told to: as a run, broken off, or by an error; the last is how all others end."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes, self.processes = list(outcomes), list[int]()

    def submit(self, play: object, /, *args: object, **kwargs: object) -> Future[StressRun | None]:  # type: ignore[override]
        future = Future[StressRun | None]()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return future

    @contextlib.contextmanager
    def local(self, processes: int) -> Iterator[tuple[Executor, int]]:
        """Stand in for processes."""
        self.processes.append(processes)
        try:
            yield self, processes
        except BrokenExecutor:
            raise WorkerLostError("it was killed") from None


class Heard(Asked):
    """Whether a signal has come, each time that is asked; the last answer is that to all further questions."""

    def __init__(self, number: int, *answers: bool) -> None:
        super().__init__()
        self.number, self.answers = number, list(answers)

    def __call__(self) -> bool:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


NEVER = Heard(0, False)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Play seeds that end like that; return the exit code."""
    monkeypatch.setattr(module, "strands", lambda: "greenlet")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 5, 9})

    def command(*outcomes: Outcome, seeds: str = "3-9", heard: Heard = NEVER) -> int:
        played = Played(*outcomes)
        monkeypatch.setattr(executors, "local", played.local)
        options = Options(machine=Virtual(), seconds=0.25)
        first, _, last = seeds.partition("-")
        try:
            return stress_seeds(options, ("percpu", "depot"), seeds, None, heard)
        finally:
            assert played.processes == [min(3, int(last) - int(first) + 1)]

    return command


def test_seeds_that_find_nothing_are_a_success(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(FINE) == 0
    said = capsys.readouterr()
    assert said.out.startswith("7 seeds, nothing found: percpu, depot in turn, 0.25 s each\n")
    assert said.err == ""


def test_no_more_processes_than_seeds(command: Any) -> None:
    assert command(FINE, seeds="3-4") == 0


def test_what_a_seed_finds_is_said_with_the_command_that_finds_it_again(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(FINE, BROKEN, FINE) == 1
    said = capsys.readouterr()
    assert said.out.startswith("2 seeds, 1 failure: ")
    assert said.err.splitlines() == [
        "uvmfree: percpu: it broke",
        "uvmfree: percpu: twice",
        "uvmfree: again: uvmfree stress --seed 4",
        "uvmfree: the last operations of each CPU: somewhere",
    ]


@pytest.mark.parametrize(
    ("outcomes", "seeds", "left"),
    [((FINE, FINE, None), "3-9", "5-9"), ((None,), "3-9", "3-9"), ((FINE, None), "0-9", "1-9")],
)
def test_seeds_that_are_left_after_an_interrupt_are_said(
    command: Any, outcomes: tuple[Outcome, ...], seeds: str, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run hears of it before this process does."""
    assert command(*outcomes, seeds=seeds, heard=Heard(signal.SIGTERM, False)) == 143
    assert capsys.readouterr().err == f"uvmfree: interrupted; --seeds {left} are left\n"


def test_an_interrupt_before_the_first_seed_leaves_all(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(FINE, heard=Heard(signal.SIGINT, True)) == 130
    said = capsys.readouterr()
    assert said.out.startswith("0 seeds, nothing found: ")
    assert said.err == "uvmfree: interrupted; --seeds 3-9 are left\n"


@pytest.mark.parametrize(
    ("outcomes", "seeds", "left"),
    [((FINE, FINE, BrokenExecutor()), "3-9", "5-9"), ((BrokenExecutor(),), "3-9", "3-9")],
)
def test_a_process_that_is_lost_is_an_error_that_says_what_is_left(
    command: Any, outcomes: tuple[Outcome, ...], seeds: str, left: str
) -> None:
    with pytest.raises(WorkerLostError) as error:
        command(*outcomes, seeds=seeds)
    assert str(error.value) == f"it was killed; --seeds {left} are left"


def test_a_process_that_a_signal_to_all_ended_is_no_error(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(BrokenExecutor(), heard=Heard(signal.SIGHUP, False, True)) == 129
    assert capsys.readouterr().err == "uvmfree: interrupted; --seeds 3-9 are left\n"


def test_on_threads_a_seed_makes_no_run() -> None:
    with pytest.raises(ArgumentError, match=r"^--seeds: goes with --machine virtual"):
        stress_seeds(Options(), ("percpu",), "1-2", None, NEVER)
