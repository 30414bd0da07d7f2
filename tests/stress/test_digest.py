"""The number for a whole stress run: whatever differs between two runs makes another one; with runs made by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.stress.digest import digest, order


def pages(*numbers: int) -> list[tuple[Any, int]]:
    """Pages in somebody's hands, and their versions."""
    return [(SimpleNamespace(pfn=number), 0) for number in numbers]


def made() -> Any:
    """A run that has ended; each part of it is told from the others."""
    uvm = SimpleNamespace(
        machine=SimpleNamespace(now=7),
        log=["event"],
        free=[1, 2],
        events=SimpleNamespace(dropped=0),
    )
    uvm.machine.clock_ns = lambda: uvm.machine.now
    uvm.events.snapshot = lambda: uvm.log
    uvm.free_frames = lambda: uvm.free
    run = SimpleNamespace(
        uvm=uvm, wall_ns=5, phase="ended", got_on=3, uvmexp="counters", anons=("map",), did={"alloc": 4}, lacked={}
    )
    run.progress, run.operations, run.failed = (lambda: run.got_on), (lambda: run.did), (lambda: run.lacked)
    hands = SimpleNamespace(mine=pages(3), runs=[pages(4, 5)])
    player = SimpleNamespace(hands=hands, steps=["step"])
    player.last = lambda: player.steps
    run.players = [player]
    fault = SimpleNamespace(name="storm", injected=1, survived=1, more={}, events=["at"])
    fault.details = lambda: fault.more
    run.faults = [fault]
    errors: list[tuple[str, Exception]] = []
    run.shared = SimpleNamespace(trays=[pages(6)], loose=pages(7), errors=errors, failures=lambda: errors)
    return run


CHANGES: dict[str, Callable[[Any], object]] = {
    "time": lambda run: setattr(run.uvm.machine, "now", 8),
    "wall time": lambda run: setattr(run, "wall_ns", 6),
    "phase": lambda run: setattr(run, "phase", "running"),
    "progress": lambda run: setattr(run, "got_on", 4),
    "counters": lambda run: setattr(run, "uvmexp", "others"),
    "maps": lambda run: setattr(run, "anons", ()),
    "operations": lambda run: run.did.update(alloc=5),
    "what was lacking": lambda run: run.lacked.update(alloc=1),
    "last steps": lambda run: run.players[0].steps.append("one more"),
    "faults injected": lambda run: setattr(run.faults[0], "injected", 2),
    "faults survived": lambda run: setattr(run.faults[0], "survived", 0),
    "details of a fault": lambda run: run.faults[0].more.update(inside=1),
    "events of a fault": lambda run: run.faults[0].events.append("later"),
    "events": lambda run: run.uvm.log.append("another"),
    "events dropped": lambda run: setattr(run.uvm.events, "dropped", 1),
    "who failed": lambda run: run.shared.errors.append(("cpu 0", ValueError("it broke"))),
}


def test_equal_runs_have_equal_numbers_of_sixteen_digits() -> None:
    found = digest(made(), "order")
    assert found == digest(made(), "order")
    assert len(found) == 16
    assert found != digest(made(), "another order")


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_differs_makes_another_number(what: str) -> None:
    other = made()
    CHANGES[what](other)
    assert digest(other, "order") != digest(made(), "order")


def test_what_failed_counts_by_who_and_what() -> None:
    errors = [("cpu 0", "it broke"), ("cpu 1", "it broke"), ("cpu 0", "it broke again")]
    found = []
    for who, what in errors:
        run = made()
        run.shared.errors.append((who, ValueError(what)))
        found.append(digest(run, "order"))
    assert len(set(found)) == 3


ORDERS: dict[str, Callable[[Any], object]] = {
    "free": lambda run: run.uvm.free.reverse(),
    "in hand": lambda run: run.players[0].hands.mine.extend(pages(8)),
    "runs in hand": lambda run: run.players[0].hands.runs[0].reverse(),
    "on their way": lambda run: run.shared.trays[0].extend(pages(8)),
    "left to the pagedaemon": lambda run: run.shared.loose.extend(pages(8)),
}


@pytest.mark.parametrize("where", ORDERS)
def test_the_order_is_that_of_all_pages(where: str) -> None:
    other = made()
    ORDERS[where](other)
    assert order(other) != order(made())


def test_pages_are_told_by_their_numbers_and_not_by_their_versions() -> None:
    other = made()
    other.shared.loose[:] = [(page, 9) for page, _ in other.shared.loose]
    assert order(other) == order(made())
