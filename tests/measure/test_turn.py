"""The lock file by which one cell at a time is measured on a machine: it stands where everybody may make files."""

import fcntl
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from uvmfree.errors import ArgumentError, HangError
from uvmfree.measure import cell as cells
from uvmfree.measure.cell import Cell, measure_cell

CELL = asdict(Cell("pressure", 1, "percpu", ("npages=512",), 1, seconds=0.01))


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lock file will be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"uvmfree-sweep-{os.getuid()}.lock"


def test_it_is_made_and_found_again(lock: Path) -> None:
    for _ in range(2):
        assert len(measure_cell(CELL)["runs"]) == 1
    assert lock.stat().st_mode & 0o777 == 0o600


def test_another_one_is_waited_for(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "TURN_S", 0.1)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HangError, match="this machine was measuring something else"):
            measure_cell(CELL)


def test_another_one_is_waited_for_as_long_as_a_cell_may_take(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed_s = [0.0]

    def sleep(seconds: float) -> None:
        passed_s[0] += seconds

    monkeypatch.setattr(cells, "TURN_S", 1.0)
    monkeypatch.setattr(cells, "time", SimpleNamespace(monotonic=lambda: 7.0 + passed_s[0], sleep=sleep))
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HangError, match="for 1 s"):
            measure_cell(CELL)
    assert 1.0 <= passed_s[0] < 1.2


@pytest.mark.parametrize("by", ["link", "dangling link", "folder", "fifo", "another user"])
def test_one_that_somebody_made_is_told_in_a_line(lock: Path, by: str) -> None:
    """Nothing is made, opened or locked where a link leads."""
    elsewhere = lock.parent / "elsewhere"
    if by == "folder":
        lock.mkdir()
    elif by == "fifo":
        os.mkfifo(lock)
    elif by == "another user":
        if os.geteuid() != 0:
            pytest.skip("needs the right to give files away")
        lock.touch()
        os.chown(lock, 4321, -1)
    else:
        if by == "link":
            elsewhere.touch()
        lock.symlink_to(elsewhere)
    with pytest.raises(ArgumentError, match=f"^{lock}: cannot be locked, .*; remove it, or set TMPDIR$"):
        measure_cell(CELL)
    assert elsewhere.exists() == (by == "link")
