"""One who reads the counters without a lock, all the while: never out of range, and never further off than said.

=> The bound is that of docs/locking.md: at any moment each CPU has at most one change in hand, of `refill` pages for
   an allocation that missed, or of all that it had cached for a redistribution.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import begin, finish
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import PAIR
from uvmfree.workload.driver import Body, Lane, drive

NPAGES = 512  # far above freemin: nothing but the test hands caches back
ROUNDS = 150
BURST = 20


@dataclass
class Seen:
    """What an observer saw."""

    free: set[int] = field(default_factory=set)
    zeropages: set[int] = field(default_factory=set)
    lags: set[int] = field(default_factory=set)
    snapshots_bad: list[object] = field(default_factory=list)


def observe(uvm: uvmfree.Uvm, seen: Seen, first: threading.Event, stop: threading.Event) -> None:
    while not stop.is_set():
        for _ in range(20):
            seen.free.add(uvm.uvmexp.free)
            seen.zeropages.add(uvm.uvmexp.zeropages)
        seen.lags.add(uvm.counter_lag())
        if not all(0 <= cached <= NPAGES for cached in uvm.cached_pages()):
            seen.snapshots_bad.append(uvm.cached_pages())
        first.set()


def burst(uvm: uvmfree.Uvm, redistributing: bool) -> Body:
    """Allocate and free bursts, each handed back if `redistributing`; else others do that when memory is short."""

    def body(cpu: Cpu, lane: Lane) -> None:
        for _ in range(ROUNDS):
            held = [pg for pg in (cpu.pagealloc() for _ in range(BURST)) if pg is not None]
            for pg in held:
                cpu.pagefree(pg)
            if redistributing:
                uvm.redistribute(lane.index)

    return body


@pytest.mark.sampled(6)
@pytest.mark.parametrize("redistributing", [False, True], ids=["", "redistributing"])
@pytest.mark.parametrize(("ncpus", "refill"), [(2, 1), (2, 8), (4, 4)])
@pytest.mark.parametrize("design", PAIR)
def test_an_unlocked_reader_is_never_further_off_than_said(
    design: str, ncpus: int, refill: int, redistributing: bool
) -> None:
    """P1: a stale value does no harm, and how stale it may be is bounded; at rest it is exact (R3)."""
    own: dict[str, Any] = {"percpu.refill": refill}
    with uvmfree.boot(npages=NPAGES, ncpus=ncpus, design=design, redistribute_interval_s=3600, **own) as uvm:
        seen, first, stop = Seen(), threading.Event(), threading.Event()
        observer = begin(lambda: observe(uvm, seen, first, stop), "observer")
        assert first.wait(10)
        try:
            drive(uvm, [burst(uvm, redistributing)] * ncpus)
        finally:
            stop.set()
            finish(observer)
        exact = design == "fpageqlock"
        assert 0 <= min(seen.free) <= max(seen.free) <= NPAGES
        assert seen.zeropages == {0}
        assert max(seen.lags) <= (0 if exact else ncpus * refill)
        # A cache has what its CPU freed, at most a burst, and what a miss brought in besides the page.
        assert min(seen.lags) >= (0 if exact else -ncpus * (BURST + refill - 1))
        assert seen.snapshots_bad == []
        assert uvm.counter_lag() == 0
        uvm.redistribute()
        assert uvm.uvmexp.free == NPAGES
        uvm.audit()
