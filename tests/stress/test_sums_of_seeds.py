"""What a stress run comes to where nothing was measured, and what the runs of many seeds come to together."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli.stress_seeds import said
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.seeds import Seeds


def run(design: str = "percpu", **given: Any) -> StressRun:
    faults = {"storm": {"injected": 3, "survived": 2}, "stall": {"injected": 4, "survived": 4, "inside": 9}}
    known: dict[str, Any] = {
        "operations": {"alloc": 1000, "free": 500},
        "faults": faults,
        "wall_s": 0.5,
        "host_s": 4.0,
    }
    return StressRun(design, **(known | given))


def test_a_run_that_has_not_begun_has_nothing() -> None:
    blank = StressRun("percpu")
    assert {name for name, value in asdict(blank).items() if value} == {"design"}
    assert (blank.steps, blank.steps_per_s) == (0, 0.0)
    assert blank.figures() == {"operations": 0, "operations_per_s": 0.0, "errors": 0}


def test_figures_of_a_run_follow_from_what_was_counted() -> None:
    assert run(errors=("one", "two")).figures() == {"operations": 1500, "operations_per_s": 3000.0, "errors": 2}


def test_runs_are_summed_up_and_the_last_is_remembered() -> None:
    seen = Seeds()
    seen.add(7, run(digest="first"))
    broken = run(wall_s=1.5, host_s=1.0, errors=("R13",), digest="second")
    seen.add(8, broken)
    assert (seen.last, seen.runs, seen.steps, seen.injected) == (8, 2, 3000, 14)
    assert (seen.virtual_s, seen.host_s, seen.digests) == (2.0, 5.0, ["first", "second"])
    assert seen.failure is broken
    assert not seen.interrupted


@pytest.mark.parametrize(("failed", "found"), [(False, "nothing found"), (True, "1 failure")])
def test_what_came_of_seeds_is_said_in_four_lines(failed: bool, found: str) -> None:
    options: Any = SimpleNamespace(
        seconds=0.25, ncpus=4, npages=4096, machine=SimpleNamespace(described=lambda: "virtual, ttas")
    )
    seen = Seeds()
    seen.add(7, run())
    seen.add(8, run(errors=("R13",) if failed else ()))
    assert list(said(seen, options, ("percpu", "depot"))) == [
        f"2 seeds, {found}: percpu, depot in turn, 0.25 s each",
        "virtual, ttas; 4 CPUs, 4096 pages",
        "3,000 operations, 14 faults, 1.00 virtual seconds",
        "0.125 virtual seconds and 375 operations for each second of a process",
    ]


def test_what_took_no_time_of_a_process_has_no_rate() -> None:
    options: Any = SimpleNamespace(seconds=1.0, ncpus=1, npages=64, machine=SimpleNamespace(described=lambda: "here"))
    assert list(said(Seeds(), options, ("percpu",))) == [
        "0 seeds, nothing found: percpu in turn, 1 s each",
        "here; 1 CPU, 64 pages",
        "0 operations, 0 faults, 0.00 virtual seconds",
    ]
