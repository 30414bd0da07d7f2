"""What asks a command to end: Ctrl-C, SIGTERM and SIGHUP, whenever they come, say one line and keep what there is.

=> Where the moment matters it is made: an import, a step of the work. Random moments are chosen by a seed.
"""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.waiting import until
from uvmfree.cli.output import write_json
from uvmfree.cli.running import Interrupted, first_signal_asks, signals_raise, signals_wait
from uvmfree.measure import workloads
from uvmfree.measure.counterfile import CounterFile
from uvmfree.measure.workloads import Workload
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Lane
from uvmfree.workload.load import Load

Run = Callable[..., Any]
BOUND_S = 50
RUN = (sys.executable, "-m", "uvmfree")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAKE = Path(__file__).resolve().parents[1] / "workload/fake_perf.py"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Whatever a command did with the handlers, they are as they were; SIGHUP is heard under nohup, too."""
    found = signal.getsignal(signal.SIGHUP)
    if found is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    before = [signal.getsignal(number) for number in ENDING]
    yield
    assert [signal.getsignal(number) for number in ENDING] == before
    signal.signal(signal.SIGHUP, found)


IMPORTS = """
import os, sys
class Interrupts:
    left = {left}
    def find_spec(self, *given):
        Interrupts.left -= 1
        if not Interrupts.left:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Interrupts())
sys.argv = ["uvmfree", "trace", "info", "nowhere"]
from uvmfree.__main__ import main
main()
"""


@pytest.mark.parametrize("left", [3, *random.Random(7).sample(range(4, 160), 7)])
@pytest.mark.sampled(4)
def test_an_early_signal_is_no_traceback(left: int) -> None:
    """In the middle of any import, from the first one on that the command itself does."""
    number = ENDING[left % 3]
    said = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(left=left + 2, number=int(number))],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (said.returncode, said.stdout, said.stderr) == (128 + number, "", "uvmfree: interrupted\n")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.sampled(2)
def test_a_signal_at_any_moment_of_a_bench(seed: int, tmp_path: Path) -> None:
    """One line, and the exit code; the record is there if anything had been measured."""
    rng = random.Random(seed)
    number, file = rng.choice(ENDING), tmp_path / "out.json"
    args = ("bench", "--workload", "pressure", "--seconds", "0.02", "--npages", "512", "--repetitions", "9999")
    process = subprocess.Popen([*RUN, *args, "--json", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # The interpreter has begun, and ours is the handler, when it has loaded what only click needs.
    until(lambda: caught(process.pid) & 1 << signal.SIGTERM - 1)
    threading.Event().wait(rng.random())
    process.send_signal(number)
    _, err = process.communicate(timeout=BOUND_S)
    assert process.returncode == 128 + number
    assert err.startswith(b"uvmfree: interrupted")
    assert err.count(b"\n") == 1
    if b"after" in err:
        assert json.loads(file.read_text())["interrupted"] is True


def caught(pid: int) -> int:
    """The signals that a process handles, as bits."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("SigCgt:")[2].split()[0], 16)


def signalling(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have --workload pingpong send this process a signal in its third run, and wait for what comes of it."""
    begun: list[int] = []

    def body(cpu: Cpu, lane: Lane) -> None:
        begun.append(1)
        if len(begun) == 3:
            os.kill(os.getpid(), number)
            if signal.getsignal(number) is not signal.SIG_IGN:
                lane.wait_until(lambda: False)

    made = Workload("stand-in", 1, lambda uvm: Load(uvm, [body]), 0, 0)
    monkeypatch.setattr(workloads, "pingpong", lambda ncpus, think_ns: made)


@pytest.mark.parametrize("number", ENDING)
def test_a_bench_keeps_what_was_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    signalling(monkeypatch, number)
    file = tmp_path / "out.json"
    said = run("bench", "--workload", "pingpong", "--npages", "256", "--json", str(file))
    assert said.status == 128 + number
    assert said.err == "uvmfree: interrupted after 2 runs; what was measured is above\n"
    assert ", 1 run" in said.out
    assert ", 0 runs" not in said.out  # of locks that were not looked at there is nothing to say
    assert "stand-in" in said.out
    assert "\nInterrupted after 2 runs: this is what was measured until then.\n" in said.out
    document = json.loads(file.read_text())
    assert (document["interrupted"], len(document["runs"])) == (True, 2)


def test_a_bench_that_measured_nothing_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def body(cpu: Cpu, lane: Lane) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        lane.wait_until(lambda: False)

    made = Workload("stand-in", 1, lambda uvm: Load(uvm, [body]), 0, 0)
    monkeypatch.setattr(workloads, "pingpong", lambda ncpus, think_ns: made)
    said = run("bench", "--workload", "pingpong", "--npages", "256")
    assert (said.status, said.err) == (130, "uvmfree: interrupted after 0 runs; nothing was measured\n")
    assert "Interrupted" not in said.out


def test_nohup_is_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores SIGHUP before the command begins does not want it to end by one."""
    signalling(monkeypatch, signal.SIGHUP)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        said = run("bench", "--workload", "pingpong", "--npages", "256", "--repetitions", "2", "--json", "-")
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert said.status == 0
    assert json.loads(said.out)["interrupted"] is False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stress_run_is_audited_and_kept(run: Run, tmp_path: Path, number: int) -> None:
    counters = tmp_path / "counters"

    def send() -> None:
        until(counters.exists)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    args = ("--cpus", "2", "--npages", "256", "--counters", str(counters), "--json", "-")
    said = run("stress", "--seconds", "3600", *args)
    sender.join(BOUND_S)
    assert said.status == 128 + number
    assert said.err == "uvmfree: interrupted; what had been done until then was audited and is above\n"
    document = json.loads(said.out)
    assert document["interrupted"] is True
    assert document["stress"][-1]["uvmexp"]["npages"] == 256


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_recording_is_kept(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    perf, file = tmp_path / "perf", tmp_path / "t.perf"
    perf.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{FAKE}' \"$@\"\n")
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_PERF_LOG", str(tmp_path / "perf.log"))
    said = run("trace", "record", "-o", str(file), "--", "sh", "-c", f"kill -{number} {os.getpid()}; exec sleep 60")
    assert said.status == 128 + number
    assert said.err.splitlines()[-1] == f"uvmfree: interrupted; {file} holds what was recorded until then"
    assert file.stat().st_size


def test_a_recording_that_holds_nothing_says_which_signal_it_was(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """perf fails when it is interrupted: an interruption, not a failure, by the signal that came."""
    perf = tmp_path / "perf"
    perf.write_text(f'#!/bin/sh\ncase "$*" in *pwd) kill -TERM {os.getpid()}; exit 1;; esac\n')
    perf.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    said = run("trace", "record", "-o", str(tmp_path / "t"), "--", "pwd")
    assert (said.status, said.err.splitlines()[-1]) == (143, "uvmfree: interrupted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.sampled(1)
def test_a_sweep_goes_on_later(tmp_path: Path, number: int) -> None:
    """The signal reaches the process that measures, too: that is no want of memory."""
    file = tmp_path / "sweep.json"
    args = ("--workload", "pressure", "--seconds", "0.1", "--set", "npages=512", "--repetitions", "1")
    grid = ("--cpus", "1,2,3,4,5,6,7,8", "--design", "percpu")
    sweep = subprocess.Popen(
        [*RUN, "sweep", "-o", str(file), *args, *grid],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: file.exists() or sweep.poll() is not None)
    os.killpg(sweep.pid, number)
    _, err = sweep.communicate(timeout=BOUND_S)
    assert sweep.returncode == 128 + number
    measured = len(json.loads(file.read_text())["measured"])
    assert err.splitlines()[-1].startswith("uvmfree: interrupted; the same command goes on with the ")
    assert measured >= 1
    assert "memory" not in err


def test_top_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    """It hides the cursor while it draws."""
    file = CounterFile(str(tmp_path / "counters"))
    file.begin(Param())
    ours, theirs = pty.openpty()
    top = subprocess.Popen([*RUN, "top", str(tmp_path / "counters"), "-w", "0.05"], stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if b"percpu" in part and b"percpu" not in text:
            top.send_signal(signal.SIGTERM)
        text += part
    os.close(ours)
    file.close()
    assert top.wait(BOUND_S) == 143
    assert text.count(b"\x1b[?25l") == text.count(b"\x1b[?25h") == 1
    assert b"Traceback" not in text


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_waits_for_the_end_of_a_file(number: int) -> None:
    """And the second one does not: the disk may be one that does not answer."""
    done = []

    def first() -> None:
        with signals_raise():
            with signals_wait():
                os.kill(os.getpid(), number)
                done.append(1)
            done.append(2)

    def second() -> None:
        with signals_wait():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), number)
            done.append(3)

    with pytest.raises(Interrupted) as came:
        first()
    assert (done, came.value.status) == ([1], 128 + number)
    with pytest.raises(Interrupted):
        second()
    assert done == [1]


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("output", ["file", "-"])
def test_a_signal_ends_what_waits_for_a_reader_of_a_fifo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, output: str
) -> None:
    """At once, though the work before it only noted the first signal. The signal comes where the wait would begin."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    came = []

    def waiting(*args: object, **kwargs: object) -> int:
        came.append(number)
        os.kill(os.getpid(), number)
        raise AssertionError("it went on to wait")

    def written() -> None:
        with first_signal_asks(), monkeypatch.context() as patched:
            patched.setattr(*((click, "echo") if output == "-" else (os, "open")), waiting)
            write_json("--json", output if output == "-" else str(fifo), {})

    ours, theirs = os.pipe()
    stdout = os.dup(1)
    os.dup2(theirs, 1)
    try:
        with pytest.raises(Interrupted) as ended:
            written()
    finally:
        os.dup2(stdout, 1)
        for fd in (stdout, ours, theirs):
            os.close(fd)
    assert (came, ended.value.status) == ([number], 128 + number)
