"""What `uvmfree bench` does no more once a signal came: it runs no design for a timeline, and shows no curve."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Said
from uvmfree.cli import first_command
from uvmfree.cli.exports import Exports
from uvmfree.measure import bench

Run = Callable[..., Said]


@pytest.mark.parametrize(
    ("number", "status", "further"),
    [(0, 0, ["timeline", "curve"]), (signal.SIGINT, 130, []), (signal.SIGHUP, 129, [])],
)
def test_it_goes_on_only_if_it_was_not_broken_off(
    run: Run, number: int, status: int, further: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def measure(result: Any, *given: object) -> Iterator[None]:
        if number:
            signal.raise_signal(number)
            result.interrupted = True
        yield from ()

    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr(Exports, "check", lambda self: None)  # what writes timelines may not be installed
    monkeypatch.setattr(Exports, "write_timeline", lambda self, *given: done.append("timeline"))
    monkeypatch.setattr(first_command, "is_it", lambda: True)
    monkeypatch.setattr(first_command, "print_curve", lambda left_s: done.append("curve"))
    file = tmp_path / "record"
    timeline = ("--perfetto", str(tmp_path / "timeline"))
    said = run("bench", "--workload", "pingpong", "--npages", "256", "--json", str(file), *timeline)
    assert (said.status, done) == (status, further)
    assert file.exists()
