"""The runs in which supposed causes are varied: the loads and the design that they need."""

from __future__ import annotations

import pytest

import uvmfree
from bench.grid.processes import processes

PAGES = 8192


def spilled(design: str) -> tuple[int, int]:
    """Free a burst on one CPU; return how many pages went back, and how many the set has then."""
    with uvmfree.boot(npages=65_536, ncpus=2, design=design, redistribute_interval_s=3600) as uvm:
        with uvm.run_on(0) as cpu:
            for pg in [cpu.pagealloc() for _ in range(PAGES)]:
                assert pg is not None
                cpu.pagefree(pg)
        return uvm.cpu_stats()[0].drained, uvm.cached_pages()[0]


def test_frees_as_they_were_measured_stop_when_the_set_is_not_full() -> None:
    """The merged loop frees as many as before the change; the posted one a batch, and the set stays nearly full."""
    (merged, merged_left), (posted, posted_left) = (
        spilled(design) for design in ("linux_pcp", "bench.grid.posted:Posted")
    )
    assert posted < merged
    assert posted_left > merged_left


@pytest.mark.rotated(2)
def test_processes_out_of_step_keep_a_lock_as_busy_as_they_have_work_outside() -> None:
    often, seldom = (processes("fpageqlock", 2, think_ns, {}, pages=40, operations=400) for think_ns in (100, 10_000))
    assert 0 < seldom.busy_percent < often.busy_percent < 100
    assert seldom.ns < often.ns
