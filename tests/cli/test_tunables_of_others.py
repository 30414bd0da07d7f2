"""Tunables of a design from outside the registry: known to every command that is asked for the design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from uvmfree.analyse.sweep import Grid
from uvmfree.errors import ParamError
from uvmfree.measure.cell import Cell
from uvmfree.measure.record import load
from uvmfree.measure.scale import Case, Traffic
from uvmfree.measure.settings import parse_settings
from uvmfree.param import tunable, whole
from uvmfree.stress.supervised import Options
from uvmfree.uvm.designs.percpu import Percpu, PercpuTunables

Run = Callable[..., Any]

OURS = f"{__name__}:Ours"


@dataclass(frozen=True, kw_only=True)
class OurTunables(PercpuTunables):
    """One more than percpu has."""

    depth: int = tunable(3, "pages", "for this test")

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("depth", self.depth, 1, 9)


class Ours(Percpu):
    """A design that is in no registry."""

    name = "ours"
    Tunables = OurTunables


def own(settings: list[str], *designs: str) -> Any:
    return parse_settings(settings, given={}, designs=designs)["own"]


def test_a_design_that_is_asked_for_brings_its_tunables() -> None:
    assert own(["ours.depth=4"], OURS) == (("ours.depth", 4),)
    assert own(["depth=4"], "fpageqlock", OURS) == (("ours.depth", 4),)
    # Of one name: of both who have it.
    assert own(["refill=8"], OURS) == (("percpu.refill", 8), ("ours.refill", 8))


@pytest.mark.parametrize(
    ("setting", "designs", "said"),
    [
        ("ours.depth=4", (), "no tunable is called ours.depth; there are "),
        ("ours.dept=4", (OURS,), "called ours.dept; there are ours.refill, ours.hoard_max, ours.search, ours.depth$"),
        ("ours.depth=10", (OURS,), "depth=10: must be from 1 to 9"),
        ("ours.depth=x", (OURS,), "ours.depth=x: must be a whole number"),
    ],
)  # fmt: skip
def test_what_it_does_not_have_or_take_is_refused(setting: str, designs: tuple[str, ...], said: str) -> None:
    with pytest.raises(ParamError, match=said):
        parse_settings([setting], given={}, designs=designs)


QUICK = ("--workload", "pressure", "--seconds", "0.02")
ASKED = {
    "bench": ("bench", *QUICK, "--repetitions", "1", "--design", "percpu", "--set", "ours.depth=4"),
    "stress": ("stress", "--machine", "virtual", "--seconds", "0.001", "--seed", "1", "--set", "ours.depth=4"),
}


@pytest.mark.parametrize("command", ASKED)
def test_commands_take_it_beside_a_design_that_has_no_such_tunable(run: Run, command: str, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    assert run(*ASKED[command], "--design", OURS, "--json", str(file)).status == 0
    assert load(str(file)).param.own == (("ours.depth", 4),)


def test_a_point_of_a_curve_and_a_story_take_it_too(run: Run) -> None:
    case = Case(OURS, 1, Traffic("pingpong"), settings=("ours.depth=4",))
    assert case.param().own == (("ours.depth", 4),)
    assert run("explain", OURS, "--set", "ours.depth=4", "--steps", "1").status == 0
    assert run("explain", OURS, "--set", "ours.depth=0", "--steps", "1").err.startswith("uvmfree: depth=0: must be")


def test_the_line_that_runs_a_stress_again_has_what_its_design_knows() -> None:
    options = Options(settings=("ours.depth=4", "percpu.refill=2", "ncolors=4"), designs=("percpu", OURS))
    assert options.param("percpu").own == (("ours.depth", 4), ("percpu.refill", 2))
    assert "--set percpu.refill=2 --set ncolors=4" in options.command("percpu")
    assert "ours.depth" not in options.command("percpu")
    assert "--set ours.depth=4" in options.command(OURS)


def test_a_sweep_measures_each_design_for_the_values_that_are_its_own() -> None:
    grid = Grid(
        ("pressure",),
        (1,),
        ("fpageqlock", "percpu", OURS),
        (("percpu.refill", ("1", "4")), ("ours.depth", ("2", "3", "4")), ("npages", ("512", "1024"))),
        1,
        seconds=0.02,
    )
    cells = grid.cells()
    assert {design: sum(cell.design == design for cell in cells) for design in grid.designs} == {
        "fpageqlock": 2,
        "percpu": 4,
        OURS: 6,
    }
    assert grid.unused("fpageqlock") == ["percpu.refill", "ours.depth"]
    assert grid.unused("percpu") == ["ours.depth"]
    assert grid.unused(OURS) == ["percpu.refill"]
    assert cells[0] == Cell("pressure", 1, "fpageqlock", ("npages=512",), 1, seconds=0.02)
    for cell in cells:
        cell.ready()  # where it is measured there is no grid


def test_it_is_described_by_where_it_stands(run: Run) -> None:
    assert "  tunable  ours.depth=3 pages: for this test" in run("designs", OURS).out


VIRTUAL = ("--machine", "virtual", "--seconds", "0.001")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("explain", "percpu", "--set", "xnu.refill_limit=4"), "--set xnu.refill_limit=4: xnu.refill_limit"),
        (("explain", "fpageqlock", "--set", "refill=4"), "--set refill=4: refill"),
        (("bench", "--set", "xnu.refill_limit=4"), "--set xnu.refill_limit=4: xnu.refill_limit"),
        (("bench", "--design", "xnu", "--set", "percpu.refill=4"), "--set percpu.refill=4: percpu.refill"),
        (("scale", "--design", "xnu,percpu.refill=4"), "--design xnu, percpu.refill=4: percpu.refill"),
        (("stress", "--set", "M=3"), "--set M=3: M"),
        (("stress", "--design", "xnu", "--set", "magazines.M=3"), "--set magazines.M=3: magazines.M"),
        (("stress", "--design", "xnu", "--set", "M=3", *VIRTUAL), "--set M=3: M"),
        (("stress", "--set", "M=3", *VIRTUAL, "--seeds", "1-2"), "--set M=3: M"),
    ],
)
def test_a_tunable_that_no_design_of_a_run_uses_is_refused(run: Run, args: tuple[str, ...], said: str) -> None:
    """It would change nothing, and nobody would know."""
    asked = "xnu" if "--design" in args else "fpageqlock, percpu, depot"
    designs = {"explain": args[1], "scale": "xnu", "bench": asked, "stress": asked}
    done = run(*args)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"uvmfree: {said} is not used by {designs[args[0]]}, with tunables ")
    assert all(name in done.err for name in ("xnu.refill_limit", "xnu.free_batch") if designs[args[0]] == "xnu")


def test_a_name_that_no_design_has_is_told_with_the_tunables_of_those_asked_for(run: Run) -> None:
    said = run("bench", "--design", OURS, "--set", "nope=3")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("uvmfree: --set nope=3: no tunable is called nope; there are ")
    assert said.err.endswith(", ours.refill, ours.hoard_max, ours.search, ours.depth\n")
    assert "xnu.refill_limit" not in said.err
    assert "xnu.refill_limit" in run("stress", "--design", "xnu", "--set", "nope=3").err


def test_refill_without_percpu_is_refused(run: Run) -> None:
    said = run("bench", "--design", "xnu", "--refill", "4")
    assert (said.status, said.err) == (2, "uvmfree: --refill 4: is of percpu, which is not among the designs\n")
