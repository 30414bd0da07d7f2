"""The processes of `uvmfree sweep`: Ctrl-C at any time is for the first of them, and none outlives it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.waiting import until

BOUND_S = 50
SWEEP = (sys.executable, "-m", "uvmfree", "sweep", "--workload", "pressure", "--seconds", "30", "--repetitions", "1")

Running = subprocess.Popen[str]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A sweep that would take minutes, with its processes in a session of its own, and its lock file."""
    process = subprocess.Popen(
        [*SWEEP, "-o", str(tmp_path / "sweep.json"), "--set", "npages=512", "--cpus", "1,2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    yield process
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def of_session(session: int) -> dict[int, str]:
    """The command lines of a session's processes, by process; those that are but unburied left out."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == session and (line := (entry / "cmdline").read_text()):
                    found[int(entry.name)] = line
    return found


def begun(running: Running) -> bool:
    """Whether the process that measures has been begun; it has yet to import all that it needs."""
    return any("spawn_main" in line for line in of_session(running.pid).values())


def measuring(running: Running, folder: Path) -> bool:
    """Whether the process that measures has the machine to itself."""
    assert running.poll() is None
    return any(folder.glob("uvmfree-sweep-*.lock"))


def test_ctrl_c_while_the_measuring_process_starts_ends_without_a_word_of_it(running: Running) -> None:
    """A terminal sends it to all processes."""
    until(lambda: begun(running))
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 130
    assert said == "uvmfree: interrupted; the same command goes on with the 6 cells left\n"


@pytest.mark.parametrize("early", [True, False], ids=["while it starts", "while it measures"])
@pytest.mark.sampled(1)
def test_no_process_outlives_a_sweep_that_is_killed(running: Running, tmp_path: Path, early: bool) -> None:
    until(lambda: begun(running) if early else measuring(running, tmp_path))
    os.kill(running.pid, signal.SIGKILL)
    running.wait(BOUND_S)
    until(lambda: not of_session(running.pid))
