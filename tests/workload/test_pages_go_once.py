"""A page that one CPU of a replay gives to another is freed once, however often the plan begins again."""

from array import array
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.workload.driver import StoppedError
from uvmfree.workload.replay import Copy
from uvmfree.workload.replay_plan import DO_GET, DO_GIVE, Plan, Program


def program(step: int) -> Program:
    return Program(array("B", [step]), array("I", [0]), array("Q", [0]), array("I", [1]), 0)


def stops(ready: Any, event: object = None) -> None:
    if not ready():
        raise StoppedError("it would wait")


def test_who_gets_it_waits_for_the_next_one() -> None:
    freed: list[object] = []
    plan = Plan((program(DO_GIVE), program(DO_GET)), 1, (), 1, 1, 2, 1, 0)
    machine = SimpleNamespace(event=lambda: SimpleNamespace(notify=lambda: None), charge=None, clock_ns=None)
    uvm: Any = SimpleNamespace(machine=machine)
    copy = Copy(plan, uvm, loops=True)
    cpu: Any = SimpleNamespace(pagealloc=None, pagefree=freed.append)
    lane: Any = SimpleNamespace(stopped=False, wait_until=stops)
    page: Any = object()
    copy.mailbox[0] = page
    copy.finished[0] = 3  # the giver is ahead
    with pytest.raises(StoppedError):
        copy.bodies()[1](cpu, lane)
    assert freed == [page]
    assert copy.finished[1] == 1
