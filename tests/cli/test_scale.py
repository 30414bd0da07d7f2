"""`uvmfree scale`: curves in virtual time; the same command is the same curve, and bad input is a line."""

import itertools
import json
import lzma
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Said, without_notice
from tests.cli.waiting import until
from uvmfree.cli.scale import CPUS, counts_for, measured_curve
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.curve import curve_of
from uvmfree.measure.host import host
from uvmfree.measure.scale import Case, Traffic
from uvmfree.uvm.designs import SHOWN
from uvmfree.workload.trace import bundled_trace

Run = Callable[..., Said]

BOUND_S = 50
SCALE = (sys.executable, "-m", "uvmfree", "scale")
QUICK = ("scale", "--cpus", "1,2")

SLOWER = 1 if greenlets_work() else 5
"""How much longer a point takes where strands are threads that pass a baton, at least."""


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--cpus", "1,two"), "--cpus 1,two: must be whole numbers with commas between them"),
        (("--cpus", ""), "--cpus '': is empty"),
        (("--cpus", "1,0"), "--cpus 0: must be from 1 to 512"),
        (("--cpus", "513"), "--cpus 513: must be from 1 to 512"),
        (("--cpus", "2,3", "--workload", "handoff"), "--cpus 3: must be from 1 to 512, a multiple of 2"),
        (("--cpus", "1", "--workload", "trace"), "--cpus 1: must be from 1 to 512, a multiple of 2"),
        (("--design", "best"), "design='best': must be one of fpageqlock, percpu"),
        (("--design", "percpu", "--design", "percpu"), "--design percpu: is given twice"),
        (("--design", "percpu,refill"), "--design percpu, refill: must be NAME=VALUE"),
        (("--design", "percpu,ncpus=3"), "--design percpu, ncpus=3: ncpus is set by --cpus"),
        (("--design", "percpu,refill=0"), "refill=0: must be from 1 to 4096"),
        (("--cost", "line_remote"), "--cost line_remote: must be NAME=NS"),
        (("--cost", "line_remote=far"), "--cost line_remote=far: must be a number"),
        (("--cost", "line_remote=-1"), "--cost: line_remote=-1.0: must be from 0 to"),
        (("--cost", "line_remote=nan"), "--cost: line_remote=nan: must be from 0 to"),
        (("--cost", "nothing=1"), "--cost: no cost is called 'nothing'"),
        (("--cost", "line_remote=6e8", "--band"), "--cost: line_remote=1200000000.0: must be from 0 to"),
        (("--costs", "abacus"), "costs='abacus': must be one of"),
        (("--lock", "best"), "--lock best: must be one of ttas, ticket, mcs"),
        (("--workload", "trace", "--copies", "4"), "--copies 4: must be auto: as many as a point has CPUs for"),
        (("--copies", "auto"), "--copies goes with a trace, not with --workload pingpong"),
        (("--trace", "x", "--think", "5"), "--think: a trace has gaps of its own"),
        (
            ("--trace", "x", "--workload", "handoff"),
            "--trace goes with --workload trace, not with --workload handoff",
        ),
        (("--trace", "/nowhere/at/all"), "/nowhere/at/all: No such file or directory"),
        (("--json", "/nowhere/at/all"), "there is no folder /nowhere/at"),
    ],
)
def test_bad_input_is_one_clear_line(run: Run, args: tuple[str, ...], says: str) -> None:
    said = run(*QUICK, *args)
    assert (said.status, said.out) == (2, "")
    assert says in said.err
    assert said.err.startswith("uvmfree: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [("--think", "-1"), ("--think", "10000001"), ("--seed", "-1"), ("--seed", str(1 << 63)), ("--seeds", "0")],
)
def test_numbers_out_of_range_are_refused_by_their_option(run: Run, args: tuple[str, str]) -> None:
    said = run(*QUICK, *args)
    assert (said.status, said.out) == (2, "")
    assert f"uvmfree: {args[0]} {args[1]}: must be a whole number from " in said.err


def test_by_default_a_workload_has_the_cpu_counts_that_it_can_have() -> None:
    class Thirds(Traffic):
        """A trace of so many CPUs."""

        def least_cpus(self) -> int:
            return 3

    assert counts_for(CPUS, Traffic("pingpong")) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert counts_for(CPUS, Traffic("handoff")) == [2, 4, 8, 16, 32, 64, 128, 256]
    assert counts_for(CPUS, Thirds()) == [3, 6, 12, 24, 48, 96, 192]


def test_the_table_says_what_was_run_and_where_it_stops_scaling(run: Run) -> None:
    said = run("scale", "--cpus", "1,2,8", "--lock", "mcs", "--seed", "5", "--cost", "atomic=9")
    assert (said.status, without_notice(said.err)) == (0, "")
    heading, more, *_, fpageqlock, percpu, depot = said.out.splitlines()
    assert heading == "pingpong, 1000 ns outside between operations, in virtual time: mcs locks, costs"
    assert more == f"xeon-2s, atomic=9, seed 5; {host().interpreter}"
    assert fpageqlock.startswith("fpageqlock: below 90 % of linear from ")
    assert percpu == "percpu: above 90 % of linear up to 8 CPUs."
    assert depot == "depot: above 90 % of linear up to 8 CPUs."
    rows = [line.split() for line in said.out.splitlines() if line.lstrip()[:1].isdigit()]
    assert [row[0] for row in rows] == ["1", "2", "8"]
    held = " ".join(said.out.split()).partition("Shared locks are held on 8 CPUs: ")[2]
    assert re.match(r"fpageqlock [5-9]\d\.\d % of the time, percpu 0\.\d %, depot 0\.\d %\. fpageqlock: ", held)


def test_one_cpu_count_is_no_curve(run: Run) -> None:
    """It would be 100 % of itself."""
    said = run("scale", "--cpus", "4", "--design", "percpu")
    assert said.out.splitlines()[-1] == "percpu: run on 4 CPUs only; one point is no curve."


def test_a_document_goes_to_stdout_and_nothing_else_does(run: Run) -> None:
    said = run(*QUICK, "--design", "percpu,refill=1", "--design", "fpageqlock", "--json", "-", "--seeds", "2")
    assert (said.status, without_notice(said.err)) == (0, "")
    curve = curve_of(json.loads(said.out), "stdout")
    assert [(point.case.label, point.case.ncpus, point.case.seed) for point in curve.points] == [
        (label, ncpus, seed) for label in ("percpu, refill=1", "fpageqlock") for ncpus in (1, 2) for seed in (1, 2)
    ]
    assert not curve.interrupted


def test_the_band_has_points_with_each_group_of_costs_halved_and_doubled(run: Run) -> None:
    said = run("scale", "--cpus", "2", "--design", "fpageqlock", "--json", "-", "--band", "--cost", "atomic=8")
    curve = curve_of(json.loads(said.out), "stdout")
    plain, *varied = (point.case for point in curve.points)
    assert (plain.varied, plain.changed) == (False, {"atomic": 8})
    assert sorted(case.changed["atomic"] for case in varied) == [4, 8, 8, 8, 8, 8, 8, 16]
    assert len({json.dumps(case.changed, sort_keys=True) for case in varied}) == 8
    low, high = curve.band("fpageqlock", 2) or (0.0, 0.0)
    assert 0 < low < curve.points[0].per_s < high


@pytest.mark.rotated(2)
def test_a_band_leaves_a_trace_in_the_text(run: Run) -> None:
    said = " ".join(run("scale", "--cpus", "1,2,4", "--design", "fpageqlock", "--band").out.split())
    told = said.partition("With costs halved or doubled: ")[2]
    assert re.fullmatch(r"below 90 % first at 2 to 4 CPUs; work of 1\.\d to 3\.\d on 4\.", told)


@pytest.fixture
def _beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand where there is a tenth of the trace that ships."""
    with lzma.open(bundled_trace(), "rt", encoding="utf-8") as lines:
        (tmp_path / "beginning.perf").write_text("".join(itertools.islice(lines, 12_000)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "args",
    [
        ("--cpus", "1,2", "--lock", "ttas"),
        ("--cpus", "2", "--workload", "handoff", "--lock", "ticket", "--seed", "3"),
        ("--cpus", "2", "--workload", "forkexit", "--lock", "mcs", "--think", "0"),
        ("--cpus", "2", "--trace", "beginning.perf", "--copies", "auto", "--seeds", "2"),
    ],
)
@pytest.mark.usefixtures("_beginning")
def test_the_same_command_twice_gives_the_same_points(run: Run, args: tuple[str, ...]) -> None:
    """In the same order, however its processes come to their ends."""
    first, second = (json.loads(run("scale", *args, "--json", "-").out)["points"] for _ in range(2))
    assert first == second
    for point in first:
        assert point["operations"] > 0
        assert min(value for name, value in point.items() if name not in ("case", "outside_ns", "stall_ns")) >= 0


def test_another_seed_gives_other_points(run: Run) -> None:
    points = json.loads(run(*QUICK, "--seeds", "2", "--json", "-").out)["points"]
    first, second = (
        [{**point, "case": None} for point in points if point["case"]["seed"] == seed] for seed in (1, 2)
    )
    assert len(first) == len(second) == 2 * len(SHOWN)
    assert first != second


@pytest.mark.timeout(120)
@pytest.mark.rotated(2)
def test_ctrl_c_is_for_the_first_process_only(tmp_path: Path) -> None:
    """As a terminal does it: the processes that measure hear it too, while they begin. All points take minutes."""
    file = tmp_path / "curve.json"
    args = ("--design", "fpageqlock", "--cpus", "1,64", "--seeds", "100", "--json", str(file))
    running = subprocess.Popen(
        [*SCALE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    # Who clears up behind multiprocessing, and two that measure.
    until(lambda: len(children(running.pid)) >= 3, running)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 130
    document: dict[str, Any] = json.loads(file.read_text())
    assert document["interrupted"] is True
    assert without_notice(err) == f"uvmfree: interrupted after {len(document['points'])} of 200 points\n"
    assert len(curve_of(document, str(file)).points) < 200
    assert out


@pytest.mark.timeout(120)
@pytest.mark.rotated(3)
def test_what_came_before_a_process_was_killed_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "curve.json"
    # More than any host is through with before the process is killed.
    args = ("--design", "fpageqlock", "--cpus", "1,2,4,8,16", "--seeds", "100", "--json", str(file))
    running = subprocess.Popen([*SCALE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: measuring(running.pid), running)
    os.kill(int(measuring(running.pid)[0]), signal.SIGKILL)
    out, err = running.communicate(timeout=BOUND_S)
    assert running.returncode == 1
    lost, missing = without_notice(err).splitlines()
    assert lost == "uvmfree: the process that measured was killed, perhaps for want of memory"
    assert missing.startswith("uvmfree: not measured: fpageqlock on 1")
    document: dict[str, Any] = json.loads(file.read_text())
    assert document["interrupted"] is True
    assert 0 < len(document["points"]) < 500
    assert out


def measuring(pid: int) -> list[str]:
    """The processes that have measured for a while."""
    return [child for child in children(pid) if processor_s(child) > 1 * SLOWER]


def processor_s(pid: str) -> float:
    """What a process has had of the processors."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.rotated(2)
def test_what_came_before_a_stop_is_kept() -> None:
    cases = [Case("percpu", 1, Traffic("pingpong"), seed=seed) for seed in range(100)]
    looks = iter(range(1000))
    curve = measured_curve(cases, lambda: next(looks) > 60)  # it is asked at least once for each point
    assert curve.interrupted
    assert 1 <= len(curve.points) < 100
    seeds = [point.case.seed for point in curve.points]
    assert seeds == sorted(seeds)


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_work_outside_is_a_page_fault_of_the_costs(run: Run) -> None:
    lines = run("scale", "--cpus", "2", "--design", "percpu", "--cost", "page_fault=700").out.splitlines()
    assert lines[0].startswith("pingpong, 700 ns outside between operations")
