"""`uvmfree bench --machine virtual`: what a real run gives, in virtual time, marked so, and the same each time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workload.perf_lines import line
from uvmfree.measure import workloads
from uvmfree.measure.machine_facts import VIRTUAL as VIRTUAL_KIND
from uvmfree.measure.machine_facts import MachineFacts
from uvmfree.measure.record import THREAD_TIMES, load
from uvmfree.measure.workloads import PAGES_PER_CPU
from uvmfree.param import Param

Run = Callable[..., Any]

VIRTUAL = ("bench", "--machine", "virtual", "--repetitions", "1")
PINGPONG = (*VIRTUAL, "--workload", "pingpong", "--npages", "4096")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("PINGPONG_PAGES", 2000), ("HANDOFF_PAGES", 2000), ("FORKEXIT_ROUNDS", 10)):
        monkeypatch.setattr(workloads, name, count)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Two CPUs, two tasks, 40 pages, 2 ms in all."""
    file = tmp_path / "small.perf"
    steps = [("alloc", 0), ("free", 1000)]
    events = [
        line(event, hex(100 + page), who=f"cc1 {7 + page % 2}", cpu=page % 2, us=began_us + 25 * page)
        for event, began_us in steps
        for page in range(40)
    ]
    file.write_text("".join(events))
    return str(file)


def quiet(said: Any) -> bool:
    """Whether a command did its work, and said nothing but that strands are slow here."""
    return said.status == 0 and all("pass a baton" in text for text in said.err.splitlines())


def ran(run: Run, tmp_path: Path, *args: str) -> Any:
    """Run a benchmark, and return its record."""
    file = str(tmp_path / "record.json")
    said = run(*args, "--json", file)
    assert quiet(said)
    return load(file)


def test_everything_is_marked_virtual_and_times_are_shown_whatever_the_gil(run: Run) -> None:
    said = run(
        *PINGPONG, "--cpus", "4", "--lock", "ticket", "--cost", "atomic=9", "--repetitions", "2", "--seed", "7"
    )
    assert quiet(said)
    text = " ".join(said.out.split())
    assert "machine: virtual, 4 CPUs, costs xeon-2s, atomic=9, ticket locks, seeds 7 to 8" in text
    assert "times per page operation; CPUs wait for page locks " in text
    assert "Times are virtual: they follow from a table of costs" in text
    assert "pingpong, 1000 ns outside between operations, 4 CPUs" in text
    for row in ("wait share %", "contended %", "longest wait, us", "virtual time, ms"):
        assert f" {row} " in text
    for design in ("fpageqlock", "percpu"):
        assert f" {design}, 2 runs in virtual time Elapsed time: " in text
    for word in ("real threads", "wall time", "Not measurable", "shared 2 processors", "with lockstat"):
        assert word not in text
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize("layout", ["netbsd", "linux", "perf"])
def test_the_layouts_of_lockstat_show_waits(run: Run, layout: str) -> None:
    said = run(*PINGPONG, "--cpus", "4", "--design", "fpageqlock", "--format", layout, "-l")
    assert said.status == 0
    heading = {"netbsd": "Total%", "linux": "waittime-total", "perf": "total wait"}[layout]
    assert heading in said.out
    assert "uvm_fpageqlock" in said.out


def test_lock_statistics_as_json_name_the_machine(run: Run) -> None:
    said = run(*PINGPONG, "--format", "json")
    document = json.loads(said.out)
    assert document["machine"] == "virtual, costs xeon-2s, ttas locks, seed 1"
    assert document["not_measurable"] == []
    assert sum(lock["wait_ns_total"] for lock in document["designs"][0]["locks"]) > 0


def test_a_record_says_what_machine_it_was(run: Run, tmp_path: Path) -> None:
    options = ("--costs", "epyc-2s", "--cost", "atomic=9", "--lock", "mcs", "--think", "300", "--seed", "5")
    record = ran(run, tmp_path, *PINGPONG, *options)
    document = record.document()
    assert document["machine"] == {
        "kind": "virtual",
        "costs": "epyc-2s",
        "changed": {"atomic": 9.0},
        "lock": "mcs",
        "think_ns": 300,
        "copies": None,
        "busy": None,
        "warm_up": 0,
    }
    assert (document["seed"], document["not_measurable"]) == (5, ())
    assert record.threads_run_at_once
    assert THREAD_TIMES - {"wall_lockstat_ms", "faults_per_s"} <= record.summary("percpu").keys()
    assert record.summary("percpu").keys() & {"wall_lockstat_ms"} == set()


def test_costs_come_from_a_file_too(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "epyc-2s"\n[costs]\natomic = [11, "a guess"]\n')
    record = ran(run, tmp_path, *PINGPONG, "--costs", str(file))
    assert (record.machine.costs, record.machine.changed) == ("epyc-2s", {"atomic": 11.0})


def test_one_run_has_counts_and_time_and_a_repetition_has_the_next_seed(run: Run, tmp_path: Path) -> None:
    both = ran(run, tmp_path, *PINGPONG, "--repetitions", "2", "--design", "fpageqlock", "--seed", "3").document()
    assert [(each["repetition"], each["lockstat"]) for each in both["runs"]] == [(0, True), (1, True)]
    assert both["runs"][0]["drive"] != both["runs"][1]["drive"]
    second = ran(run, tmp_path, *PINGPONG, "--design", "fpageqlock", "--seed", "4").document()["runs"][0]
    assert second | {"repetition": 1} == both["runs"][1]


@pytest.mark.rotated(2)
def test_the_same_seed_is_the_same_record_in_every_process(tmp_path: Path, trace: str) -> None:
    documents = []
    for hash_seed in ("1", "2"):
        file = tmp_path / f"{hash_seed}.json"
        command = ("--trace", trace, "--copies", "2", "--lock", "ticket", "--npages", "8192", "--json", str(file))
        subprocess.run(
            [sys.executable, "-m", "uvmfree", *VIRTUAL, *command],
            check=True,
            capture_output=True,
            timeout=120,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )
        document = json.loads(file.read_text())
        assert document["host"].pop("date")
        assert document.pop("command")
        documents.append(json.dumps(document).encode())
    assert documents[0] == documents[1]


def test_a_replay_keeps_its_gaps_and_copies_have_cpus_of_their_own(run: Run, tmp_path: Path, trace: str) -> None:
    one = ran(run, tmp_path, *VIRTUAL, "--trace", trace, "--npages", "8192")
    assert (one.workload.name, one.workload.ncpus, one.machine.copies) == ("small.perf", 2, 1)
    assert all(1.9e6 < each.drive.wall_ns < 2.2e6 for each in one.runs)
    assert all(each.samples.t_ns[:2] == (1_000_000, 2_000_000) for each in one.runs)
    three = ran(run, tmp_path, *VIRTUAL, "--trace", trace, "--copies", "3", "--npages", "8192")
    assert (three.workload.name, three.workload.ncpus) == ("3 copies of small.perf", 6)
    for run_of_three in three.runs:
        assert [cpu.allocs for cpu in run_of_three.cpus] == [20] * 6
        # They begin one after the other, within an epoch: all of so short a trace.
        assert 2.6e6 < run_of_three.drive.wall_ns < 4.2e6
    assert three.workload.page_operations == 3 * 80


def test_copies_are_played_once_before_they_count_and_a_trace_alone_is_not(
    run: Run, tmp_path: Path, trace: str
) -> None:
    replay = (*VIRTUAL, "--design", "percpu", "--npages", "8192", "--trace", trace)
    loops = {(): 0, ("--copies", "1"): 1, ("--copies", "1", "--warm-up", "0"): 0, ("--warm-up", "2"): 2}
    records = {args: ran(run, tmp_path, *replay, *args) for args in loops}
    assert {args: record.machine.warm_up for args, record in records.items()} == loops
    hits = {args: record.summary("percpu")["local_hit_percent"].median for args, record in records.items()}
    # All that is freed stays in the cache: the next time each page is there.
    assert list(hits.values()) == [0.0, 100.0, 0.0, 100.0]
    for args, record in records.items():
        said = {0: "", 1: ", 1 loop of warm-up", 2: ", 2 loops of warm-up"}[loops[args]]
        assert record.machine_words == f"virtual, costs xeon-2s, ttas locks{said}, seed 1"


def test_tasks_are_spread_over_the_cpus_of_each_copy(run: Run, tmp_path: Path, trace: str) -> None:
    args = ("--trace", trace, "--by", "task", "--cpus", "8", "--copies", "2", "--design", "percpu")
    record = ran(run, tmp_path, *VIRTUAL, *args)
    assert record.workload.name == "2 copies of small.perf, by task"
    # Two tasks, dealt out over four CPUs each.
    assert sorted(cpu.allocs for cpu in record.runs[0].cpus) == [0] * 4 + [20] * 4


@pytest.mark.parametrize(("kind", "cpus"), [("pingpong", 2), ("handoff", 2), ("forkexit", 2)])
@pytest.mark.sampled(1)
def test_synthetic_workloads_work_outside_for_as_long_as_asked(
    run: Run, tmp_path: Path, kind: str, cpus: int
) -> None:
    walls = [
        ran(
            run, tmp_path, *VIRTUAL, "--workload", kind, "--cpus", str(cpus), "--design", "percpu", "--think", think
        ).summary("percpu")["wall_ms"]
        for think in ("0", "10000")
    ]
    assert walls[1].median > 3 * walls[0].median


def test_pressure_runs_for_virtual_seconds(run: Run, tmp_path: Path) -> None:
    """Memory is slow here, so that they hold few faults: threads that pass a baton take minutes for many."""
    args = ("--workload", "pressure", "--npages", "256", "--seconds", "0.01", "--cpus", "1", "--design", "percpu")
    record = ran(run, tmp_path, *VIRTUAL, *args, "--cost", "line_memory=200000")
    assert record.runs[0].drive.wall_ns >= 10e6
    assert record.summary("percpu")["faults_per_s"].median > 0


def test_ram_grows_with_the_cpus_and_the_copies(trace: str) -> None:
    on = MachineFacts(VIRTUAL_KIND, "xeon-2s", think_ns=1000)
    assert workloads.by_name("pingpong", ncpus=80, on=on).npages == 80 * (PAGES_PER_CPU + 16)
    assert workloads.by_name("trace", trace, on=replace(on, copies=3)).npages == 3 * Param().npages


def test_a_timeline_is_in_virtual_time_and_says_so(run: Run, tmp_path: Path) -> None:
    trace_pb2 = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    file = tmp_path / "t.pftrace"
    said = run(*PINGPONG, "--perfetto", str(file), "--seed", "9", "--design", "percpu")
    assert said.status == 0
    packets = trace_pb2.Trace.FromString(file.read_bytes()).packet
    names = {packet.track_descriptor.process.process_name for packet in packets} - {""}
    assert names == {"percpu (virtual, costs xeon-2s, ttas locks, seed 9)"}
    times = [packet.timestamp for packet in packets if packet.HasField("track_event")]
    assert times
    assert max(times) < 1e9  # a clock of the host has run for longer


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--costs", "xeon-2s"), "--costs goes with --machine virtual"),
        (("--cost", "atomic=3"), "--cost goes with --machine virtual"),
        (("--lock", "mcs"), "--lock goes with --machine virtual"),
        (("--seed", "0"), "--seed goes with --machine virtual"),
        (("--think", "0"), "--think goes with --machine virtual"),
        (("--copies", "2"), "--copies goes with --machine virtual"),
        (("--warm-up", "0"), "--warm-up goes with --machine virtual"),
        (("--machine", "virtual", "--workload", "pingpong", "--warm-up", "1"), "--warm-up goes with a trace, not"),
        (
            ("--machine", "virtual", "--memory", "0.5", "--warm-up", "1"),
            "--warm-up goes with a trace, not with --mem",
        ),
        (("--machine", "virtual", "--costs", "nope"), "costs='nope': must be one of"),
        (("--machine", "virtual", "--cost", "nope=1"), "no cost is called 'nope'"),
        (("--machine", "virtual", "--cost", "atomic=-1"), "atomic=-1.0: must be from 0"),
        (("--machine", "virtual", "--lock", "nope"), "--lock nope: must be one of ttas, ticket, mcs, sleep"),
        (("--machine", "virtual", "--think", "5"), "--think goes with pingpong, handoff, forkexit, not with"),
        (("--machine", "virtual", "--workload", "pressure", "--think", "5"), "--think goes with pingpong, "),
        (("--machine", "virtual", "--workload", "pingpong", "--copies", "2"), "--copies goes with a trace, not with"),
        (
            ("--machine", "virtual", "--memory", "0.5", "--copies", "2"),
            "--copies goes with a trace, not with --memory",
        ),
        (
            ("--machine", "virtual", "--workload", "pingpong", "--cpus", "300"),
            "300 CPUs: costs xeon-2s have places for 256, sockets x",
        ),
        (("--machine", "virtual", "--workload", "pingpong", "--cpus", "513"), "--cpus 513: must be from 1 to 512"),
        (
            ("--machine", "virtual", "--workload", "pingpong", "--cpus", "256", "--npages", "65536"),
            "the pagedaemon would work all the time",
        ),
        (("--machine", "virtual", "--counters", "c"), "--counters: virtual time passes too unevenly"),
        (("--machine", "virtual", "--workload", "pingpong", "--pyperf", "p"), "--pyperf: a virtual machine takes no"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    run: Run, args: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = args if "--workload" in args else (*args, "--trace", trace)
    told = run("bench", *asked)
    assert (told.status, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert said in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--cpus", "3", "--copies", "2"), "--cpus 3: 2 copies need a multiple of 2"),
        (("--copies", "300"), "--copies 300: they need 600 CPUs, and a system has at most 512"),
        (("--copies", "100", "--npages", "4000"), "pages live at once"),
    ],
)
def test_copies_that_do_not_fit_are_one_line(run: Run, args: tuple[str, ...], said: str, trace: str) -> None:
    told = run(*VIRTUAL, "--trace", trace, *args)
    assert (told.status, told.out) == (2, "")
    assert told.err.count("\n") == 1
    assert said in told.err
