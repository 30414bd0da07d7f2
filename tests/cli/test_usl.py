"""`uvmfree usl`: points, parameters and peak from records at several CPU counts; too few are refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from uvmfree.measure.record import load
from uvmfree.measure.usl import law

pytest.importorskip("scipy", reason="the extra `report` is not installed")

OLD = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))


def record_at(ncpus: int, folder: Path, refill: int = 1) -> str:
    """A record of a design that scales as the law has it, and one that does so worse."""
    runs = []
    for design, sigma in (("fpageqlock", 0.5), ("percpu", 0.01)):
        (run,) = OLD.timed(design)
        wall_ns = round(120e9 / law(ncpus, 1000.0, sigma, 0.001))
        runs += [replace(run, repetition=n, drive=replace(run.drive, wall_ns=wall_ns)) for n in range(2)]
    file = folder / f"{ncpus}-{refill}.json"
    param = replace(OLD.param, refill=refill)
    record = replace(OLD, workload=replace(OLD.workload, ncpus=ncpus), param=param, runs=runs)
    file.write_text(json.dumps(record.document()))
    return str(file)


def usl(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "uvmfree", "usl", *args],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        encoding="utf-8",
    )


def test_the_law_is_fitted_to_each_design(tmp_path: Path) -> None:
    said = usl(*(record_at(n, tmp_path) for n in (1, 2, 4, 8, 16)), "--json", str(tmp_path / "out.json"))
    assert (said.returncode, said.stderr) == (0, "")
    assert "says nothing about how a design scales" in said.stdout  # the old record was made with the GIL
    assert "more CPUs than processors" in said.stdout
    designs = json.loads((tmp_path / "out.json").read_text())["designs"]
    for design, sigma in (("fpageqlock", 0.5), ("percpu", 0.01)):
        found = designs[design]["fit"]
        assert found["lam"]["value"] == pytest.approx(1000, rel=0.02)
        assert found["sigma"]["value"] == pytest.approx(sigma, rel=0.1)
        assert found["kappa"]["value"] == pytest.approx(0.001, rel=0.1)
        assert len(designs[design]["points"]) == 10
    assert designs["percpu"]["fit"]["peak_ncpus"] == pytest.approx(31.5, rel=0.1)


def test_four_cpu_counts_are_too_few(tmp_path: Path) -> None:
    said = usl(*(record_at(n, tmp_path) for n in (1, 2, 3, 4)))
    assert (said.returncode, said.stdout) == (2, "")
    assert "4 CPU counts (1, 2, 3, 4)" in said.stderr
    assert "not fitted to fewer than 5" in said.stderr
    assert said.stderr.count("\n") == 1


def test_records_of_different_settings_are_not_joined(tmp_path: Path) -> None:
    said = usl(*(record_at(n, tmp_path, refill) for n in (1, 2, 4, 8, 16) for refill in (1, 32)))
    assert (said.returncode, said.stdout) == (2, "")
    assert "different settings: refill=1; refill=32. One law holds for one of them" in said.stderr
    assert said.stderr.count("\n") == 1
