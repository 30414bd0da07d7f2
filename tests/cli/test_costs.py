"""`uvmfree costs`: the tables, in 80 columns, with a source for each figure; what is wrong is one line and exit 2."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from uvmfree.cli.costs import check_places, names, table
from uvmfree.errors import ParamError
from uvmfree.machine.costs import MISSING_MAX, SETS

Run = Callable[..., Said]
SHIPPED = "granite-2s"
"""A set that is a file."""


def test_without_a_name_the_sets_a_line_each(run: Run) -> None:
    said = run("costs")
    assert (said.status, said.err) == (0, "")
    assert [line.split()[0] for line in said.out.splitlines()] == [*SETS, SHIPPED, "Line:", "Assumed:"]
    assert "2 x 64 cores, 2 threads each" in said.out
    assert "1 x 2 cores, 1 thread each" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_a_set_is_summed_up_by_its_lines_and_by_how_much_is_assumed(run: Run) -> None:
    """As its own table has them."""
    lines = {line.split()[0]: line for line in run("costs").out.splitlines()}
    for name in names():
        rows = [line.split(maxsplit=2) for line in run("costs", name).out.splitlines()[1:-1] if line[0] != " "]
        values = {cost: text.strip("()") for cost, text, _ in rows}
        assumed = sum(source.lower().startswith("assumed") for _, _, source in rows)
        far = f" / {values['line_remote']}" if int(values["sockets"]) > 1 else ""
        assert f"{values['sockets']} x {values['socket_cores']} cores, {values['core_threads']} thr" in lines[name]
        assert lines[name].endswith(f"; line {values['line_socket']}{far} ns; {assumed} assumed")


@pytest.mark.parametrize("name", [*SETS, SHIPPED])
def test_each_figure_has_a_line_with_its_source(run: Run, name: str) -> None:
    said = run("costs", name)
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said.out
    begun = {line.split()[0]: line.split() for line in lines[1:-1] if not line.startswith(" ")}
    figures = table(name).figures
    assert begun.keys() == figures.keys()
    for cost, figure in figures.items():
        assert float(begun[cost][1].strip("()")) == pytest.approx(figure.value)
        assert figure.source.split()[0] == begun[cost][2], f"{cost} has no source"


def test_a_file_and_single_figures_lie_over_a_set(run: Run, tmp_path: Path) -> None:
    """The file tells its sources; what the command line says comes last."""
    file = tmp_path / "mine.toml"
    file.write_text('base = "epyc-2s"\n[costs]\natomic = [6.5, "measured on a quiet host"]\nwakeup = 2000\n')
    said = run("costs", str(file), "--cost", "wakeup=1234")
    assert (said.status, said.err) == (0, "")
    begun = {line.split()[0]: line.split(maxsplit=2)[1:] for line in said.out.splitlines()[1:-1] if line[0] != " "}
    assert begun["atomic"] == ["6.5", "measured on a quiet host"]
    assert begun["wakeup"] == ["1234", "--cost"]
    assert begun["line_remote"][0] == "197"


def test_a_set_that_is_a_file_changes_no_other_and_says_what_of_it_is_assumed() -> None:
    other, base = table(SHIPPED), table("xeon-2s")
    assert other.changed == {"socket_cores": 128, "complex_cores": 128}
    assert base.changed == {}
    assert {name for name in base.figures if other.figures[name].assumed and not base.figures[name].assumed} == {
        "line_complex",
        "line_socket",
        "line_remote",
    }


def test_a_file_without_a_base_has_all_costs(run: Run, tmp_path: Path) -> None:
    """One that lacks some would silently be of a machine that it does not name."""
    file = tmp_path / "whole.toml"
    lines = [f"{name} = {figure.value:g}\n" for name, figure in table("epyc-2s").figures.items()]
    file.write_text("".join(["[costs]\n", *lines]))
    said = run("costs", str(file))
    assert (said.status, said.err) == (0, "")
    assert table(str(file)).ns("line_remote") == 197
    file.write_text("".join(["[costs]\n", *lines[:-2]]))
    said = run("costs", str(file))
    missing = 'has no disk_page, jitter_percent; it must have all costs, or base = "SET" to lie over'
    assert (said.status, said.out, said.err) == (2, "", f"uvmfree: {file}: {missing}\n")
    file.write_text("".join(["[costs]\n", *lines[:-1]]))
    assert "has no jitter_percent; it must" in run("costs", str(file)).err
    file.write_text("[costs]\natomic = 7\n")
    said = run("scale", "--costs", str(file), "--cpus", "1")
    assert (said.status, said.out) == (2, "")
    more = len(lines) - 1 - MISSING_MAX
    assert re.search(rf": has no sockets, socket_cores, (\w+, ){{9}}\w+ and {more} more; it must", said.err)


@pytest.mark.parametrize(
    "args",
    [
        ("scale", "--cpus", "1,512"),
        ("bench", "--machine", "virtual", "--workload", "pingpong", "--cpus", "512"),
        ("bench", "--machine", "virtual", "--copies", "256"),
    ],
)
def test_where_there_are_too_few_places_the_sets_that_have_enough_are_named(run: Run, args: tuple[str, ...]) -> None:
    said = run(*args)
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        "uvmfree: 512 CPUs: costs xeon-2s have places for 256, sockets x socket_cores x core_threads; "
        f"--costs {SHIPPED}: enough\n"
    )


def test_there_may_be_as_many_cpus_as_there_are_places() -> None:
    check_places("xeon-2s", (), 256)
    with pytest.raises(ParamError, match="257 CPUs: costs xeon-2s have places for 256"):
        check_places("xeon-2s", (), 257)


def test_a_stress_run_names_them_too(run: Run) -> None:
    said = run("stress", "--machine", "virtual", "--cpus", "3", "--costs", "python-here")
    enough = f"xeon-2s, epyc-2s, one-socket, {SHIPPED}"
    assert said.err == (
        "uvmfree: 3 CPUs: costs python-here have places for 2, sockets x socket_cores x core_threads; "
        f"--costs {enough}: enough\n"
    )


def test_places_are_those_of_the_costs_with_what_the_command_line_changes(run: Run) -> None:
    """With one thread a core no set has enough."""
    said = run("scale", "--cpus", "512", "--cost", "core_threads=1", "--costs", "one-socket")
    assert said.err == (
        "uvmfree: 512 CPUs: costs one-socket have places for 128, sockets x socket_cores x core_threads\n"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere"], "costs='nowhere': must be one of epyc-2s, granite-2s, one-socket, "),
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
def test_bad_input_is_one_line(run: Run, args: list[str], said: str) -> None:
    ran = run("costs", *args)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("costs = [", "not TOML"),
        ("[cost]\natomic = 1\n", "has cost"),
        ('base = "nowhere"\n', "base = 'nowhere': must be one of"),
        ("[costs]\nwarp = 1\n", "no cost is called 'warp'"),
        ('[costs]\natomic = "7"\n', "atomic='7': must be a number"),
        ("[costs]\natomic = [7]\n", "atomic=[7]: must be a number"),
        ('[costs]\natomic = [-7, "mine"]\n', "atomic=-7"),
        ('[costs]\natomic = [7, ""]\n', "atomic=[7, '']: must be a number"),
        ("[costs]\natomic = 1e12\n", "must be from 0 to"),
        ("[costs]\nsockets = 1.5\n", "must be a whole number"),
    ],
)
def test_a_bad_file_is_one_line(run: Run, text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    ran = run("costs", str(file))
    assert (ran.status, ran.out) == (2, "")
    assert "bad.toml" in ran.err or "nowhere" in ran.err
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
