"""`uvmfree stress` as its users meet it: exit codes, one document or one table, Ctrl-C at any moment, one clear line.

=> In this process by way of main(), but for Ctrl-C and the terminal, which need a process of their own.
"""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

import uvmfree
import uvmfree.cli
from tests.anon.rig import until
from tests.kern.tasks import WORK_S
from uvmfree.machine.words import Adder, CounterPage
from uvmfree.measure.counterfile import CounterReader
from uvmfree.measure.host import gil_enabled
from uvmfree.stress import supervised as measure
from uvmfree.stress.faults import FAULTS
from uvmfree.uvm.designs import SHOWN

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--cpus", "2", "--npages", "256")
END_S = 40


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def go(*args: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["uvmfree", "stress", *args])
        with pytest.raises(SystemExit) as ended:
            uvmfree.cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return go


def begun(*args: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvmfree", "stress", *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT)


def test_both_designs_one_document_and_nothing_else(run: Run) -> None:
    said = run("--seconds", "0.3", "--seed", "5", *SMALL, "--faults", "storm,xcall", "--json", "-")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert (document["schema"], document["kind"]) == ("uvmfree.record", "stress")
    assert (document["seed"], document["seconds"], document["faults"]) == (5, 0.3, ["xcall", "storm"])
    assert document["interrupted"] is False
    assert document["param"]["lockstat"] is False
    assert [one["design"] for one in document["stress"]] == list(SHOWN)
    for one in document["stress"]:
        assert one["errors"] == []
        assert one["figures"]["operations_per_s"] > 0
        assert one["seen"]["samples"] > 0
        assert one["file"] is None
        assert (one["lockstat"], one["locks"]) == (False, [])


def test_a_table_and_the_counters(run: Run) -> None:
    said = run("--seconds", "0.2", "--design", "percpu", *SMALL, "--faults", "none", "--vmstat", "--set", "refill=4")
    assert (said.status, said.err) == (0, "")
    assert "fpageqlock" not in said.out
    assert said.out.startswith("workload:    stress, seed ")
    assert "0.2 s, faults none, 2 CPUs\ntunables:    npages=256, nfreelists=2, redistribute_" in said.out
    assert "percpu.refill=4\n" in said.out
    assert "machine:     real threads on " in said.out
    assert "interpreter: CPython " in said.out
    assert ("per second" in said.out) != gil_enabled()
    assert max(map(len, said.out.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in said.out.splitlines())
    assert "256 pages managed" in said.out
    assert "\x1b" not in said.out
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--faults", "strom"), "'strom' is no fault; give all, none, or some of xcall,stall"),
        (("--seconds", "-1"), "--seconds -1: must be from 0.1 to"),
        (("--seconds", "nan"), "--seconds nan: must be from"),
        (("--seconds", "long"), "--seconds long: must be a number"),
        (("--seed", "-3"), "--seed -3: must be a whole number, 0 or more"),
        (("--seed", str(1 << 63)), "must be less than 2**63, so that a record can keep it"),
        (("--cpus", "0"), "--cpus 0: must be from 1 to 128"),
        (("--npages", "3"), "npages=3: must be from 22"),
        (("--design", "nosuch"), "design='nosuch': must be one of fpageqlock, percpu"),
        (("--design", "percpu", "--design", "percpu"), "--design percpu: is given twice"),
        (("--set", "ncpus=2"), "ncpus is set by --cpus"),
        (("--set", "lockstat=true"), "lockstat is set by --format"),
        (("--set", "hoard_max=0"), "hoard_max=0: must be from 1"),
        (("--json", "no/such/folder.json"), "--json no/such/folder.json: there is no folder no/such"),
    ],
)
def test_bad_input_is_one_clear_line(run: Run, args: tuple[str, ...], says: str) -> None:
    said = run(*args)
    assert said.status == 2
    assert said.out == ""
    assert says in said.err
    assert "Traceback" not in said.err


def test_the_faults_in_the_help_are_those_that_there_are(run: Run) -> None:
    assert ",".join(FAULTS) in "".join(run("--help").out.split())


def test_what_breaks_is_reported_with_its_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """R3: a counter that is wrong ends the run with exit code 1; the document is written all the same."""
    adder = CounterPage.adder

    def stuck(self: CounterPage, name: str) -> Adder:
        return Adder(lambda n: None, self) if name == "zeropages" else adder(self, name)

    monkeypatch.setattr(CounterPage, "adder", stuck)
    said = run("--seconds", "20", "--seed", "9", "--design", "percpu", *SMALL, "--json", "out.json")
    assert said.status == 1
    assert "audit: uvmexp.zeropages is" in said.err
    assert "uvmfree: again: uvmfree stress --design percpu --seed 9 --seconds 20 --cpus 2 --npages 256" in said.err
    (report,) = Path.cwd().glob("uvmfree-stress-*.txt")
    assert f"the last operations of each CPU: {report}" in said.err
    assert "CPU 1, " in said.err
    document = json.loads(Path("out.json").read_text())
    assert document["stress"][0]["errors"]
    assert document["stress"][0]["file"] == str(report)


def test_a_hang_ends_the_process_with_its_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that hang are not joined: the process ends at once, after all was said, and begins no other design."""
    begun: list[str] = []
    really = measure.stress

    def hanging(options: measure.Options, design: str, **_: Any) -> measure.StressRun:
        begun.append(design)
        record = really(measure.Options(seconds=0.1, ncpus=2, npages=256, faults=()), design)
        record.hung, record.errors, record.file = True, ("no progress for 5 s",), "some-file.txt"
        record.report = ("uvm_cpu[0]: held by cpu/1 (uvm_pagealloc); waiting: nobody waits",)
        return record

    def exits(status: int) -> NoReturn:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", exits)
    monkeypatch.setattr(measure, "stress", hanging)
    said = run("--seed", "4", *SMALL, "--faults", "none")
    assert said.status == 1
    assert begun == [SHOWN[0]]
    first, again, file, *rest = said.err.splitlines()
    assert first == f"uvmfree: {begun[0]}: no progress for 5 s"
    assert again.startswith(f"uvmfree: again: uvmfree stress --design {begun[0]} --seed 4 --seconds 10 ")
    assert file.endswith("some-file.txt")
    assert rest == ["uvm_cpu[0]: held by cpu/1 (uvm_pagealloc); waiting: nobody waits"]


def test_lock_statistics_of_a_process_of_its_own() -> None:
    with begun("--seconds", "0.3", "--design", "percpu", *SMALL, "--format", "json", "-l", "-L", "uvm_*") as process:
        out, err = process.communicate(timeout=END_S)
    assert (process.returncode, err) == (0, b"")
    document = json.loads(out)
    assert (document["schema"], document["by"]) == ("uvmfree.lockstat", "lock")
    (design,) = document["designs"]
    assert (design["design"], design["elapsed_s"] >= 0.3) == ("percpu", True)
    names = {lock["name"] for lock in design["locks"]}
    assert {"uvm_fpageqlock", "uvm_cpu[0]", "uvm_cpu[1]", "uvm_pageout_lock", "uvm_pageqlock"} == names
    assert all(lock["acquired"] > 0 and lock["caller"] == "<all>" for lock in design["locks"])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.sampled(1)
def test_ctrl_c_at_any_moment(seed: int) -> None:
    """The threads are joined, the system audited, what was done kept and marked as interrupted."""
    rng = random.Random(seed)
    with begun("--seconds", "60", *SMALL, "--json", "-") as process:
        try:
            # Its threads are there: the handler is in place, and the run has just begun.
            until(lambda: len(os.listdir(f"/proc/{process.pid}/task")) > 3, WORK_S)
            threading.Event().wait(rng.random() * 0.6)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=END_S)
        finally:
            process.kill()
    assert process.returncode == 130, err
    document = json.loads(out)
    assert document["interrupted"] is True
    assert not any(one["errors"] for one in document["stress"])
    assert document["stress"][-1]["interrupted"] is True
    assert document["stress"][-1]["uvmexp"]["npages"] == 256
    assert err == b"uvmfree: interrupted; what had been done until then was audited and is above\n"


@pytest.mark.rotated(2)
def test_a_terminal_sees_how_far_it_is() -> None:
    """A line on stderr, with operations, their rate and faults; the table on stdout has no escape codes."""
    main, other = pty.openpty()
    with begun("--seconds", "0.7", "--design", "percpu", *SMALL, stderr=other) as process:
        os.close(other)
        seen = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # the other end was closed: the process has ended
                break
            seen += part
        out, _ = process.communicate(timeout=END_S)
    os.close(main)
    assert process.returncode == 0
    assert b"percpu, 0 of 0.7 s: " in seen
    assert b" per second, " in seen
    assert b"\x1b" not in out


@pytest.mark.rotated(3)
def test_a_timeline_and_a_counter_page_of_all_designs(run: Run, tmp_path: Path) -> None:
    pb = pytest.importorskip(
        "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="extra `trace` not installed"
    )
    timeline, counters = tmp_path / "t.pftrace", tmp_path / "counters"
    args = ("--seconds", "0.1", *SMALL, "--faults", "storm", "--perfetto", str(timeline), "--counters", str(counters))
    said = run(*args)
    assert (said.status, said.err) == (0, "")
    trace = pb.Trace()
    trace.ParseFromString(timeline.read_bytes())
    kinds = {packet.track_event.type: 0 for packet in trace.packet if packet.HasField("track_event")}
    for packet in trace.packet:
        if packet.HasField("track_event"):
            kinds[packet.track_event.type] += 1
    assert kinds[pb.TrackEvent.TYPE_SLICE_BEGIN] == kinds[pb.TrackEvent.TYPE_SLICE_END] > 0
    described = [packet.track_descriptor for packet in trace.packet if packet.HasField("track_descriptor")]
    processes = [each.process.process_name.split()[0] for each in described if each.HasField("process")]
    assert processes == list(SHOWN)
    last = CounterReader(str(counters)).read()
    assert (last.design, last.ended, last.npages) == (SHOWN[-1], True, 256)
