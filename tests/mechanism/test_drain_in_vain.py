"""A drain whose cross-call did not run everywhere: what came wakes who waits; a closed system has drained nothing."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.uvm.machines import ClockMachine
from uvmfree.errors import ClosedError, XcallTimeout
from uvmfree.uvm.drainer import XCALL_TIMEOUT_S, Drainer
from uvmfree.workload.load import WAIT_S


def drainer(ends: BaseException | None, told: list[object]) -> tuple[Drainer, ClockMachine]:
    """A drainer whose cross-calls run nowhere, and end so."""
    machine = ClockMachine()

    def wait(ticket: object, timeout_s: float) -> None:
        told.append(timeout_s)
        if ends is not None:
            raise ends

    state: Any = SimpleNamespace(
        machine=machine,
        param=SimpleNamespace(redistribute_min_gap_s=1.0, remote_drain=False, ncpus=2),
        pageout=SimpleNamespace(wake_waiters=lambda: told.append("woken")),
    )
    xcall: Any = SimpleNamespace(broadcast=lambda function: "ticket", wait=wait)
    design: Any = SimpleNamespace(CAUSES=("pressure",))
    return Drainer(state, design, xcall), machine


@pytest.mark.parametrize(
    ("ends", "drained"), [(None, True), (XcallTimeout("late"), True), (ClosedError("closed"), False)], ids=str
)
def test_who_waits_is_woken_unless_the_system_is_closed(ends: BaseException | None, drained: bool) -> None:
    told: list[object] = []
    made, machine = drainer(ends, told)
    assert made.drain("pressure") is drained
    assert told == [XCALL_TIMEOUT_S, "woken"][: 1 + drained]
    machine.now_s += 0.5
    assert made.drain("pressure") is False
    assert (made.rate_limited, len(told)) == (1, 1 + drained)
    machine.now_s += 0.5
    assert made.drain("pressure") is drained


def test_a_cause_that_the_design_does_not_know_holds_off_no_other() -> None:
    told: list[object] = []
    made, _ = drainer(None, told)
    assert not made.drain("retry")
    assert made.drain("pressure")
    assert made.rate_limited == 0


def test_xc_threads_are_waited_for_no_longer_than_a_sleep_beside_free_pages_may_be() -> None:
    assert XCALL_TIMEOUT_S == WAIT_S == 0.25
