"""Sweeps: what is in the grid is measured once, what was measured is kept, and another grid's file is not touched."""

import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from uvmfree.analyse import sweep as sweeps
from uvmfree.analyse.sweep import Grid, Sweep, load_records, resume, run_sweep, sweep_of
from uvmfree.errors import ArgumentError, HangError, ParamError, RecordError, TraceError, UvmError
from uvmfree.measure import cell as cells
from uvmfree.measure.cell import Cell, measure_cell
from uvmfree.param import Param


def grid(**changes: Any) -> Grid:
    plain: dict[str, Any] = {
        "workloads": ("pressure",),
        "ncpus": (1, 2),
        "designs": ("fpageqlock", "percpu"),
        "settings": (("ncolors", ("4", "8")), ("npages", ("512",))),
        "repetitions": 1,
        "seconds": 0.02,
    }
    return Grid(**plain | changes)


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def saved(sweep: Sweep) -> Any:
    return json.loads(json.dumps(sweep.document()))


def test_a_grid_is_every_combination_in_order() -> None:
    found = grid().cells()
    assert len(found) == len(set(found)) == 8
    assert str(found[0]) == "pressure, 1 CPU, fpageqlock, ncolors=4, npages=512"
    assert [cell.design for cell in found[:4]] == ["fpageqlock", "percpu"] * 2  # designs interleave
    assert {cell.settings for cell in found} == {
        ("ncolors=4", "npages=512"),
        ("ncolors=8", "npages=512"),
    }


def test_a_cell_has_the_memory_that_its_workload_asks_for_unless_it_is_told() -> None:
    workload, param = Cell("pressure", 2, "percpu", (), 1, seconds=0.1).ready()
    assert param.npages == workload.npages != Param().npages
    assert Cell("pingpong", 2, "percpu", (), 1).ready()[1].npages == Param().npages
    assert Cell("pressure", 2, "percpu", ("npages=512",), 1, seconds=0.1).ready()[1].npages == 512


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"designs": ("best",)}, ParamError, "design='best': must be one of fpageqlock, percpu"),
        ({"ncpus": (0,)}, ArgumentError, "--cpus 0: must be from 1 to 128"),
        (
            {"workloads": ("handoff",), "ncpus": (2, 3), "seconds": None},
            ArgumentError,
            "^handoff, 3 CPUs, fpageqlock.*: 3 CPUs cannot pair up",
        ),
        (
            {"ncpus": (4, 2), "designs": ("percpu", "netbsd10"), "settings": (("nbuckets", ("1", "4")),)},
            ParamError,
            "^pressure, 2 CPUs, netbsd10, nbuckets=4: nbuckets=4: must be one of 1, 2: as many CPUs for each",
        ),
        ({"settings": (("refill", ("1", "x")),)}, ParamError, "refill=x: must be a whole number"),
        ({"settings": (("npages", ("20",)),)}, ArgumentError, "npages=20: .*; give [0-9]+ pages$"),
        ({"settings": (("design", ("percpu",)),)}, ParamError, "design is set by --design"),
        ({"workloads": ("trace",), "trace": "/nowhere", "seconds": None}, TraceError, "/nowhere"),
        ({"settings": (("refill", tuple(map(str, range(1, 4000)))),)}, ArgumentError, "15,996 cells; 10,000"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_as_a_whole(
    changes: dict[str, Any], error: type[UvmError], says: str
) -> None:
    with pytest.raises(error, match=says):
        grid(**changes).cells()


def test_every_cell_is_measured_once_and_saved_at_once(executor: Executor) -> None:
    sweep, kept = Sweep(grid().cells()), []
    done = list(run_sweep(sweep, executor, lambda grown: kept.append(len(grown.records)), at_once=2))
    assert sorted(map(str, done)) == sorted(map(str, sweep.cells))
    assert kept == list(range(1, 9))
    for cell, record in sweep.records.items():
        assert record.designs == (cell.design,)
        assert record.workload.ncpus == cell.ncpus
        assert str(record.param.ncolors) == cell.settings[0].split("=")[1]
        assert len(record.runs) == 1


def test_a_sweep_that_was_broken_off_goes_on_where_it_was(executor: Executor, tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    sweep = resume(grid().cells(), str(file))

    def save(grown: Sweep) -> None:
        file.write_text(json.dumps(grown.document()))

    for count, _ in enumerate(run_sweep(sweep, executor, save, lambda: len(sweep.records) >= 3), start=1):
        assert count <= 3
    again = resume(grid().cells(), str(file))
    assert len(again.left()) == 5
    before = dict(again.records)
    list(run_sweep(again, executor, save))
    assert again.left() == []
    assert all(again.records[cell] == record for cell, record in before.items())  # nothing was measured twice
    assert len(load_records(str(file))) == 8
    assert resume(grid().cells(), str(file)).records == again.records


def test_another_grid_is_refused_and_the_file_left_alone(executor: Executor, tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(Sweep(grid().cells()).document()))
    before = file.read_bytes()
    for other in (grid(ncpus=(1,)), grid(ncpus=(1, 2), repetitions=2), grid(ncpus=(2, 4))):
        with pytest.raises(
            ArgumentError, match=r"another grid: pressure, . CPUs?, .* is not in this one; ask for all"
        ):
            resume(other.cells(), str(file))
    assert file.read_bytes() == before


def test_a_design_is_measured_once_for_what_it_does_not_use() -> None:
    one = grid(ncpus=(1,), settings=(("refill", ("1", "4", "32")), ("ncolors", ("4", "8"))))
    settings = {design: [cell.settings for cell in one.cells() if cell.design == design] for design in one.designs}
    assert settings["fpageqlock"] == [("ncolors=4",), ("ncolors=8",)]
    assert len(settings["percpu"]) == len(set(settings["percpu"])) == 6
    assert (one.unused("fpageqlock"), one.unused("percpu")) == (["refill"], [])
    with pytest.raises(ParamError, match="refill=0: must be from 1 to 4096"):
        grid(designs=("fpageqlock",), settings=(("refill", ("0",)),)).cells()


ONLY_PAGES = (("npages", ("512",)),)
TWO_CPUS: dict[str, Any] = {"ncpus": (2,), "settings": (("npages", ("1024",)),)}


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("first", "more"),
    [
        ({}, {"ncpus": (1, 2, 4)}),
        ({}, {"ncpus": (4, 2, 1)}),
        ({}, {"settings": (("ncolors", ("2", "4", "8")), *ONLY_PAGES)}),
        ({"designs": ("percpu",)}, {}),
        (TWO_CPUS, TWO_CPUS | {"workloads": ("handoff", "pressure")}),
    ],
    ids=["CPUs", "another order", "values", "designs", "workloads"],
)
def test_a_sweep_is_extended_by_what_is_new(
    executor: Executor, tmp_path: Path, first: dict[str, Any], more: dict[str, Any]
) -> None:
    """And nothing that it has is measured again, or lost."""
    file = tmp_path / "sweep.json"
    sweep = Sweep(grid(**first).cells())
    list(run_sweep(sweep, executor, lambda grown: None, at_once=2))
    file.write_text(json.dumps(sweep.document()))
    wider = resume(grid(**more).cells(), str(file))
    assert wider.records == sweep.records
    assert set(wider.left()) == set(grid(**more).cells()) - set(sweep.cells) != set()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "is no sweep of uvmfree"),
        ({"schema": "uvmfree.record"}, "is no sweep of uvmfree"),
        ({"schema": "uvmfree.sweep", "version": 2}, "of version 2; this uvmfree reads 1"),
        ({"schema": "uvmfree.sweep", "version": 1}, "is a sweep without cells"),
        ({"schema": "uvmfree.sweep", "version": 1, "cells": [1], "measured": []}, r"cells\[0\]: must be an object"),
        (
            {"schema": "uvmfree.sweep", "version": 1, "cells": [], "measured": [{}]},
            r"measured\[0\]: must have a cell",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(document: Any, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        sweep_of(document, "x.json")


def test_a_cell_says_all_that_is_needed() -> None:
    """As plain values, by way of JSON, as another machine gets it."""
    (cell, *_) = grid().cells()
    document = measure_cell(json.loads(json.dumps(asdict(cell))))
    assert document["workload"]["name"] == "pressure, 0.02 s"
    assert document["command"][:2] == ["uvmfree", "sweep"]


def test_a_cell_waits_for_its_turn_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time; and not for ever."""
    monkeypatch.setattr(cells, "TURN_S", 0.1)
    with cells._turn(), pytest.raises(HangError, match="was measuring something else"), cells._turn():
        pass
    with cells._turn():
        pass


def test_what_went_wrong_in_a_cell_is_raised_and_the_rest_is_kept(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []

    def measure(plain: dict[str, Any]) -> dict[str, Any]:
        if len(done) == 2:
            raise HangError("a lock")
        done.append(plain)
        return measure_cell(plain)

    monkeypatch.setattr(sweeps, "measure_cell", measure)
    sweep = Sweep(grid().cells())
    with pytest.raises(HangError, match="a lock"):
        list(run_sweep(sweep, executor, lambda grown: None))
    assert len(sweep.records) == 2
    assert saved(sweep)["measured"]


def test_a_cell_that_was_given_up_is_not_kept(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells.Worker, "stop", staticmethod(lambda: True))
    sweep = Sweep(grid().cells())
    assert list(run_sweep(sweep, executor, lambda grown: None)) == []
    assert sweep.records == {}


def test_cells_can_be_told_apart() -> None:
    assert Cell("pingpong", 2, "percpu", (), 1) != Cell("pingpong", 2, "percpu", (), 2)
