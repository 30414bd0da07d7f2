"""Where the time of copies goes: into recorded gaps, into waiting for each other, and there is no more of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import uvmfree
from tests.measure.curves import curve, point
from tests.workload.recorder import trace_of
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.workload.copies import copies
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import plan

GAP_US, LOOK_NS = 1_000, 150_000
"""A gap that lasts longer than the time between two looks."""


def test_a_gap_counts_as_it_passes_and_so_does_a_wait(tmp_path: Path) -> None:
    """CPU 0 allocates after a long gap what CPU 1 frees: one is outside and the other waits, at any time."""
    steps = [("alloc", 0), ("alloc", 0), ("free", 1), ("free", 1)]
    events = [
        (kind, 8 * turn + number % 2, cpu, {"us": GAP_US * (turn + 1) + number})
        for turn in range(8)
        for number, (kind, cpu) in enumerate(steps)
    ]
    looped = plan(trace_of(tmp_path, events), window=4, loop=True)
    machine = VirtualMachine(ncpus=2, seed=1)
    seen: list[tuple[int, int, int]] = []
    with uvmfree.boot(machine, npages=4096, ncpus=2, design="fpageqlock") as uvm:
        load = copies(uvm, looped, 1, 1)
        outside_ns, stall_ns = load.outside_ns, load.stall_ns
        assert outside_ns is not None
        assert stall_ns is not None

        def look() -> None:
            for _ in range(40):
                machine.sleep(LOOK_NS / 1e9)
                seen.append((machine.clock_ns(), outside_ns(), stall_ns()))

        machine.spawn("look", look)
        drive(uvm, load.bodies, seconds=50 * LOOK_NS / 1e9)
    parts = [[now - before for now, before in zip(after, first, strict=True)] for first, after in pairwise(seen)]
    assert all(0.95 <= (outside + stall) / (2 * passed) <= 1 for passed, outside, stall in parts)
    assert max(stall / passed for passed, _, stall in parts) > 0.5


def test_who_waits_as_the_load_has_it_is_linear_and_who_waits_longer_is_not() -> None:
    made = curve(
        *(
            point(design, 2, 9, outside_ns=outside, stall_ns=stall)
            for design, outside, stall in (
                ("a", 1_600_000, 400_000),
                ("b", 1_560_000, 420_000),
                ("c", 1_200_000, 800_000),
            )
        )
    )
    assert [made.share_of_linear(design, 2) for design in "abc"] == pytest.approx([1, 0.975, 0.75])
    assert made.median("b", 2) == pytest.approx(1.56)
