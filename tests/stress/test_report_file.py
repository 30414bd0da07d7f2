"""The file that a failed stress run leaves: its name can be foretold, so nothing that stands there is trusted."""

import os
import tempfile
from pathlib import Path

import pytest

from uvmfree.stress.failure import written

NAME = "uvmfree-stress-percpu-1.txt"


def test_it_is_written_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for lines in (["one", "two"], ["three"]):
        assert written(NAME, lines) == str(tmp_path / NAME)
        assert (tmp_path / NAME).read_text().splitlines() == lines
    assert os.listdir() == [NAME]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / NAME).symlink_to(victim)
    assert written(NAME, ["one"]) == str(tmp_path / NAME)
    assert victim.read_text() == "precious"
    assert (tmp_path / NAME).read_text() == "one\n"


def test_where_it_cannot_be_written_it_goes_where_temporary_files_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    (tmp_path / "here" / NAME).mkdir()
    assert written(NAME, ["one"]) == str(tmp_path / "there" / NAME)
    (tmp_path / "there" / NAME).unlink()
    (tmp_path / "there" / NAME).mkdir()
    assert written(NAME, ["one"]).startswith("(not written: the report ")
