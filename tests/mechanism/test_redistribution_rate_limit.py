"""The rate limit of redistributions, over any sequence of moments at which somebody asks for one (P10, Q11)."""

from hypothesis import given
from hypothesis import strategies as st

import uvmfree
from tests.conformance.steps import take
from tests.mechanism.rig import SMALL, take_everything
from tests.uvm.machines import ClockMachine

GAP_S = 1.0
STEP_S = 1 / 8
"""Moments are multiples of it, so that sums are exact."""


@given(steps=st.lists(st.integers(0, 12), max_size=40), cause=st.sampled_from(["pressure", "retry"]))
def test_what_is_due_is_done_and_nothing_else(steps: list[int], cause: str) -> None:
    """P10, Q11: at most one in a gap; and whoever asks a gap after the last one that was done gets it."""
    machine = ClockMachine(now_s=100.0)
    options = {"remote_drain": True, "drain_retry": cause == "retry", "redistribute_min_gap_s": GAP_S}
    uvm = uvmfree.boot(machine, **SMALL | options | {"design": "percpu"})
    zero, one = uvm.cpus
    for pg in take_everything(uvm)[:4]:  # so few that the daemon wants more, and CPU 1 may have none
        zero.pagefree(pg)
    ask = {"pressure": uvm.pagedaemon.one_pass, "retry": one.pagealloc}[cause]
    try:
        last_s, refused = 0.0, 0
        for step in steps:
            machine.now_s += step * STEP_S
            zero.pagefree(take(zero, use_reserve=True))
            due, done = machine.now_s - last_s >= GAP_S, uvm.redistributions()[cause]
            assert ask() is None
            assert (uvm.redistributions()[cause] > done) is due
            assert (uvm.cached_pages()[0] == 0) is due
            refused += not due
            last_s = machine.now_s if due else last_s
        assert uvm.redistributions()["rate-limited"] == refused
    finally:
        uvm.close()
