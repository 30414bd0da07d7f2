"""The command line as its users meet it: exit codes, one clear line for bad input, what is kept on Ctrl-C.

=> In this process, by way of main(), with threads that play CPUs; one test starts a process of its own.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import uvmfree.cli
from tests.workload.perf_lines import ONE, line
from uvmfree.measure import workloads
from uvmfree.measure.workloads import Workload
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import SHOWN
from uvmfree.uvm.uvmexp import UvmExpSnapshot
from uvmfree.workload.driver import Lane
from uvmfree.workload.load import Load


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def go(*args: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["uvmfree", *args])
        with pytest.raises(SystemExit) as ended:
            uvmfree.cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return go


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """A trace of two CPUs: pages that change hands, and a run of 16."""
    events = [line("alloc", hex(100 + page), cpu=page % 2, us=page) for page in range(200)]
    events.append(line("alloc", hex(64), cpu=0, us=300, order=4))
    events += [line("free", hex(100 + page), cpu=1, us=400 + page) for page in range(200)]
    path = tmp_path / "small.perf"
    path.write_text("".join(events))
    return str(path)


QUICK = ("--repetitions", "1")
SMALL = (*QUICK, "--npages", "2048")


def test_a_bench_prints_a_table_and_writes_its_raw_values(run: Run, trace: str, tmp_path: Path) -> None:
    """Runs of pages are allocated, not skipped (R26); the counters have the names of uvmexp_sysctl."""
    file = tmp_path / "out.json"
    said = run("bench", "--trace", trace, *SMALL, "--json", str(file), "--vmstat")
    assert (said.status, said.err) == (0, "")
    assert "workload:    small.perf, 2 CPUs\ntunables:    npages=2048, others at their defaults\n" in said.out
    assert "page operations asked for" in said.out
    assert "     2048 pages managed\n" in said.out
    assert "\nwaits for pages" not in said.out  # nobody waited: no row of noughts
    assert "faults per second" not in said.out
    assert "\x1b" not in said.out
    document = json.loads(file.read_text())
    assert document["interrupted"] is False
    assert len(document["runs"]) == 2 * len(SHOWN)
    for one in document["runs"]:
        assert set(one["uvmexp"]) == set(UvmExpSnapshot.__dataclass_fields__)
        assert one["ranged_pages"] == 16
        assert one["drive"]["failed"] == [0, 0]
    assert document["runs"][0]["figures"]["page_operations"] == 200 + 16 + 200


@pytest.mark.parametrize("workload", ["pressure", "forkexit", "pingpong", "handoff"])
@pytest.mark.sampled(2)
def test_every_workload_runs(run: Run, workload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "FORKEXIT_ROUNDS", 3)
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 500)
    monkeypatch.setattr(workloads, "HANDOFF_PAGES", 500)
    size = ("--seconds", "0.2") if workload == "pressure" else ("--npages", "2048")
    said = run("bench", "--workload", workload, "--cpus", "2", *size, *QUICK, "--json", "-")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert document["workload"]["ncpus"] == 2
    figures = [one["figures"] for one in document["runs"] if one["lockstat"]]
    assert len(figures) == len(SHOWN)
    if workload == "pressure":
        assert len(document["runs"]) == len(SHOWN)  # a run of a given length has no wall time to measure
        assert document["param"]["npages"] == workloads.PRESSURE_NPAGES
        assert all(one["faults"] > 0 and one["false_oom"] == 0 for one in figures)
    else:
        assert all(one["faults"] is None for one in figures)


def test_a_trace_in_half_of_its_memory(run: Run, trace: str) -> None:
    """RAM is a fraction of the peak, 216 pages here."""
    said = run("bench", "--trace", trace, "--memory", "0.5", *QUICK, "--json", "-")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert document["param"]["npages"] == 108
    assert all(one["anons"]["faults"] > 0 for one in document["runs"])


def test_tunables_reach_the_system(run: Run, trace: str) -> None:
    said = run(
        "bench", "--trace", trace, "--set", "hoard_max=64", "--set", "drain_retry=yes", "--refill", "4", *SMALL,
        "--json", "-", "--design", "percpu",
    )  # fmt: skip
    param = json.loads(said.out)["param"]
    assert (dict(param["own"]), param["drain_retry"]) == ({"percpu.hoard_max": 64, "percpu.refill": 4}, True)
    assert param["npages"] == 2048
    assert workloads.by_name("trace", trace).npages is None  # as many as a system has by default
    assert Param().npages == 65536


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["bench", "--trace", "nowhere.perf"], "nowhere.perf"),
        (["bench", "--design", "best"], "design='best': must be one of fpageqlock, percpu"),
        (["bench", "--npages", "3"], "npages=3"),
        (["bench", "--npages", "300"], "are kept in reserve beside them; give "),
        (["bench", "--cpus", "0"], "--cpus 0"),
        (["bench", "--cpus", "1"], "1 CPU: too few"),
        (["bench", "--refill", "0"], "refill=0"),
        (["bench", "--set", "hoard_max"], "NAME=VALUE"),
        (["bench", "--set", "hoard=3"], "no tunable is called hoard"),
        (["bench", "--set", "hoard_max=0"], "hoard_max=0"),
        (["bench", "--set", "search=up"], "search='up'"),
        (["bench", "--set", "redistribute_interval_s=nan"], "redistribute_interval_s=nan"),
        (["bench", "--set", "npages=3"], "--npages"),
        (["bench", "--set", "refill=3", "--refill", "2"], "refill is set by --refill"),
        (["bench", "--set", "lockstat=true"], "lockstat=true: every repetition runs with lockstat and without"),
        (["bench", "--workload", "pingpong", "--by", "task"], "--by goes with a trace, not with --workload pingpong"),
        (["bench", "--workload", "pressure", "--by", "cpu"], "--by goes with a trace, not with --workload pressure"),
        (["bench", "--design", "percpu", "--design", "percpu"], "--design percpu: is given twice"),
        (["bench", "--seconds", "1"], "--seconds goes with --workload pressure"),
        (["bench", "--workload", "pressure", "--seconds", "0"], "--seconds 0"),
        (["bench", "--workload", "pressure", "--seconds", "nan"], "--seconds nan"),
        (["bench", "--workload", "pressure", "--trace", "x"], "--trace goes with"),
        (["bench", "--workload", "pressure", "--memory", "0.5"], "--memory goes with a trace"),
        (["bench", "--memory", "0"], "--memory 0"),
        (["bench", "--memory", "nan"], "--memory nan"),
        (["bench", "--memory", "0.5", "--npages", "5000"], "give one"),
        (["bench", "--workload", "handoff", "--cpus", "3"], "pair up"),
        (["bench", "--json", "no/such/folder/out.json"], "no folder"),
        (["bench", "--repetitions", "0"], "repetitions"),
        (["bench", "--workload", "nothing"], "nothing"),
        (["nothing"], "nothing"),
        (["trace", "info", "nowhere.perf"], "nowhere.perf"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_bad_input_gets_one_clear_line(run: Run, args: list[str], word: str) -> None:
    said = run(*args, *(QUICK if args[0] == "bench" and "--repetitions" not in args else ()))
    assert said.status == 2
    assert said.out == ""
    *usage, last = said.err.splitlines()
    assert word in last
    assert all(text.startswith(("Usage:", "Try ")) or not text for text in usage)


def test_a_damaged_trace_is_named_with_its_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.perf"
    path.write_text(ONE + "what is this\n")
    said = run("bench", "--trace", str(path), *QUICK)
    assert said.status == 2
    assert f"{path}: line 2: " in said.err
    assert said.err.count("\n") == 1


def stand_in(monkeypatch: pytest.MonkeyPatch, *bodies: Callable[[Cpu, Lane], None]) -> None:
    """Have --workload pingpong run these bodies."""
    made = Workload("stand-in", len(bodies), lambda uvm: Load(uvm, list(bodies)), 0, 0)
    monkeypatch.setattr(workloads, "pingpong", lambda ncpus, think_ns: made)


def waits(cpu: Cpu, lane: Lane) -> None:
    lane.wait_until(lambda: False)


def test_a_crash_of_a_cpu_stops_the_others_and_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashes(cpu: Cpu, lane: Lane) -> None:
        raise ZeroDivisionError("seeded")

    stand_in(monkeypatch, waits, crashes)
    said = run("bench", "--workload", "pingpong", *SMALL)
    assert said.status == 1
    assert "Traceback" in said.err
    assert ", in crashes" in said.err
    assert "uvmfree: CPU 1 stopped the run: ZeroDivisionError: seeded" in said.err
    assert said.out == ""


def test_a_broken_invariant_is_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is lost is found by the audit after the run (R3)."""

    def loses(cpu: Any, lane: Lane) -> None:
        cpu.pagealloc()
        cpu.frees += 1

    stand_in(monkeypatch, loses)
    said = run("bench", "--workload", "pingpong", *SMALL)
    assert said.status == 1
    assert "uvmfree: audit: " in said.err
    assert "Traceback" not in said.err


def test_ctrl_c_keeps_what_was_measured_and_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The signal comes in the third run: two are kept, the threads are joined, the exit code is 130."""
    begun: list[int] = []

    def body(cpu: Cpu, lane: Lane) -> None:
        begun.append(1)
        if len(begun) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            waits(cpu, lane)

    stand_in(monkeypatch, body)
    file = tmp_path / "out.json"
    before = signal.getsignal(signal.SIGINT)
    said = run("bench", "--workload", "pingpong", *SMALL, "--repetitions", "5", "--json", str(file))
    assert said.status == 130
    assert "interrupted after 2 runs" in said.err
    assert "stand-in, 1 CPU\n" in said.out
    document = json.loads(file.read_text())
    assert document["interrupted"] is True
    assert len(document["runs"]) == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_a_reader_that_goes_away_is_no_traceback(trace: str) -> None:
    """As with `uvmfree trace info FILE | true`."""
    with subprocess.Popen(
        [sys.executable, "-m", "uvmfree", "trace", "info", trace],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[1],
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(30)
    assert "Traceback" not in err
    assert "Exception ignored" not in err


def test_trace_info_counts(run: Run, trace: str) -> None:
    said = run("trace", "info", trace, "--json")
    assert said.status == 0
    document = json.loads(said.out)
    assert (document["allocs"], document["allocs_high_order"], document["frees"]) == (201, 1, 200)
    assert "201 (1)" in run("trace", "info", trace).out


@pytest.mark.parametrize("false_oom", [0, 2])
def test_a_run_that_was_out_of_memory_while_there_was_some_is_a_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch, false_oom: int
) -> None:
    """Q5: the table is printed all the same."""
    monkeypatch.setattr(Load, "settle", lambda load: false_oom)
    said = run(
        "bench", "--workload", "pressure", "--design", "percpu", "--npages", "1024", "--seconds", "0.05", *QUICK
    )
    assert "page operations" in said.out
    assert said.status == (1 if false_oom else 0)
    assert ("out of memory 2 times while there was some" in said.err) == bool(false_oom)


def test_two_records_are_compared(run: Run, trace: str, tmp_path: Path) -> None:
    """A record is no worse than itself; one whose counts went up is, by name, and the exit code says so."""
    file, worse = tmp_path / "a.json", tmp_path / "b.json"
    assert run("bench", "--trace", trace, *SMALL, "--json", str(file)).status == 0
    said = run("compare", str(file), str(file))
    assert (said.status, said.err) == (0, "")
    assert "shared_locks_per_op" in said.out
    document = json.loads(file.read_text())
    for measured in document["runs"]:
        for cpu in measured["cpus"]:
            cpu["atomics"] += 1000
    worse.write_text(json.dumps(document))
    said = run("compare", str(file), str(worse), "--json", "-")
    assert said.status == 1
    assert "worse by more than 5 %: " in said.err
    assert "atomics_per_op of percpu" in said.err
    verdicts = {(change["design"], change["figure"]): change["verdict"] for change in json.loads(said.out)["changes"]}
    assert verdicts["percpu", "atomics_per_op"] == "worse"
    assert run("compare", str(file), str(worse), "--tolerance", "10").status == 1  # a thousandfold, or of nothing


@pytest.mark.parametrize(
    ("second", "says"),
    [("gone.json", "gone.json: No such file"), ("cut.json", "breaks off"), ("other.json", "is no uvmfree record")],
)
def test_what_is_no_record_is_not_compared(run: Run, trace: str, tmp_path: Path, second: str, says: str) -> None:
    file = tmp_path / "a.json"
    assert run("bench", "--trace", trace, "--design", "percpu", *SMALL, "--json", str(file)).status == 0
    (tmp_path / "cut.json").write_text(file.read_text()[:500])
    (tmp_path / "other.json").write_text("{}")
    said = run("compare", str(file), str(tmp_path / second))
    assert said.status == 2
    assert says in said.err
    assert said.err.count("\n") == 1
