"""Sampled cases: the same word draws the same ones in every process, another draws others; by name all are run."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CASES = """
import pytest
@pytest.mark.sampled(3, batons=3)
@pytest.mark.parametrize("number", range(20))
def test_case(number):
    pass
def test_plain():
    pass
"""


def collected(folder: Path, *args: str) -> list[str]:
    """Return the ids of what is run of a suite with one sampled test and a plain one."""
    (folder / "test_cases.py").write_text(CASES)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.timelimit"]
    command += ["-p", "tests.plain_run", "-n0", "-q", "--collect-only", *args, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    return [line.partition("::")[2] for line in done.stdout.splitlines() if "::" in line]


def test_a_word_draws_the_same_cases_again_and_another_word_others(tmp_path: Path) -> None:
    first = collected(tmp_path, "--sample=one")
    assert len(first) == 3 + 1
    assert "test_plain" in first
    assert collected(tmp_path, "--sample=one") == first
    assert collected(tmp_path, "--sample=another") != first


def test_what_is_asked_for_by_name_or_by_mark_is_run_whole(tmp_path: Path) -> None:
    assert len(collected(tmp_path)) == 20 + 1
    assert len(collected(tmp_path, "-mlong")) == 20
