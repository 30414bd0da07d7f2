"""What the options of a virtual machine come to: 0 is a value, what is not given has a default, threads take none."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli.machine import machine_of
from uvmfree.cli.virtual import VirtualOptions, strands
from uvmfree.errors import ArgumentError
from uvmfree.stress.on_machine import THREADS, Virtual

VIRTUAL = VirtualOptions("virtual", None, (), None, None, None, None, None)
THREAD = replace(VIRTUAL, kind="threads")


def facts(workload: str, **given: Any) -> tuple[Any, int | None]:
    return replace(VIRTUAL, **given).machine(workload)


def test_what_is_not_given_has_its_default() -> None:
    machine, seed = facts("trace")
    assert (machine.costs, machine.changed, machine.lock, seed) == ("xeon-2s", {}, "ttas", 1)
    assert (machine.think_ns, machine.copies, machine.warm_up) == (None, 1, 0)


def test_zero_is_a_value_like_any_other() -> None:
    assert facts("trace", seed=0)[1] == 0
    assert facts("pingpong", think_ns=0)[0].think_ns == 0
    assert facts("trace", copies=3, warm_up=0)[0].warm_up == 0


def test_copies_are_played_once_before_they_count_unless_it_is_said() -> None:
    assert [facts("trace", copies=copies)[0].warm_up for copies in (1, 3)] == [1, 1]
    assert facts("trace", copies=3, warm_up=2)[0].warm_up == 2
    assert facts("trace", copies=3)[0].copies == 3


def test_the_work_outside_is_a_page_fault_of_the_costs_asked_for() -> None:
    assert facts("handoff", changes=("page_fault=123",))[0].think_ns == 123
    assert facts("pressure", changes=("page_fault=123",))[0].think_ns is None
    assert facts("handoff", changes=("page_fault=123",))[0].changed == {"page_fault": 123}


@pytest.mark.parametrize(
    ("given", "workload", "memory", "said"),
    [
        ({"think_ns": 0}, "trace", False, "with --workload trace: a trace has gaps of its own"),
        ({"think_ns": 0}, "pressure", False, "with --workload pressure: its CPUs work all the time"),
        ({"copies": 1}, "trace", True, "--copies goes with a trace, not with --memory"),
        ({"warm_up": 0}, "trace", True, "--warm-up goes with a trace, not with --memory"),
        ({"warm_up": 0}, "pingpong", False, "--warm-up goes with a trace, not with --workload pingpong"),
        ({"lock": "none"}, "trace", False, "--lock none: must be one of ttas, "),
    ],
)
def test_what_does_not_go_together_is_refused(given: Any, workload: str, memory: bool, said: str) -> None:
    with pytest.raises(ArgumentError) as error:
        replace(VIRTUAL, **given).machine(workload, memory=memory)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"costs": "xeon-2s"}, "costs"),
        ({"changes": ("cas=1",)}, "cost"),
        ({"lock": "ttas"}, "lock"),
        ({"think_ns": 0}, "think"),
        ({"copies": 1}, "copies"),
        ({"warm_up": 0}, "warm-up"),
        ({"seed": 0}, "seed"),
    ],
)
def test_threads_take_none_of_them(given: Any, option: str) -> None:
    with pytest.raises(ArgumentError) as error:
        replace(THREAD, **given).machine("trace")
    assert str(error.value) == f"--{option} goes with --machine virtual; threads have the host's time"


def test_threads_have_no_seed() -> None:
    machine, seed = THREAD.machine("trace")
    assert (machine.virtual, seed) == (False, None)


def test_a_stress_run_keeps_what_was_asked_for() -> None:
    made = machine_of("virtual", None, ("page_fault=123",), "mcs", 12.5)
    assert isinstance(made, Virtual)
    assert (made.named, made.changes, made.lock, made.busy) == ("xeon-2s", ("page_fault=123",), "mcs", 12.5)
    assert made.costs.ns("page_fault") == 123


def test_a_stress_run_is_busy_all_the_time_unless_it_is_said() -> None:
    made = machine_of("virtual", "xeon-2s", (), None, None)
    assert isinstance(made, Virtual)
    assert (made.lock, made.busy) == ("ttas", 100.0)
    with pytest.raises(ArgumentError, match="busy 0"):
        machine_of("virtual", None, (), None, 0.0)


def test_a_stress_run_of_threads_takes_none_of_them() -> None:
    assert machine_of("threads", None, (), None, None) is THREADS
    with pytest.raises(ArgumentError, match=r"^--busy goes with --machine virtual"):
        machine_of("threads", None, (), None, 0.0)


@pytest.mark.parametrize(("kind", "said"), [("greenlet", False), ("baton", True)])
def test_strands_that_are_slow_are_said_to_be(
    kind: str, said: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("uvmfree.machine.virtual.strands.kind_named", lambda name: SimpleNamespace(name=kind))
    assert strands() == kind
    found = capsys.readouterr()
    assert (found.out, found.err.startswith("uvmfree: no greenlet for this interpreter: ")) == ("", said)
    assert found.err.count("\n") == said
