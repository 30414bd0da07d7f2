"""`uvmfree designs`, and the tunables of designs on the command line."""

import json

import pytest
from click.testing import CliRunner

import uvmfree
from uvmfree.cli import cli
from uvmfree.measure.settings import parse_settings
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.designs.percpu import Percpu


def test_every_design_is_listed_with_its_locks_and_tunables() -> None:
    """In the order in which the locks are taken."""
    listed = json.loads(CliRunner().invoke(cli, ["designs", "--json"], catch_exceptions=False).output)["designs"]
    assert [each["name"] for each in listed] == list(REGISTRY)
    percpu = next(each for each in listed if each["name"] == "percpu")
    assert [(lock["name"], lock["kind"]) for lock in percpu["locks"]] == [
        ("uvm_cpu", "cpu"),
        ("uvm_fpageqlock", "shared"),
    ]
    assert [(each["name"], each["default"]) for each in percpu["tunables"]] == [
        ("refill", 1),
        ("hoard_max", None),
        ("search", "local"),
    ]
    assert set(percpu["traits"]) == set(uvmfree.Traits.__dataclass_fields__)


def test_a_blank_line_parts_each_design_from_the_next() -> None:
    said = CliRunner().invoke(cli, ["designs", "xnu", "depot", "percpu"], catch_exceptions=False).output
    assert [part.partition(":")[0] for part in said.split("\n\n")] == [
        "xnu",
        "depot",
        "percpu",
        "What each trait means",
    ]


def test_a_line_tells_of_a_tunable_its_value_its_unit_and_why_in_that_order() -> None:
    said = CliRunner().invoke(cli, ["designs", "xnu"], catch_exceptions=False).output.splitlines()
    assert said[0].startswith("xnu: XNU: ")
    at = next(number for number, line in enumerate(said) if line.startswith("  tunable  xnu.free_batch="))
    told = " ".join(line.strip() for line in said[at : at + 2])
    assert told.startswith("tunable  xnu.free_batch=64 pages: freed in one hold: longer ones keep others waiting")
    traits = at + 2
    assert said[traits].startswith("  traits   colors none, zeros no, ")


def test_all_that_is_listed_fits_80_columns_and_reads_as_words() -> None:
    said = CliRunner().invoke(cli, ["designs"], catch_exceptions=False).output
    assert max(map(len, said.splitlines())) <= 80
    assert "(one a CPU)" in said
    assert "(interrupts off)" in said
    flat = " ".join(said.split())
    assert "causes none," in flat  # of fpageqlock, which moves no page
    assert not {"(off):", "(cpu):", "True,", "False,"} & set(said.split())


def test_a_design_of_another_package_is_described_by_where_it_stands() -> None:
    said = (
        CliRunner().invoke(cli, ["designs", "tests.conformance.linux_like:LinuxLike"], catch_exceptions=False).output
    )
    assert said.startswith("linux_like: for tests")


def test_a_tunable_of_a_design_is_set_by_its_full_name() -> None:
    """And is of no other design: a run over several designs may name it."""
    param = Param(**parse_settings(["percpu.refill=8", "npages=64"], given={}))
    assert (param.npages, param.own) == (64, (("percpu.refill", 8),))
    assert param.tunables_of("percpu", Percpu.Tunables).refill == 8
    assert param.tunables_of("another", Percpu.Tunables).refill == 1


def test_an_unknown_tunable_of_a_design_is_refused_beside_those_of_that_design_alone() -> None:
    with pytest.raises(uvmfree.ParamError, match=r"called percpu\.nosuch; there are percpu\.refill, [^;]*search$"):
        parse_settings(["percpu.nosuch=1"], given={})


@pytest.mark.parametrize("setting", ["nosuch=1", "nosuch.refill=1"])
def test_an_unknown_tunable_is_refused_beside_those_that_there_are(setting: str) -> None:
    with pytest.raises(uvmfree.ParamError, match=r"no tunable is called .*; there are .*npages.*percpu\.refill"):
        parse_settings([setting], given={})


def test_boot_names_what_the_chosen_design_has() -> None:
    with pytest.raises(uvmfree.ParamError, match=r"no tunable is called budget; there are .*; refill, hoard_max"):
        uvmfree.boot(npages=64, ncpus=1, design="percpu", budget=4)
