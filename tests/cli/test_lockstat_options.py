"""--format, -l, -f, -L and -F of the commands that show lock statistics: `bench` always, `stress` on request."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uvmfree.errors import RecordError
from uvmfree.layouts.lockstat_layout import EVERYTHING, render
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure import workloads
from uvmfree.measure.host import gil_enabled
from uvmfree.measure.record import load, of_document
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress import on_machine as stress_machine
from uvmfree.stress import supervised as measure
from uvmfree.stress.engine import Stress
from uvmfree.uvm.designs import SHOWN
from uvmfree.uvm.system import OBSERVER

STRESS = ("stress", "--seconds", "0.2", "--cpus", "2", "--npages", "256", "--faults", "storm", "--seed", "3")
COUNTS = "Acquisitions; with the GIL, waits are not measurable.\n"
BENCH = ("bench", "--workload", "pingpong", "--npages", "1024", "--repetitions", "1")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 500)


@pytest.mark.parametrize(
    ("lock_format", "line"),
    [
        ("netbsd", COUNTS if gil_enabled() else "Elapsed time: "),
        ("linux", "lock_stat version 0.4\n"),
        (
            "perf",
            COUNTS if gil_enabled() else " contended   total wait     max wait     avg wait         type   caller\n",
        ),
    ],
)
def test_a_bench_prints_each_design_in_the_layout_asked_for(
    run: Callable[..., Any], lock_format: str, line: str
) -> None:
    said = run(*BENCH, "--format", lock_format)
    assert (said.status, said.err) == (0, "")
    assert said.out.count(f"\n{line}") == len(SHOWN)
    if lock_format == "linux":  # lines longer than a page are not broken
        assert any(text.startswith(" " * 20) and "uvm_fpageqlock:" in text and len(text) == 220
                   for text in said.out.splitlines())  # fmt: skip


def test_json_is_one_document_and_nothing_else(run: Callable[..., Any]) -> None:
    said = run(*BENCH, "--format", "json", "-L", "uvm_cpu[*]", "-f")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert document["by"] == "caller"
    assert ("wait_ns_total" in document["not_measurable"]) == gil_enabled()
    assert "acquired" not in document["not_measurable"]
    assert [one["design"] for one in document["designs"]] == ["fpageqlock", "percpu", "depot"]
    fpageqlock, percpu, _ = ({lock["caller"]: lock for lock in one["locks"]} for one in document["designs"])
    assert "uvm_pagealloc" not in fpageqlock
    assert percpu["uvm_pagealloc"]["acquired"] == percpu["uvm_pagefree"]["acquired"] == 1000
    assert {lock["name"] for lock in percpu.values()} == {"<all>"}


@pytest.mark.parametrize("command", [BENCH, STRESS])
@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("-L", "uvm_cpu[2]"), "-L uvm_cpu[2]: no lock is called so; there are "),
        (("-L", "fpageqlock"), "uvm_fpageqlock"),
        (("--format", "solaris"), "solaris"),
        (("--format", "json", "--json", "-"), "give --json a file"),
    ],
)
def test_bad_input_gets_one_clear_line(
    run: Callable[..., Any], args: tuple[str, ...], word: str, command: tuple[str, ...]
) -> None:
    said = run(*command, *args)
    assert (said.status, said.out) == (2, "")
    assert word in said.err.splitlines()[-1]


@pytest.fixture
def lockstat(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the locks of each machine that a stress run makes count."""
    made: list[bool] = []

    def machine(**how: Any) -> ThreadsMachine:
        made.append(how["lockstat"])
        return ThreadsMachine(**how)

    monkeypatch.setattr(stress_machine, "threads", machine)
    return made


def test_a_stress_run_counts_no_locks_unless_asked(
    run: Callable[..., Any], tmp_path: Path, lockstat: list[bool]
) -> None:
    """Counting would slow down just those locks whose races it is after."""
    file = tmp_path / "record.json"
    said = run(*STRESS, "--json", str(file))
    assert (said.status, said.err) == (0, "")
    assert "Elapsed time" not in said.out
    assert "lock statistics" not in said.out
    assert lockstat == [False] * len(SHOWN)
    assert [(one.lockstat, one.locks) for one in load(str(file)).stress] == [(False, ())] * len(SHOWN)


@pytest.mark.parametrize("asking", [("--format", "netbsd"), ("-l",), ("-f",), ("-L", "uvm_*"), ("-F", "*")])
def test_each_of_the_options_asks_for_them(
    run: Callable[..., Any], asking: tuple[str, ...], lockstat: list[bool]
) -> None:
    said = run(*STRESS, "--seconds", "0.1", "--design", "percpu", *asking)
    assert (said.status, said.err) == (0, "")
    assert lockstat == [True]
    first = COUNTS if gil_enabled() else "Elapsed time: "
    assert said.out.count(f"\npercpu, lock statistics when the CPUs had stopped\n{first}") == 1


def test_what_is_printed_by_caller_adds_up_to_what_is_printed_by_lock(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    """And it is what the record has."""
    file = tmp_path / "record.json"
    said = run(*STRESS, "--format", "netbsd", "--json", str(file))
    assert (said.status, said.err) == (0, "")
    record = load(str(file))
    counted = 0
    for one in record.stress:
        assert one.lockstat
        assert len({(lock.name, lock.caller) for lock in one.locks}) == len(one.locks)
        waits = record.threads_run_at_once
        shown = "\n".join(render("netbsd", one.locks, one.wall_s, EVERYTHING, waits=waits))
        assert f"{one.design}, lock statistics when the CPUs had stopped\n{shown}\n" in said.out
        rows = [line.split() for line in shown.splitlines()[6 if waits else 4 :]]
        columns = [(int(row[1] if waits else row[0]), *row[-2:]) for row in rows]
        by_lock = {name: count for count, name, caller in columns if caller == "<all>"}
        by_caller: Counter[str] = Counter()
        for count, name, caller in columns:
            by_caller[name] += count if caller != "<all>" else 0
        kept = summed(one, "contended" if waits else "acquired")
        assert by_caller == by_lock == {lock: count for lock, count in kept.items() if count}
        counted += sum(by_lock.values())
    assert counted > 0


def test_audits_under_way_are_among_the_callers_and_the_observer_is_not() -> None:
    """An audit stops everything: who waits for one has to find it."""
    audited = False

    def look(run: Stress, elapsed_s: float) -> None:
        nonlocal audited
        callers = {lock.caller for lock in run.uvm.lockstat(by_caller=True)}
        audited = {"uvm_audit", OBSERVER} <= callers

    options = measure.Options(seconds=30, ncpus=2, npages=256, faults=(), lockstat=True)
    one = measure.stress(options, "percpu", stop=lambda: audited, tick=look)
    assert (audited, one.errors) == (True, ())
    callers = {lock.caller for lock in one.locks}
    assert "uvm_audit" in callers
    assert OBSERVER not in callers


def summed(one: StressRun, field: str) -> Counter[str]:
    """A field of the records of each lock, added up over its callers."""
    found: Counter[str] = Counter()
    for lock in one.locks:
        found[lock.name] += getattr(lock, field)
    return found


@pytest.mark.rotated(2)
def test_a_traced_stress_run_times_every_hold(run: Callable[..., Any], tmp_path: Path) -> None:
    """With --perfetto the locks count anyway: the record has them. CPUs that have stopped hold nothing."""
    pytest.importorskip("perfetto", reason="extra `trace` not installed")
    file = tmp_path / "record.json"
    traced = (*STRESS, "--seconds", "0.1", "--perfetto", str(tmp_path / "t.pftrace"), "--json", str(file))
    said = run(*traced, "--format", "linux", "-F", "uvm_pagealloc")
    assert (said.status, said.err) == (0, "")
    assert said.out.count("; every hold was timed\n") == len(SHOWN)
    said = run(*traced)
    assert (said.status, said.err) == (0, "")
    assert "lock_stat" not in said.out
    for one in load(str(file)).stress:
        assert one.lockstat
        allocating = [lock for lock in one.locks if lock.caller == "uvm_pagealloc"]
        assert all(lock.hold_samples == lock.acquired > 0 for lock in allocating)
        assert allocating


def test_a_run_whose_cpus_did_not_stop_has_none(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"allocations": 0, "accesses and runs": 0}

    def broken(options: measure.Options, design: str, **_: Any) -> StressRun:
        return StressRun(design, failed=failed, wall_s=1.0, lockstat=True, errors=("cpu/1 did not end",))

    monkeypatch.setattr(measure, "stress", broken)
    said = run(*STRESS, "--design", "percpu", "-l")
    assert said.status == 1
    assert said.out.endswith("\npercpu: no lock statistics, since its CPUs did not stop\n")
    assert "again: uvmfree stress --design percpu --seed 3 --seconds 0.2 " in said.err
    assert "--faults storm --format netbsd\n" in said.err


def test_records_without_lock_records_are_read_and_bad_ones_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    """Records of the same version that were written before stress runs had any."""
    file = tmp_path / "record.json"
    assert run(*STRESS, "--design", "percpu", "-l", "--json", str(file)).status == 0
    made = json.loads(file.read_text())
    (one,) = made["stress"]
    one["locks"][0]["acquired"] = "many"
    with pytest.raises(RecordError, match=r"stress\[0\]\.locks\[0\]\.acquired: must be a whole number, is 'many'"):
        of_document(made, "made")
    del one["locks"], one["lockstat"]
    (again,) = of_document(made, "made").stress
    assert (again.lockstat, again.locks) == (False, ())
