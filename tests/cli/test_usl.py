"""`uvmfree usl`: points, parameters and peak from records at several CPU counts; too few are refused."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from uvmfree.analyse.usl import law
from uvmfree.measure.host import Host
from uvmfree.measure.record import load

pytest.importorskip("scipy", reason="the extra `report` is not installed")

Run = Callable[..., Said]

GIL = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))
OLD = replace(GIL, host=replace(GIL.host, gil=False))


def record_at(
    ncpus: int,
    folder: Path,
    refill: int = 1,
    host: Host = OLD.host,
    times: tuple[float, ...] = (1.0, 1.0),
    sigmas: tuple[float, float] = (0.5, 0.01),
) -> str:
    """A record of a design that scales as the law has it, and one that does so worse."""
    runs = []
    for design, sigma in zip(("fpageqlock", "percpu"), sigmas, strict=True):
        (run,) = OLD.timed(design)
        wall_ns = round(120e9 / law(ncpus, 1000.0, sigma, 0.001))
        for number, longer in enumerate(times):
            drive = replace(run.drive, wall_ns=round(wall_ns * longer))
            runs.append(replace(run, repetition=number, drive=drive))
    file = folder / f"{ncpus}-{refill}-{host.gil}.json"
    param = replace(OLD.param, own=(("percpu.refill", refill),))
    record = replace(OLD, host=host, workload=replace(OLD.workload, ncpus=ncpus), param=param, runs=runs)
    file.write_text(json.dumps(record.document()))
    return str(file)


def test_the_law_is_fitted_to_each_design(run: Run, tmp_path: Path) -> None:
    said = run("usl", *(record_at(n, tmp_path) for n in (1, 2, 4, 8, 16)), "--json", str(tmp_path / "out.json"))
    assert (said.status, said.err) == (0, "")
    assert "GIL" not in said.out
    assert "more CPUs than processors" in said.out
    designs = json.loads((tmp_path / "out.json").read_text())["designs"]
    for design, sigma in (("fpageqlock", 0.5), ("percpu", 0.01)):
        found = designs[design]["fit"]
        assert found["lam"]["value"] == pytest.approx(1000, rel=0.02)
        assert found["sigma"]["value"] == pytest.approx(sigma, rel=0.1)
        assert found["kappa"]["value"] == pytest.approx(0.001, rel=0.1)
        assert len(designs[design]["points"]) == 10
    assert designs["percpu"]["fit"]["peak_ncpus"] == pytest.approx(31.5, rel=0.1)


def test_the_table_has_medians_beside_the_law_and_what_it_explains(run: Run, tmp_path: Path) -> None:
    counts = (1, 2, 4, 8, 16)
    said = run("usl", *(record_at(n, tmp_path, times=(1.3, 1.0, 0.9)) for n in counts))
    head, *rows = said.out.partition("\nfpageqlock\n")[2].splitlines()[:6]
    assert head.split() == ["CPUs", "measured", "the", "law"]
    found = [row.replace(",", "").split()[:3] for row in rows]
    assert [int(ncpus) for ncpus, _, _ in found] == list(counts)
    for ncpus, median, _ in found:
        assert float(median) == pytest.approx(law(int(ncpus), 1000, 0.5, 0.001), rel=1e-3)
    explained = [float(each) for each in re.findall(r"The law explains (\S+) % of the variation", said.out)]
    assert len(explained) == 2
    assert all(50 < each < 100 for each in explained)


def test_it_names_the_machine_and_fits_80_columns(run: Run, tmp_path: Path) -> None:
    said = run("usl", *(record_at(n, tmp_path) for n in (1, 2, 4, 8, 16)))
    assert max(map(len, said.out.splitlines())) <= 80
    assert "\nmachine:     real threads on " in said.out
    assert "\ninterpreter: CPython " in said.out


def test_a_sigma_over_1_is_no_part_of_the_work(run: Run, tmp_path: Path) -> None:
    """Then two CPUs do less than one."""
    said = run("usl", *(record_at(n, tmp_path, sigmas=(0.5, 1.5)) for n in (1, 2, 4, 8, 16)))
    first, second = (line for line in said.out.splitlines() if line.startswith("  sigma "))
    assert first.endswith("of the work is done one at a time")
    assert second.endswith("is over 1: more CPUs do less than one")


def test_records_of_threads_that_took_turns_say_nothing_about_scaling(run: Run, tmp_path: Path) -> None:
    """They are refused, and beside others left out."""
    turns = [record_at(n, tmp_path, host=GIL.host) for n in (1, 2, 4, 8, 16)]
    said = run("usl", *turns, "--json", str(tmp_path / "out.json"))
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("uvmfree: the records were measured with the GIL: threads took turns, so they say")
    assert said.err.count("\n") == 1
    assert not (tmp_path / "out.json").exists()
    free = [record_at(n, tmp_path) for n in (1, 2, 4, 8, 16)]
    alone, beside = run("usl", *free), run("usl", *free, *turns[:2])
    assert beside.status == 0
    assert "\nLeft out 2 records with the GIL: threads took turns.\n" in beside.out
    assert beside.out.replace("Left out 2 records with the GIL: threads took turns.\n", "") == alone.out


def test_a_sweep_that_has_measured_nothing_has_nothing_to_fit(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"schema": "uvmfree.sweep", "version": 1, "cells": [], "measured": []}')
    said = run("usl", str(tmp_path / "s.json"))
    assert (said.status, said.out) == (2, "")
    assert said.err == f"uvmfree: {tmp_path / 's.json'}: nothing has been measured yet, so there is nothing to fit\n"


def test_a_record_counts_once(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the points would be half the uncertainty."""
    monkeypatch.chdir(tmp_path)
    files = [record_at(n, tmp_path) for n in (1, 2, 4, 8, 16)]
    other = f"../{tmp_path.name}/{Path(files[2]).name}"
    assert run("usl", *files, other) == Said(
        2, "", f"uvmfree: {files[2]}: is given 2 times; each record counts once\n"
    )


def test_four_cpu_counts_are_too_few(run: Run, tmp_path: Path) -> None:
    said = run("usl", *(record_at(n, tmp_path) for n in (1, 2, 3, 4)))
    assert (said.status, said.out) == (2, "")
    assert "4 CPU counts (1, 2, 3, 4)" in said.err
    assert "not fitted to fewer than 5" in said.err
    assert said.err.count("\n") == 1


def test_records_of_different_settings_are_not_joined(run: Run, tmp_path: Path) -> None:
    said = run("usl", *(record_at(n, tmp_path, refill) for n in (1, 2, 4, 8, 16) for refill in (1, 32)))
    assert (said.status, said.out) == (2, "")
    assert "different settings: percpu.refill=1; percpu.refill=32. One law holds for one of them" in said.err
    assert said.err.count("\n") == 1
