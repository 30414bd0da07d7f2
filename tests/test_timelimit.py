"""A test that hangs ends alone, in time and by name; what hangs out of an alarm's reach ends the run, by name."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOUND_S = 100
"""For a busy machine; the run takes a few seconds, most of them to start its processes."""

WAITS = """
import threading
def test_waits():
    threading.Event().wait()
"""

# The alarm ends the wait of the test, and comes once; then the test waits again, as a close() in a `with` may.
WAITS_AGAIN = """
import threading
def test_waits_again():
    try:
        threading.Event().wait()
    finally:
        threading.Event().wait()
"""

PASSES = """
import pytest
@pytest.mark.parametrize("number", range(30))
def test_passes(number):
    pass
"""


def suite(folder: Path, *args: str, **files: str) -> tuple[int, str]:
    """Run a suite of these files with the settings of this one, but for the time; return its exit code and output."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    began_s = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            str(ROOT / "pyproject.toml"),
            "-p",
            "tests.timelimit",
            *args,
            str(folder),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert time.monotonic() - began_s < BOUND_S
    return done.returncode, done.stdout


@pytest.mark.rotated(3)
def test_a_test_that_waits_for_ever_fails_and_the_others_run(tmp_path: Path) -> None:
    status, said = suite(tmp_path, "-n1", "--timeout=1", waits=WAITS, passes=PASSES)
    assert status == 1
    assert "test_waits.py::test_waits" in said
    assert "Timeout (>1.0s)" in said
    assert "1 failed, 30 passed" in said


@pytest.mark.rotated(3)
def test_one_that_no_alarm_ends_takes_its_process_down_and_is_named(tmp_path: Path) -> None:
    """The stacks are on stderr, and name the file and the line."""
    status, said = suite(
        tmp_path, "-n2", "--timeout=1", "-o", "timeout_grace=1", again=WAITS_AGAIN, passes=PASSES, more=PASSES
    )
    assert status == 1
    assert "crashed while running" in said
    assert "test_again.py::test_waits_again" in said
    assert 'test_again.py", line 7 in test_waits_again' in said
