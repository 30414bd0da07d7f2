"""`uvmfree top`: a run in another process is watched to its end, in lines, as JSON, and on a terminal."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.waiting import until
from uvmfree.layouts.top import HEADER

BOUND_S = 50
MOVING = ("allocs_per_s", "pdscans_per_s")
RUN = (sys.executable, "-m", "uvmfree")


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[str]:
    """The counter page of a run in another process, which goes on for as long as it is looked at."""
    with running(tmp_path, 3600) as (path, _):
        yield path


@contextmanager
def running(tmp_path: Path, seconds: float) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Have another process run so long; yield its counter page, when it is there, and the process."""
    path = tmp_path / "counters"
    command = ("bench", "--workload", "pressure", "--npages", "1024", "--cpus", "2", "--design", "percpu")
    bench = subprocess.Popen(
        [*RUN, *command, "--seconds", str(seconds), "--repetitions", "1", "--counters", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        until(path.exists, bench)
        yield str(path), bench
    finally:
        bench.kill()
        bench.communicate()


def top(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUN, "top", *args], capture_output=True, text=True, timeout=BOUND_S, check=False, encoding="utf-8"
    )


def test_a_run_is_watched_to_its_end(tmp_path: Path) -> None:
    """The counters move while it runs, and the command ends when the run has ended."""
    looks: list[dict[str, Any]] = []
    told = False
    with running(tmp_path, 3600) as (counters, bench):
        with subprocess.Popen(
            [*RUN, "top", counters, "--json", "-w", "0.2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        ) as watching:
            assert watching.stdout is not None
            assert watching.stderr is not None
            for line in watching.stdout:  # one look after the other, until the counters have moved
                looks.append(json.loads(line))
                if not told and len(looks) >= 3 and all(any(look[name] > 0 for look in looks) for name in MOVING):
                    bench.send_signal(signal.SIGINT)  # the run ends, as by Ctrl-C
                    told = True
            assert watching.stderr.read() == ""
        assert watching.returncode == 0
        again = top(counters, "-b")  # what was left behind can still be read
    assert all(0 <= look["free"] <= look["npages"] == 1024 for look in looks)
    assert looks[-1]["ended"]
    assert not looks[1]["ended"]
    assert (again.returncode, len(again.stdout.splitlines())) == (0, 2)


@pytest.mark.rotated(2)
def test_lines_for_pipes_have_a_header_and_end_after_so_many(counters: str) -> None:
    said = top(counters, "-b", "-c", "3", "-w", "0.1")
    assert (said.returncode, said.stderr) == (0, "")
    header, *lines = said.stdout.splitlines()
    assert len(lines) == 3
    assert {len(line.split()) for line in (header, *lines)} == {14}
    assert "\x1b" not in said.stdout


def on_a_terminal(*args: str) -> bytes:
    """What `uvmfree top` draws on a terminal."""
    ours, theirs = pty.openpty()
    shown = subprocess.Popen([*RUN, "top", *args], stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    assert shown.wait(BOUND_S) == 0
    shown.communicate()
    os.close(ours)
    return text


@pytest.mark.rotated(2)
def test_on_a_terminal_it_draws_a_table_of_the_cpus(counters: str) -> None:
    text = on_a_terminal(counters, "-c", "2", "-w", "0.1")
    assert b"percpu" in text
    assert b"alloc/s" in text


@pytest.mark.rotated(2)
def test_no_escape_sequence_of_a_counter_page_gets_to_the_terminal(counters: str, tmp_path: Path) -> None:
    page, spoilt = Path(counters).read_bytes(), tmp_path / "spoilt"
    name, hostile = b'"design": "percpu"', rb'"design": "\u001b]0;owned\u0007"'
    assert name in page
    grown = page.replace(name, hostile, 1)
    padding = grown.index(bytes(64))
    spoilt.write_bytes(grown[:padding] + grown[padding + len(hostile) - len(name) :])
    text = on_a_terminal(str(spoilt), "-c", "1", "-w", "0.1")
    assert rb"\x1b]0;owned\x07, running" in text
    assert b"\x1b]0;" not in text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere",), "nowhere: there is no such file; a run makes it with --counters nowhere"),
        (("/dev/null",), "/dev/null: is no counter page of uvmfree"),
        (("nowhere", "-w", "0"), "-w 0: must be a number from 0.05 to 3600"),
    ],
)
def test_bad_input_is_one_clear_line(args: tuple[str, ...], says: str) -> None:
    said = top(*args)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"uvmfree: {says}\n"


def test_a_run_whose_process_was_killed_is_told_from_one_that_ended(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    program = (
        "import os\nfrom uvmfree.measure.counterfile import CounterFile\nfrom uvmfree.param import Param\n"
        f"CounterFile({str(path)!r}).begin(Param())\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=BOUND_S)
    said = top(str(path), "-b")
    assert said.returncode == 1
    assert "has ended and left its run unfinished" in said.stderr


@pytest.mark.rotated(2)
def test_a_page_that_is_truncated_again_and_again_ends_neither_the_run_nor_top(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    with running(tmp_path, 3600) as (counters, bench):
        command = [*RUN, "top", counters, "-b", "-w", "0.05"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            assert watching.stderr is not None
            assert watching.stdout.readline().split() == HEADER.split()  # it has read the page
            while watching.poll() is None:
                os.truncate(path, 0)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    watching.wait(0.002)
            assert watching.stderr.read() == f"uvmfree: {path}: the counter page was truncated\n"
        bench.send_signal(signal.SIGINT)
        assert (watching.returncode, bench.wait(BOUND_S)) == (2, 130)
