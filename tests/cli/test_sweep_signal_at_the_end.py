"""A signal that comes while a sweep measures its last cell leaves nothing to go on with: the sweep is whole."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import uvmfree.cli
from uvmfree.measure import executors


class Here(Executor):
    """Measures in this process; a signal strikes beside so many of the calls."""

    def __init__(self, struck: int) -> None:
        self.left = struck

    def submit(self, call: Callable[..., Any], /, *args: Any, **how: Any) -> Any:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGINT)
        future = Future[Any]()
        future.set_result(call(*args, **how))
        return future


@pytest.mark.parametrize(("struck", "status", "measured"), [(1, 130, 1), (2, 0, 2)])
def test_it_is_interrupted_if_cells_are_left(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    struck: int,
    status: int,
    measured: int,
) -> None:
    @contextmanager
    def local() -> Iterator[tuple[Executor, int]]:
        yield Here(struck), 1

    file = tmp_path / "sweep.json"
    monkeypatch.setattr(executors, "local", local)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    quick = ("--workload", "pressure", "--seconds", "0.01", "--repetitions", "1", "--design", "percpu")
    monkeypatch.setattr(sys, "argv", ["uvmfree", "sweep", "-o", str(file), *quick, "--cpus", "1,2"])
    with pytest.raises(SystemExit) as ended:
        uvmfree.cli.main()
    assert int(ended.value.code or 0) == status
    assert len(json.loads(file.read_text())["measured"]) == measured
    said = capsys.readouterr().err
    assert ("interrupted; the same command goes on with the 1 cell left" in said) == (status != 0)
