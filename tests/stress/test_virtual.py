"""Stress in virtual time: one command is one run, to the byte; every fault is survived; a seed finds a bug again."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import uvmfree
from tests.stress.hunt import options, seeded
from uvmfree.cli import cli
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.engine import Stress
from uvmfree.stress.fault import Fault
from uvmfree.stress.faults import FAULTS
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.shared import Shared
from uvmfree.stress.supervised import Options, stress
from uvmfree.uvm.designs import PAIR

ROOT = Path(__file__).resolve().parents[2]
MS = 0.001

needs_greenlets = pytest.mark.skipif(
    not greenlets_work(), reason="threads that pass a baton take minutes for that on a host with other work"
)
BUG = "redistribution_without_the_cpu_lock"


def short(design: str, seed: int = 3, seconds: float = 4 * MS, strands: str | None = None) -> StressRun:
    """Stress a design for so short a time that every fault but one strikes once or twice."""
    return stress(Options(ncpus=3, npages=512, seed=seed, seconds=seconds, machine=Virtual(strands=strands)), design)


def test_a_step_that_a_detach_breaks_off_is_counted_once() -> None:
    seen: list[Stress] = []
    detaching = Options(ncpus=3, npages=512, seed=3, seconds=4 * MS, faults=("hotplug",), machine=Virtual())
    record = stress(detaching, "percpu", tick=lambda run, elapsed_s: seen.append(run))
    assert record.errors == ()
    players = seen[-1].players
    assert sum(player.away for player in players) > 0
    assert [player.done for player in players] == [sum(player.counts) + player.away for player in players]


@needs_greenlets
@pytest.mark.rotated(2)
def test_processes_hash_seeds_and_kinds_of_strands_agree(tmp_path: Path) -> None:
    """The digest covers all counters, times and outcomes, and the order of the pages."""
    program = (
        "import sys\n"
        "from tests.stress.test_virtual import PAIR, short\n"
        "print(*(short(design, seconds=0.001, strands=sys.argv[1] or None).digest for design in PAIR))\n"
    )
    here = " ".join(short(design, seconds=MS).digest for design in PAIR)
    assert re.fullmatch("[0-9a-f]{16} [0-9a-f]{16}", here)
    for hash_seed, strands in (("1", ""), ("4711", "baton")):
        done = subprocess.run(
            [sys.executable, "-c", program, strands],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            timeout=60,
        )
        assert done.stdout.strip() == here


@needs_greenlets
def test_another_seed_is_another_run() -> None:
    assert short("percpu", seed=4, seconds=MS).digest != short("percpu", seconds=MS).digest


@needs_greenlets
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.sampled(2)
def test_every_fault_is_survived(design: str) -> None:
    record = short(design, seconds=12 * MS)
    assert record.errors == (), record.report
    assert set(record.faults) == set(FAULTS)
    for name, counted in record.faults.items():
        assert counted["injected"] >= counted["survived"] > 0, name
    assert record.wall_s >= 12 * MS
    assert {kind for kind, times in record.operations.items() if not times} <= {"recolour"}


def test_threads_that_pass_a_baton_do_the_same() -> None:
    """On every interpreter, be greenlet there or not."""
    options = Options(ncpus=1, npages=64, seed=2, seconds=MS, faults=(), machine=Virtual(strands="baton"))
    first, again = stress(options, "fpageqlock"), stress(options, "fpageqlock")
    assert first.errors == (), first.report
    assert first.steps > 100
    assert first.digest == again.digest != ""


@needs_greenlets
def test_an_hour_is_minutes_where_cpus_rest() -> None:
    """Time in which nobody is at work costs nothing; faults are as frequent for the operations that are done."""
    record = stress(Options(ncpus=2, npages=256, seed=1, seconds=0.2, machine=Virtual(busy=1)), "percpu")
    assert record.errors == (), record.report
    assert 0.2 <= record.wall_s < 2
    assert 0 < record.steps < 20_000
    assert sum(fault["injected"] for fault in record.faults.values()) > 0


@needs_greenlets
def test_a_bug_is_found_by_a_seed_and_its_line_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same words, the same moment: the report is equal to the byte."""
    monkeypatch.chdir(tmp_path)
    with seeded(BUG):
        found = next(
            record for seed in range(3, 20) if (record := stress(*options(BUG, Virtual(), seed, 0.02))).errors
        )
        words = shlex.split(found.command)
        assert words[:2] == ["uvmfree", "stress"]
        assert found.file is not None
        report = Path(found.file).read_text()
        Path(found.file).unlink()
        with pytest.raises(SystemExit) as ended:
            cli.main(words[1:], prog_name="uvmfree")
    assert ended.value.code == 1
    # Line numbers of the changed function and all else are the same: only one program was run twice.
    assert Path(found.file).read_text() == report
    assert report.splitlines()[0] == f"again: {found.command}"


class Jam(Fault):
    """Takes the global lock and does not give it back as long as the run goes on."""

    name = "jam"
    pause_s = (0.01, 0.01)

    def inject(self, shared: Shared) -> bool:
        self.note(shared, "the lock is taken for good")
        with shared.uvm.design.all_locks("the_culprit")[-1]:
            while not shared.stopped:
                shared.look()
        return False


@needs_greenlets
def test_a_hang_is_found_by_virtual_time_and_says_who_holds_and_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = Virtual()
    records = [
        stress(Options(ncpus=2, npages=256, seed=1, seconds=1, faults=(), machine=machine), "percpu", more=(Jam(),))
        for _ in range(2)
    ]
    record = records[0]
    assert record.hung
    assert record.errors[0].startswith("no progress for ")
    said = "\n".join(record.report)
    assert "uvm_fpageqlock: held by fault/jam (the_culprit); waiting: " in said
    assert "thread fault/jam (" in said
    assert "in inject" in said
    assert record.report == records[1].report
