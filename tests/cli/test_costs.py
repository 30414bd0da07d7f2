"""`uvmfree costs`: the tables, in 80 columns, with a source for each figure; what is wrong is one line and exit 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from uvmfree.machine.costs import SETS, costs_for


def costs(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "uvmfree", "costs", *args],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        encoding="utf-8",
    )


def test_without_a_name_the_sets_a_line_each() -> None:
    said = costs()
    assert (said.returncode, said.stderr) == (0, "")
    assert [line.split()[0] for line in said.stdout.splitlines()] == list(SETS)
    assert "2 x 64 cores" in said.stdout
    assert max(map(len, said.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", SETS)
def test_each_figure_has_a_line_with_its_source(name: str) -> None:
    said = costs(name)
    assert (said.returncode, said.stderr) == (0, "")
    lines = said.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said.stdout
    begun = {line.split()[0]: line.split() for line in lines[1:-1] if not line.startswith(" ")}
    figures = costs_for(name).figures
    assert begun.keys() == figures.keys()
    for cost, figure in figures.items():
        assert float(begun[cost][1].strip("()")) == pytest.approx(figure.value)
        assert figure.source.split()[0] == begun[cost][2], f"{cost} has no source"


def test_a_file_and_single_figures_lie_over_a_set(tmp_path: Path) -> None:
    """The file tells its sources; what the command line says comes last."""
    file = tmp_path / "mine.toml"
    file.write_text('base = "epyc-2s"\n[costs]\natomic = [6.5, "measured on a quiet host"]\nwakeup = 2000\n')
    said = costs(str(file), "--cost", "wakeup=1234")
    assert (said.returncode, said.stderr) == (0, "")
    begun = {line.split()[0]: line.split(maxsplit=2)[1:] for line in said.stdout.splitlines()[1:-1] if line[0] != " "}
    assert begun["atomic"] == ["6.5", "measured on a quiet host"]
    assert begun["wakeup"] == ["1234", "--cost"]
    assert begun["line_remote"][0] == "197"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "costs='nowhere': must be one of"),
        (["xeon-2s", "--cost", "atomic"], "--cost atomic: must be NAME=NS"),
        (["xeon-2s", "--cost", "atomic=fast"], "--cost atomic=fast: must be a number"),
        (["xeon-2s", "--cost", "atomic=-1"], "atomic=-1"),
        (["xeon-2s", "--cost", "atomic=nan"], "atomic=nan"),
        (["xeon-2s", "--cost", "warp=1"], "no cost is called 'warp'"),
        (["xeon-2s", "--cost", "atomic=1", "--cost", "atomic=2"], "atomic was set to 1 before"),
        (["--cost", "atomic=1"], "--cost: name the set"),
        (["nowhere.toml"], "nowhere.toml: No such file"),
    ],
)
def test_bad_input_is_one_line(args: list[str], said: str) -> None:
    ran = costs(*args)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("costs = [", "not TOML"),
        ("[cost]\natomic = 1\n", "has cost"),
        ('base = "nowhere"\n', "costs='nowhere'"),
        ("[costs]\nwarp = 1\n", "no cost is called 'warp'"),
        ('[costs]\natomic = "7"\n', "atomic='7': must be a number"),
        ("[costs]\natomic = [7]\n", "atomic=[7]: must be a number"),
        ('[costs]\natomic = [-7, "mine"]\n', "atomic=-7"),
        ('[costs]\natomic = [7, ""]\n', "atomic=[7, '']: must be a number"),
        ("[costs]\natomic = 1e12\n", "must be from 0 to"),
        ("[costs]\nsockets = 1.5\n", "must be a whole number"),
    ],
)
def test_a_bad_file_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    ran = costs(str(file))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "bad.toml" in ran.stderr or "nowhere" in ran.stderr
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
