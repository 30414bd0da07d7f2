"""The table of a sweep: medians of the repetitions of each cell, of a file in which all are measured."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.report.made import record
from uvmfree.analyse.sweep import Grid, Sweep
from uvmfree.report.comparison import setting_of_sweep

Run = Callable[..., Said]
WALLS_NS = (10_000_000, 70_000_000, 20_000_000)


@pytest.mark.parametrize("gil", [False, True])
def test_each_cell_has_its_medians_and_times_only_where_they_say_something(
    run: Run, tmp_path: Path, gil: bool
) -> None:
    cells = Grid(("pingpong",), (2,), ("percpu",), (("refill", ("1", "8")),), repetitions=3).cells()
    one = record(designs=("percpu",), repetitions=3, rows=0, gil=gil)
    runs = [
        replace(
            each,
            drive=replace(each.drive, wall_ns=WALLS_NS[each.repetition]),
            seen=replace(each.seen, stranded_pages_max=(100, 90_000, 27_534)[each.repetition]),
        )
        for each in one.runs
    ]
    one = replace(one, runs=runs)
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(Sweep(cells, dict.fromkeys(cells, one)).document()))
    asked = (
        "--workload",
        "pingpong",
        "--cpus",
        "2",
        "--design",
        "percpu",
        "--set",
        "refill=1,8",
        "--repetitions",
        "3",
    )
    said = run("sweep", "-o", str(file), *asked)
    assert said.status == 0
    assert [line for line in said.out.splitlines() if line != line.rstrip()] == []
    assert said.out.isascii()
    assert "2 of 2 cells are in" in said.err
    top, *left_out, table = said.out.split("\n\n")[: 3 if gil else 2]
    workload, tunables, machine, interpreter = top.splitlines()
    assert workload == f"workload:    {one.workload.name}, 2 CPUs"
    assert tunables == f"tunables:    npages={one.param.npages}, refill=1 or 8, others at their defaults"
    assert machine.startswith("machine:     real threads on ")
    assert interpreter.startswith("interpreter: CPython ")
    assert ["With the GIL" in text for text in left_out] == [True] * gil
    head, _, *rows = table.splitlines()
    heads = ["wait share %", "shared locks/op", "moved/op", "stranded pages", "wall ms"]
    assert [name for name in heads if name in head] == (heads[1:4] if gil else heads)
    found = [row.split() for row in rows[:2]]
    assert ["refill=8" in row for row in rows[:2]] == [False, True]
    assert [row[-1 if gil else -2] for row in found] == ["27,534", "27,534"]
    assert gil or [row[-1] for row in found] == ["20", "20"]
    assert said.out.count("With the GIL") == gil


def test_a_sweep_of_several_workloads_names_each_with_its_cpus_and_memory() -> None:
    one = record(designs=("percpu",), repetitions=1, rows=0, workload="a", ncpus=1)
    others = [record(designs=("percpu",), repetitions=1, rows=0, workload=name, ncpus=4) for name in "ab"]
    small = replace(others[1], param=replace(others[1].param, npages=512))
    said = [*setting_of_sweep([one, others[0], small], [])]
    assert said[:3] == [
        ("workload", "a, 1, 4 CPUs"),
        ("workload", "b, 4 CPUs"),
        ("tunables", f"npages={one.param.npages} or 512, others at their defaults"),
    ]
    assert [label for label, _ in said[3:]] == ["machine", "interpreter"]
    given = [("npages", ("256", "512")), ("refill", ("4",))]
    assert dict(setting_of_sweep([one], given))["tunables"] == "npages=256 or 512, refill=4, others at their defaults"
