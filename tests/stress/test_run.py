"""Short stress runs: without faults, with each of them, with all; nothing breaks, and every fault was injected."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import uvmfree
from tests.stress.rig import fine, run, run_until
from uvmfree.errors import ArgumentError, AuditError, HangError
from uvmfree.measure.record import of_document
from uvmfree.stress import engine as stress_module
from uvmfree.stress.engine import Stress
from uvmfree.stress.faults import FAULTS, parse_faults
from uvmfree.stress.supervised import Options, new_record, stress
from uvmfree.uvm.ownthreads import OwnThreads

ALONE_S = 0.3
OPTIONS = {
    "bounded": ("hoard_max=16", "refill=8"),
    "remote, retry": ("remote_drain=true", "drain_retry=true", "count_cached=true"),
    "colour": ("search=colour", "nfreelists=1", "ncolors=16"),
    "lockdebug": ("lockdebug=true", "hoard_max=40"),
}


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_without_faults(design: str) -> None:
    """R3: at rest every page is in one place, and all are there."""
    record = run_until(design, at_least_s=0.3, seen=lambda run: run.shared.anons[0].pdpageouts > 8)
    fine(record)
    assert record.faults == {}
    assert record.uvmexp is not None
    assert record.anons[0].faults > 0
    assert record.anons[0].pgswapout > 0


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.sampled(3)
def test_each_fault_alone(name: str) -> None:
    """R22 (swapwrite), R31 (xcall), Q13 (hotplug), P10 (storm): it is injected, and survived."""
    design = list(uvmfree.DESIGNS)[list(FAULTS).index(name) % 2]

    def seen(run: Stress) -> object:
        maps = [anons._count for anons in run.shared.anons]
        return name != "swapwrite" or (maps[0].swap_write_errors and maps[1].swap_full)

    record = run_until(design, (name,), ALONE_S, seen)
    fine(record)
    assert list(record.faults) == [name]
    counted = record.faults[name]
    assert counted["survived"] == counted["injected"]
    if name == "swapwrite":
        assert counted["writes"] == record.anons[0].swap_write_errors > 0
        assert record.anons[1].swap_full > 0
    if name == "stall":
        assert counted["inside"] + counted["outside"] == counted["injected"]


def test_what_the_audit_finds_is_kept_though_closing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = OwnThreads.end

    def failing(self: OwnThreads) -> None:
        end(self)
        raise HangError("a thread did not end")

    def finding(self: uvmfree.Uvm) -> None:
        raise AuditError(["a page is lost"])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(OwnThreads, "end", failing)
    monkeypatch.setattr(uvmfree.Uvm, "audit", finding)
    record = run("fpageqlock", seconds=0.2)  # too short for an audit under way, where processors are to be had
    assert record.errors[-2].endswith(" audit: audit: a page is lost")
    assert record.errors[-1] == "closing: HangError: a thread did not end"


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_all_faults_at_once(design: str) -> None:
    record = run_until(design, tuple(FAULTS), 0.6)
    fine(record)
    assert list(record.faults) == list(FAULTS)
    assert [name for name, counted in record.faults.items() if counted["survived"] != counted["injected"]] == []


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", OPTIONS)
def test_all_faults_with_the_options_of_the_proposal(name: str) -> None:
    """Q2, Q3, Q5, Q9 and Q14: bounds, counting, retries, search order, remote drains; and the order of the locks."""
    fine(run("percpu", tuple(FAULTS), seconds=0.7, settings=OPTIONS[name]))


def test_one_cpu_and_as_little_memory_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything fails for want of memory, and nothing breaks."""
    monkeypatch.setattr(stress_module, "PATIENCE_S", 0.3)  # an access is begun, and waits
    record = run("percpu", tuple(FAULTS), seconds=0.5, ncpus=1, npages=7)
    assert record.errors == (), (record.errors, record.report)
    assert record.steps > 0
    assert not record.interrupted
    assert not record.hung
    assert record.wall_s > 0.4


def test_a_run_can_be_stopped_and_is_audited_all_the_same() -> None:
    record = stress(Options(seconds=60, ncpus=2, npages=256), "percpu", stop=lambda: True)
    assert record.interrupted
    assert record.errors == ()
    assert record.uvmexp is not None
    assert record.wall_s < 60


def moved(run: Stress) -> object:
    return any(event.what == "redistribute" for event in run.uvm.events.snapshot())


def test_the_record_has_it_all_and_is_read_back() -> None:
    options = Options(seconds=30, ncpus=2, npages=256, faults=("storm",))
    record = new_record(options, ("percpu",))
    record.stress.append(run_until("percpu", options.faults, 0.2, moved, ncpus=2, npages=256))
    made = json.loads(json.dumps(record.document()))
    assert (made["schema"], made["kind"], made["interrupted"]) == ("uvmfree.record", "stress", False)
    assert (made["seed"], made["seconds"], made["faults"]) == (1, 30, ["storm"])
    assert made["param"]["ncpus"] == 2
    assert made["host"]["python"]
    (one,) = made["stress"]
    assert one["figures"]["operations"] == record.stress[0].steps == sum(one["operations"].values())
    assert one["figures"]["errors"] == 0
    assert one["faults"]["storm"]["injected"] >= 1
    assert one["seen"]["gap_pages_max"] >= 0
    assert one["uvmexp"]["npages"] == 256
    assert one["command"].startswith("uvmfree stress --design percpu --seed 7 --seconds 30 --cpus 2")
    assert len(one["samples"]["t_ns"]) >= 1
    assert {event["cause"] for event in one["events"]} & {"explicit", "pressure", "timer"}
    again = of_document(made, "made")
    assert again.stress[0] == replace(record.stress[0], report=tuple(record.stress[0].report))


def test_names_of_faults() -> None:
    assert parse_faults("all") == tuple(FAULTS)
    assert parse_faults("none") == ()
    assert parse_faults("storm, stall") == ("stall", "storm")
    for wrong, said in (
        ("strom", "'strom' is no fault"),
        ("all,storm", "'all' stands alone"),
        ("storm,stall,storm", "--faults storm,stall,storm: storm is given twice"),
        ("all,all", "'all' stands alone"),
        ("", "'' is no fault"),
    ):
        with pytest.raises(ArgumentError, match=said):
            parse_faults(wrong)
