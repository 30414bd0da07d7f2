"""The table of costs: complete, with sources, and what is refused of it in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from uvmfree.errors import ParamError
from uvmfree.machine.costs import CHARGES, OTHER, SETS, VALUE_MAX, Costs, costs_for
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.topology import moves


@pytest.mark.parametrize("name", SETS)
def test_every_set_is_complete_and_says_where_each_figure_is_from(name: str) -> None:
    costs = costs_for(name)
    for figure in costs.figures.values():
        assert len(figure.source) > 5
        assert figure.value >= 0
    assert any(not figure.assumed for figure in costs.figures.values())
    for charge in [*CHARGES.values(), OTHER]:
        for cost in (charge.before, charge.hold, charge.per_page, charge.per_item, charge.lines, charge.after):
            assert costs.ns(cost) >= 0


def test_a_file_and_single_figures_lie_over_a_set(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "epyc-2s"\n[costs]\nsplice = 123\nline_remote = 250\n')
    costs = costs_for("xeon-2s", file, line_remote=300)
    assert costs.name == "epyc-2s"
    assert (costs.ns("splice"), costs.ns("line_remote"), costs.ns("line_complex")) == (123, 300, 23)
    assert costs.figures["splice"].source == str(file)
    assert costs_for("epyc-2s").ns("splice") != 123


def test_a_file_that_lies_over_nothing_has_all_costs(tmp_path: Path) -> None:
    """It is told from the sets by its figures: as many as are not those of the set whose name it bears."""
    file, own = tmp_path / "mine.toml", {name: figure.value for name, figure in SETS["epyc-2s"].items()}
    file.write_text("[costs]\n" + "".join(f"{name} = {value:.15g}\n" for name, value in own.items()))
    one = costs_for(file=file)
    assert {name: figure.value for name, figure in one.figures.items()} == own
    differ = {name: value for name, value in own.items() if value != SETS["xeon-2s"][name].value}
    assert (one.name, one.changed) == ("xeon-2s", differ)
    file.write_text("[costs]\nsplice = 123\n")
    with pytest.raises(ParamError, match=r"has no sockets, .* more; it must have all costs, or base"):
        costs_for(file=file)
    assert costs_for("epyc-2s", file).changed == {"splice": 123}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: costs_for("vax"), "costs='vax': must be one of"),
        (lambda: costs_for(splice=-1), "splice=-1: must be from 0"),
        (lambda: costs_for(splice=float("nan")), "splice=nan: must be from 0"),
        (lambda: costs_for(splice=True), "splice=True: must be a number"),
        (lambda: costs_for(spice=1), "no cost is called 'spice'"),
        (lambda: costs_for(sockets=0), "sockets=0: must be from 1"),
        (lambda: costs_for(global_lines=1.5), "global_lines=1.5: must be a whole number"),
        (
            lambda: VirtualMachine(ncpus=3, costs="python-here"),
            "ncpus=3: the topology of python-here has places for 2",
        ),
        (lambda: VirtualMachine(lock="hope"), "lock='hope': must be one of ttas, ticket, mcs, sleep"),
        (lambda: VirtualMachine(hang_s=0), "hang_s=0: must be a number of seconds above 0"),
        (lambda: VirtualMachine(hang_s=float("nan")), "hang_s=nan: must be a number of seconds above 0"),
        (lambda: VirtualMachine(hang_s="1"), "hang_s='1': must be a number of seconds above 0"),  # type: ignore[arg-type]
        (
            lambda: VirtualMachine(costs=costs_for("xeon-2s", sockets=10**9)),
            f"{64 * 2 * 10**9} places for CPUs: at most 65536; see sockets, socket_cores and core_threads",
        ),
        (lambda: VirtualMachine(ncpus=0), "ncpus=0: must be a whole number from 1 to 512"),
        (lambda: VirtualMachine(ncpus=513), "ncpus=513: must be a whole number from 1 to 512"),
        (lambda: VirtualMachine(seed=-1), "seed=-1: must be"),
        (lambda: VirtualMachine(strands="rope"), "strands='rope': must be 'greenlet' or 'baton'"),
        (lambda: VirtualMachine().spawn("x", lambda: None, 4), "cpu=4: the virtual machine has CPUs 0 to 3"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ParamError) as caught:
        make()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[costs]\nspice = 1\n", "no cost is called 'spice'"),
        (b'[costs]\nsplice = "much"\n', "must be a number"),
        (b"[cost]\nsplice = 1\n", "has cost"),
        (b"base = 1\n", 'mine.toml: base = 1: must be the name of a set in quotes, as "epyc-2s"'),
        (b"costs = 1\n", "mine.toml: costs = 1: must be a table, [costs] and below it NAME = NS"),
        (b"splice == 1\n", "not TOML"),
        (b"\xff\xfe\n", "not TOML"),
        (b'base = "vax"\n', "mine.toml: base = 'vax': must be one of epyc-2s, "),
    ],
)
def test_a_file_that_is_wrong(text: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text)
    with pytest.raises(ParamError) as caught:
        costs_for("xeon-2s", file)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ParamError, match="No such file"):
        costs_for("xeon-2s", tmp_path / "missing.toml")


def test_a_cost_is_rounded_to_whole_nanoseconds() -> None:
    assert [costs_for("xeon-2s", line_socket=ns).ns("line_socket") for ns in (49.6, 50.4)] == [50, 50]


def test_a_set_without_a_figure_is_refused() -> None:
    figures = dict(SETS["xeon-2s"])
    del figures["splice"]
    with pytest.raises(ParamError, match="has no splice"):
        VirtualMachine(costs=Costs("mine", figures))


def test_the_topology_has_levels() -> None:
    costs = costs_for("epyc-2s", line_core=1)
    table = moves(costs, 256)
    near, socket, remote = 23, 107, 197
    assert [table[0][cpu] for cpu in (0, 1, 7, 8, 63, 64, 127)] == [0, near, near, socket, socket, remote, remote]
    # CPU 128 is the second thread of CPU 0's core, 129 of CPU 1's.
    assert [table[0][cpu] for cpu in (128, 129, 136, 192)] == [1, near, socket, remote]
    assert [table[70][cpu] for cpu in (64, 71, 72, 0)] == [near, near, socket, remote]
    assert all(table[a][b] == table[b][a] for a in (0, 9, 70, 200) for b in range(256))
    # From memory; and to a strand of no CPU.
    assert table[-1][5] == costs.ns("line_memory")
    assert {row[-1] for row in table} == {0}


def test_complexes_are_counted_within_their_socket_and_the_last_may_be_smaller() -> None:
    """Two sockets of three cores each, in complexes of two: 0 and 1, 2; 3 and 4, 5."""
    figures = {"sockets": 2, "socket_cores": 3, "complex_cores": 2, "core_threads": 1}
    own, near, socket, remote = 0, 1, 2, 3
    table = moves(costs_for("xeon-2s", **figures, line_complex=near, line_socket=socket, line_remote=remote), 6)
    assert [row[:6] for row in table[:6]] == [
        [own, near, socket, remote, remote, remote],
        [near, own, socket, remote, remote, remote],
        [socket, socket, own, remote, remote, remote],
        [remote, remote, remote, own, near, socket],
        [remote, remote, remote, near, own, socket],
        [remote, remote, remote, socket, socket, own],
    ]


def test_the_bounds_of_figures_are_taken_and_what_lies_beyond_is_not() -> None:
    for name, least, most in (("jitter_percent", 0, 99), ("backoff_min", 1, VALUE_MAX), ("sockets", 1, VALUE_MAX)):
        for value in (least, most):
            assert costs_for(**{name: value}).count(name) == value
        for value in (least - 1, most + 1):
            with pytest.raises(ParamError, match=f"{name}={value}: must be from {least} to {most}"):
                costs_for(**{name: value})
    assert costs_for(backoff_max=0).count("backoff_max") == 0


def test_a_figure_with_another_source_and_the_same_value_is_not_changed() -> None:
    table = costs_for()
    again = table.with_figures({"atomic": [table.ns("atomic"), "measured again"], "page_fault": 7}, "a file")
    assert again.figures["atomic"].source == "measured again"
    assert again.changed == {"page_fault": 7.0}
