"""A stdout that is full, closed or read by nobody: a line or none, an exit code, and files all the same."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workload.perf_lines import line

BOUND_S = 50
RUN = (sys.executable, "-m", "uvmfree")
BENCH = ("bench", "--workload", "pressure", "--seconds", "0.02", "--npages", "512", "--repetitions", "1")
COMMANDS = {
    "--help": ("--help",),
    "trace info": ("trace", "info", "two.perf"),
    "bench": (*BENCH, "--cpus", "1", "--json", "out.json"),
    "stress": ("stress", "--seconds", "0.1", "--npages", "256", "--design", "percpu", "--json", "out.json"),
}


@pytest.fixture(autouse=True)
def trace(tmp_path: Path) -> None:
    """A trace of one page, where the commands run."""
    (tmp_path / "two.perf").write_text(line("alloc", "0x7", us=1) + line("free", "0x7", us=2))


def uvmfree(stdout: int, folder: Path, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUN, *args], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=BOUND_S, check=False, cwd=folder
    )


def written(folder: Path, command: str) -> bool:
    """Whether the record is there where one was asked for, whole."""
    return "out.json" not in COMMANDS[command] or bool(json.loads((folder / "out.json").read_text())["schema"])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.sampled(2)
def test_a_full_stdout_is_one_line(tmp_path: Path, command: str) -> None:
    """A device of our own, which is always full."""
    try:
        os.mknod(tmp_path / "full", 0o600 | stat.S_IFCHR, os.makedev(1, 7))
    except PermissionError:
        pytest.skip("needs the right to make device nodes")
    full = os.open(tmp_path / "full", os.O_WRONLY)
    said = uvmfree(full, tmp_path, *COMMANDS[command])
    os.close(full)
    assert (said.returncode, said.stderr) == (2, "uvmfree: stdout: No space left on device\n")
    assert written(tmp_path, command)


@pytest.mark.parametrize("command", ["trace info", "bench"])
def test_a_reader_that_has_gone_is_told_by_the_exit_code_alone(tmp_path: Path, command: str) -> None:
    """As SIGPIPE tells it; 1 would mean that something got worse."""
    ours, theirs = os.pipe()
    os.close(ours)
    said = uvmfree(theirs, tmp_path, *COMMANDS[command])
    os.close(theirs)
    assert (said.returncode, said.stderr) == (141, "")
    assert written(tmp_path, command)


@pytest.mark.rotated(3)
def test_a_file_that_is_a_pipe_whose_reader_has_gone_is_as_quiet_as_stdout(tmp_path: Path) -> None:
    """By the pipe's own number; the tables are printed all the same, and the other files written."""
    for package in ("pyperf", "plotly"):
        pytest.importorskip(package, reason="the extra `report` is not installed")
    ours, theirs = os.pipe()
    os.close(ours)
    pipe = f"/dev/fd/{theirs}"
    bench = ("bench", "--trace", "two.perf", "--npages", "256", "--repetitions", "1")
    for args in (
        (*bench, "--json", pipe, "--pyperf", "out.json"),
        (*bench, "--json", "out.json"),
        ("compare", "out.json", "out.json", "--json", pipe),
        ("report", "out.json", "-o", pipe),
    ):
        said = subprocess.run(
            [*RUN, *args],
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
            cwd=tmp_path,
            pass_fds=(theirs,),
        )
        gone = pipe in args
        assert (said.returncode, said.stderr) == (141 if gone else 0, ""), args
        assert ("workload:" in said.stdout) == (args[0] == "bench")
        assert json.loads((tmp_path / "out.json").read_text())
    os.close(theirs)


@pytest.mark.parametrize(
    ("close", "command", "status", "says"),
    [
        (">&-", "bench", 2, "uvmfree: stdout: Bad file descriptor\n"),
        (">&-", "--help", 2, "uvmfree: stdout: Bad file descriptor\n"),
        ("<&- 2>&-", "bench", 0, ""),
        ("2>&-", "trace info nowhere", 2, ""),
        ("<&-", "trace info -", 2, "uvmfree: stdin: Bad file descriptor\n"),
        ("<&-", "compare - -", 2, "uvmfree: -: Bad file descriptor\n"),
    ],
)
@pytest.mark.sampled(3)
def test_streams_that_are_closed(tmp_path: Path, close: str, command: str, status: int, says: str) -> None:
    """Nothing that is opened later takes their place."""
    args = COMMANDS.get(command, tuple(command.split()))
    said = subprocess.run(
        ["sh", "-c", f'exec "$@" {close}', "sh", *RUN, *args],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
        cwd=tmp_path,
    )
    assert (said.returncode, said.stderr) == (status, says)
    if "bench" in command:
        assert written(tmp_path, "bench")
