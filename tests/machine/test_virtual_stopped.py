"""Strands of one CPU that stop each other: who was stopped goes on in the end, in whatever order the others leave."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.machine.virtual_rig import BIG, OUTER, machine_of, run
from uvmfree.machine.virtual.machine import VirtualMachine


def working(machine: Any, ns: int, times: int, done: list[str], name: str) -> Callable[[], None]:
    """Work for a time, that many times, with a shared step after each."""
    handle = machine.mutex(OUTER).handle(name)

    def body() -> None:
        for _ in range(times):
            machine.charge(ns)
            with handle:
                pass
        done.append(name)

    return body


def woken(machine: Any, at_ns: int, body: Callable[[], None]) -> Callable[[], None]:
    """Sleep until a time, then do it."""

    def late() -> None:
        machine.sleep(at_ns / 1e9)
        body()

    return late


@pytest.mark.parametrize("check", [True, False])
def test_two_that_are_woken_while_a_third_is_at_work(check: bool) -> None:
    """Both take the CPU before the third one's work is over, and neither has run by then."""
    machine = machine_of(VirtualMachine, check=check)
    done: list[str] = []
    player = working(machine, 1000, 3, done, "player")
    first = woken(machine, 100, working(machine, 10, 2, done, "first"))
    second = woken(machine, 200, working(machine, 10, 2, done, "second"))
    run(machine, [(0, player), (0, first), (0, second)])
    assert done[-1] == "player"
    assert set(done) == {"first", "second", "player"}


@pytest.mark.parametrize("check", [True, False])
def test_one_that_was_stopped_spins_while_who_stopped_it_runs(check: bool) -> None:
    """It had stopped a third one itself, which whoever stopped it has to let go on."""
    machine = machine_of(VirtualMachine, "ttas", check=check)
    done: list[str] = []
    big = machine.mutex(BIG)

    def holding() -> None:
        with big.handle("holder"):
            machine.charge(5000)

    def spinning() -> None:
        machine.charge(1000)
        with big.handle("spinner"):
            done.append("spinner")

    above = woken(machine, 1700, working(machine, 100, 200, done, "above"))
    bodies = [(1, holding), (0, working(machine, 100, 200, done, "player"))]
    run(machine, [*bodies, (0, woken(machine, 1100, spinning)), (0, above)])
    assert done == ["spinner", "above", "player"]
