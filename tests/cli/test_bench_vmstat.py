"""What `uvmfree bench` prints of several runs: the last one's counters, and the locks of all of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.cli.conftest import Said
from tests.report.made import record
from uvmfree.measure import bench


def test_counters_are_those_of_the_last_run_and_locks_those_of_the_time_of_all(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = record(designs=("percpu",), repetitions=3)
    runs = [
        replace(
            each,
            uvmexp=replace(each.uvmexp, npages=4000 + each.repetition),
            drive=replace(each.drive, wall_ns=2_000_000_000),
        )
        for each in made.runs
    ]

    def measure(result: Any, *given: object) -> Iterator[None]:
        result.runs.extend(runs)
        yield

    monkeypatch.setattr(bench, "measure", measure)
    command = ("bench", "--workload", "pingpong", "--npages", "256", "--design", "percpu")
    said = run(*command, "--vmstat")
    assert said.status == 0
    assert [line for line in said.out.splitlines() if "pages managed" in line] == ["     4002 pages managed"]
    assert '"elapsed_s": 6.0,' in run(*command, "--format", "json").out  # three runs with lockstat
