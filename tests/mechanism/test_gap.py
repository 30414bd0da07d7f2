"""The rate limit of redistributions, over any sequence of moments at which somebody asks for one (P10, Q11)."""

from hypothesis import given
from hypothesis import strategies as st

import uvmfree
from tests.mechanism.rig import SMALL
from tests.uvm.machines import ClockMachine

GAP_S = 1.0
STEP_S = 1 / 8
"""Moments are multiples of it, so that sums are exact."""


@given(steps=st.lists(st.integers(0, 12), max_size=40), cause=st.sampled_from(["pressure", "retry"]))
def test_what_is_due_is_done_and_nothing_else(steps: list[int], cause: str) -> None:
    """P10, Q11: at most one in a gap; and whoever asks a gap after the last one that was done gets it."""
    machine = ClockMachine(now_s=100.0)
    uvm = uvmfree.boot(machine, **SMALL | {"design": "percpu", "remote_drain": True, "redistribute_min_gap_s": GAP_S})
    try:
        last_s, refused = 0.0, 0
        for step in steps:
            machine.now_s += step * STEP_S
            uvm.pglistfree(uvm.pglistalloc(1))
            due = machine.now_s - last_s >= GAP_S
            assert uvm._drainer.drain(cause) is due
            assert (uvm.cached_pages()[0] == 0) is due
            refused += not due
            last_s = machine.now_s if due else last_s
        assert uvm.redistributions()["rate-limited"] == refused
    finally:
        uvm.close()
