"""What is added up over many stress runs, what a process hands back of one, and what is called off; by hand."""

import gc
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from uvmfree.errors import ArgumentError
from uvmfree.measure.cell import Worker
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress import seeds
from uvmfree.stress.seeds import AHEAD, Seeds, parse_seeds, play, play_seeds
from uvmfree.stress.supervised import Options


def test_each_sum_is_of_its_own_column() -> None:
    """Virtual seconds are those of the runs, host seconds those that they took."""
    seen = Seeds()
    seen.add(4, StressRun("percpu", wall_s=0.5, host_s=3.0, faults={"oom": {"injected": 2}, "io": {"injected": 5}}))
    seen.add(5, StressRun("percpu", wall_s=0.25, host_s=4.0, digest="x"))
    assert (seen.last, seen.runs, seen.virtual_s, seen.host_s) == (5, 2, 0.75, 7.0)
    assert (seen.injected, seen.digests, seen.failure) == (7, ["", "x"], None)
    failed = StressRun("percpu", errors=("it broke",))
    seen.add(6, failed)
    assert seen.failure is failed


def played(monkeypatch: pytest.MonkeyPatch, **given: Any) -> StressRun | None:
    """What a process hands back of a run."""
    whole = {"digest": "d", "locks": ("lock",), "events": ("event",), "samples": "samples", "events_dropped": 3}
    made = StressRun("percpu", **(whole | given))  # type: ignore[arg-type]

    def stress(options: Options, design: str, *, stop: object) -> StressRun:
        assert (options.seed, design, stop) == (5, "percpu", Worker.stop)
        return made

    monkeypatch.setattr(seeds, "stress", stress)
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
    return play(Options(seed=5), "percpu")


def test_what_grows_with_a_run_stays_where_it_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    run = played(monkeypatch)
    assert run is not None
    assert (run.samples, run.events, run.locks) == (None, (), ())
    assert (run.digest, run.events_dropped) == ("d", 3)


def test_a_run_that_was_broken_off_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert played(monkeypatch, interrupted=True) is None


class Waiting(Executor):
    """Ends the first run that it is given, or breaks it off; all others wait."""

    def __init__(self, first: StressRun | None) -> None:
        self.first, self.given = first, list[Future[StressRun | None]]()

    def submit(self, play: object, /, *args: object, **kwargs: object) -> Future[StressRun | None]:  # type: ignore[override]
        future = Future[StressRun | None]()
        if not self.given:
            future.set_result(self.first)
        self.given.append(future)
        return future


@pytest.mark.parametrize("first", [StressRun("a", errors=("it broke",)), None])
def test_what_waits_is_called_off_at_a_failure_and_where_one_was_broken_off(first: StressRun | None) -> None:
    waiting, seen = Waiting(first), Seeds()
    runs = list(play_seeds(seen, range(3, 100), Options(), ("a",), waiting, 1, lambda: False))
    assert runs == [first] * (first is not None)
    assert (seen.failure, seen.interrupted) == (first, first is None)
    assert seen.last == (3 if first else None)
    assert len(waiting.given) == AHEAD
    assert [future.cancelled() for future in waiting.given] == [False] + [True] * (AHEAD - 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [("3-3", range(3, 4)), ("0-2", range(3)), (f"1-{2**63 - 1}", range(1, 2**63))],
)
def test_both_ends_of_a_range_are_in_it(text: str, found: range) -> None:
    assert parse_seeds(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3", "must be FROM-TO, two whole numbers, such as 1-1000"),
        ("1-2-3", "must be FROM-TO, two whole numbers, such as 1-1000"),
        ("4-3", "3 is less than 4"),
        (f"1-{2**63}", r"must be less than 2**63"),
    ],
)
def test_what_is_no_range_is_refused(text: str, why: str) -> None:
    with pytest.raises(ArgumentError) as error:
        parse_seeds(text)
    assert str(error.value) == f"--seeds {text}: {why}"
