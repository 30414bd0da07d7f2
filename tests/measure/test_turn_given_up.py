"""A cell that waits for its machine and is told to stop gives up at once, and says that it was interrupted."""

import fcntl
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from uvmfree.measure import cell as cells
from uvmfree.measure.cell import Cell, Worker, measure_cell


def test_it_waits_no_longer_for_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cells, "TURN_S", 1.0)
    asked = iter([False, False])
    monkeypatch.setattr(Worker, "stop", staticmethod(lambda: next(asked, True)))
    with (tmp_path / f"uvmfree-sweep-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        document = measure_cell(asdict(Cell("pressure", 1, "percpu", ("npages=512",), 1, seconds=0.01)))
    assert (document["interrupted"], document["runs"]) == (True, [])
