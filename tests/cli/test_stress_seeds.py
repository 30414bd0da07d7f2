"""`uvmfree stress --machine virtual` and `--seeds`: one line for bad input, a summary, the first failure, signals."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import uvmfree.cli
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.record import of_document
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.seeds import Seeds, parse_seeds, play_seeds
from uvmfree.stress.supervised import Options

ROOT = Path(__file__).resolve().parents[2]
VIRTUAL = ("--machine", "virtual", "--cpus", "2", "--npages", "256", "--seconds", "0.002")

needs_greenlets = pytest.mark.skipif(
    not greenlets_work(), reason="threads that pass a baton take minutes for that on a host with other work"
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in an empty folder; return its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def go(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["uvmfree", "stress", *args])
        with pytest.raises(SystemExit) as ended:
            uvmfree.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return go


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--machine", "virtual", "--seeds", "9-1"), "--seeds 9-1: 1 is less than 9"),
        (("--machine", "virtual", "--seeds", "7"), "--seeds 7: must be FROM-TO, two whole numbers"),
        (("--machine", "virtual", "--seeds", "1--3"), "--seeds 1--3: must be FROM-TO"),
        (("--machine", "virtual", "--seeds", f"1-{1 << 63}"), "must be less than 2**63"),
        (("--machine", "virtual", "--seeds", "1-2", "--seed", "1"), "--seeds: keeps no record"),
        (("--machine", "virtual", "--seeds", "1-2", "--vmstat"), "--seeds: keeps no record"),
        (("--seeds", "1-2"), "--seeds: goes with --machine virtual"),
        (("--scheduler", "tcp://localhost:1"), "--scheduler: goes with --seeds"),
        (("--lock", "mcs"), "--lock goes with --machine virtual"),
        (("--cost", "wakeup=1"), "--cost goes with --machine virtual"),
        (("--machine", "virtual", "--lock", "fifo"), "--lock fifo: must be one of ttas, ticket, mcs"),
        (("--machine", "virtual", "--costs", "nosuch"), "costs='nosuch': must be one of "),
        (("--machine", "virtual", "--cost", "wakeup"), "--cost wakeup: must be NAME=NS"),
        (("--machine", "virtual", "--cost", "wakeup=-1"), "wakeup=-1.0: must be from 0"),
        (("--machine", "virtual", "--busy", "0"), "--busy 0: must be from 0.01 to 100"),
        (("--machine", "virtual", "--seconds", "0.0001"), "--seconds 0.0001: must be from 0.001 to"),
    ],
)
def test_bad_input_is_one_clear_line(run: Run, args: tuple[str, ...], says: str) -> None:
    status, out, err = run(*args)
    assert (status, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


@needs_greenlets
def test_a_run_is_marked_as_virtual_everywhere(run: Run) -> None:
    status, out, err = run(*VIRTUAL, "--seed", "1", "--design", "percpu", "--busy", "50", "--cost", "wakeup=2000")
    assert (status, err) == (0, "")
    text = " ".join(out.split())
    assert "machine: virtual, 2 CPUs, costs xeon-2s, wakeup=2000, ttas locks, 50 % busy, seed 1" in text
    assert "real threads" not in out
    assert "virtual seconds" in out
    assert "digest of the run" in out
    assert max(map(len, out.splitlines())) <= 80


@needs_greenlets
def test_its_record_says_what_machine_it_is_of(run: Run) -> None:
    options = ("--seed", "1", "--design", "percpu", "--busy", "50", "--cost", "wakeup=2000", "--lock", "mcs")
    status, out, _ = run(*VIRTUAL, *options, "--json", "-")
    read = of_document(json.loads(out), "-")
    assert (status, read.machine.virtual, read.machine.words) == (0, True, read.stress[0].machine)
    assert read.machine_words == "virtual, costs xeon-2s, wakeup=2000, mcs locks, 50 % busy, seed 1"
    assert read.threads_run_at_once


@needs_greenlets
def test_seeds_are_played_by_processes_and_summed_up(run: Run) -> None:
    status, out, err = run(*VIRTUAL, "--seeds", "1-3")
    assert (status, err) == (0, "")
    assert out.startswith("3 seeds, nothing found: fpageqlock, percpu, depot in turn, 0.002 s each\n")
    assert "virtual seconds and" in out


class Here:
    """An executor that plays in this process, when asked for the result."""

    def __init__(self) -> None:
        self.handed_out: list[int] = []

    def submit(self, play: Callable[..., object], options: Options, design: str) -> "Later":
        self.handed_out.append(options.seed)
        return Later(lambda: play(options, design))


class Later:
    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call

    def result(self, timeout: float) -> object:
        return self._call()

    def cancel(self) -> None:
        pass


def played(options: Options, seeds: str, stop: Callable[[], bool] = lambda: False) -> tuple[Seeds, Here]:
    seen, here = Seeds(), Here()
    for _ in play_seeds(seen, parse_seeds(seeds), options, ("percpu",), here, 1, stop):  # type: ignore[arg-type]
        pass
    return seen, here


@needs_greenlets
def test_it_stops_at_the_first_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.stress.hunt import seeded

    monkeypatch.chdir(tmp_path)
    with seeded("a swallowed error of a cross-call"):
        seen, here = played(Options(seconds=0.002, ncpus=2, npages=256, machine=Virtual()), "5-900")
    assert seen.failure is not None
    assert "R31" in seen.failure.errors[0]
    assert seen.last is not None
    assert seen.last < 20
    assert f"--seed {seen.last} " in seen.failure.command
    assert len(here.handed_out) < 20


@needs_greenlets
def test_what_was_played_is_kept_when_it_is_asked_to_stop() -> None:
    asked = iter([False, False, True])
    seen, _ = played(
        Options(seconds=0.001, ncpus=1, npages=256, faults=(), machine=Virtual()), "1-99", lambda: next(asked)
    )
    assert (seen.interrupted, seen.runs, seen.last, seen.failure) == (True, 2, 2, None)


@needs_greenlets
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.sampled(1)
def test_a_signal_ends_it_and_says_what_is_left(number: signal.Signals, status: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvmfree", "stress", *VIRTUAL, "--seeds", "1-100000"]
    ours, theirs = pty.openpty()  # on a terminal it says how far it is
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as begun:
        os.close(theirs)
        shown = b""
        while b"seed 1" not in shown:
            shown += os.read(ours, 4096)
        begun.send_signal(number)
        out, _ = begun.communicate(timeout=60)
        while b"are left" not in shown:
            shown += os.read(ours, 4096)
    os.close(ours)
    assert begun.returncode == status
    assert b"nothing found" in out
    assert b"-100000 are left" in shown
