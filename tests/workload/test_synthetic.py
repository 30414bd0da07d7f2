"""The synthetic workloads do exactly the operations that they are asked for."""

from collections import deque
from functools import partial
from typing import Any

import pytest

import uvmfree
from uvmfree.machine.threads import PolledEvent
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import StoppedError, drive
from uvmfree.workload.plural import plural
from uvmfree.workload.synthetic import BURST_PAGES, PARCEL_PAGES, PARCELS_MAX, handoff, pingpong


@pytest.mark.parametrize("pages", [1, BURST_PAGES - 1, BURST_PAGES, BURST_PAGES + 1, 100])
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_pingpong_allocates_and_frees_on_every_cpu(design: str, pages: int) -> None:
    with uvmfree.boot(npages=4096, ncpus=3, pagesize=512, design=design, redistribute_interval_s=3600) as uvm:
        run = drive(uvm, pingpong(3, pages))
        assert [(stats.allocs, stats.frees) for stats in uvm.cpu_stats()] == [(pages, pages)] * 3
        assert run.failed == (0, 0, 0)
        uvm.redistribute()
        assert uvm.uvmexp.free == 4096
        uvm.audit()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("pages", [1, PARCEL_PAGES, PARCEL_PAGES * PARCELS_MAX + 1, 1000])
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_handoff_allocates_on_one_cpu_and_frees_on_the_next(design: str, pages: int) -> None:
    with uvmfree.boot(npages=4096, ncpus=4, pagesize=512, design=design, redistribute_interval_s=3600) as uvm:
        run = drive(uvm, handoff(4, pages, uvm.machine.event))
        assert [(stats.allocs, stats.frees) for stats in uvm.cpu_stats()] == [(pages, 0), (0, pages)] * 2
        assert run.failed == (0, 0, 0, 0)
        uvm.audit()


def test_handoff_goes_on_when_its_pages_come_back_from_the_other_cache() -> None:
    """All memory ends up in the wrong cache; the xc thread hands it back, and the waiting CPU gets it (P9)."""
    with uvmfree.boot(npages=64, ncpus=2, design="percpu", redistribute_interval_s=0.001) as uvm:
        run = drive(uvm, handoff(2, 500, uvm.machine.event))
        assert [(stats.allocs, stats.frees) for stats in uvm.cpu_stats()] == [(500, 0), (0, 500)]
        assert run.failed[0] >= 1
        assert run.stall_ns[0] > 0
        uvm.audit()


def test_pingpong_counts_what_it_did_not_get_and_frees_what_it_did() -> None:
    with uvmfree.boot(npages=17, ncpus=3, redistribute_interval_s=3600) as uvm:
        uvm.cpus[0].pagealloc()  # 16 are left, 15 of them the reserve
        run = drive(uvm, pingpong(1, 32))
        assert run.failed == (2 * BURST_PAGES - 2,)
        assert (uvm.cpu_stats()[0].allocs, uvm.cpu_stats()[0].frees) == (3, 2)
        uvm.audit()


@pytest.mark.parametrize("make", [pingpong, partial(handoff, make_event=PolledEvent)], ids=["pingpong", "handoff"])
@pytest.mark.parametrize("pages", [0, -1])
def test_a_number_of_pages_below_one_is_refused(make: Any, pages: int) -> None:
    with pytest.raises(uvmfree.ArgumentError, match=f"pages={pages}: must be at least 1"):
        make(2, pages)


@pytest.mark.parametrize("ncpus", [-2, 0, 1, 3])
def test_cpus_that_do_not_pair_up_are_refused(ncpus: int) -> None:
    with pytest.raises(uvmfree.ArgumentError, match=f"{plural(ncpus, 'CPU')} cannot pair up"):
        handoff(ncpus, 10, PolledEvent)


class Stopped:
    """The lane of a run that was stopped already."""

    index = failed = stall_ns = 0
    stopped = True

    def wait_until(self, ready: Any, event: Any = None) -> None:
        if not ready():
            raise StoppedError("the run was stopped")

    try_until = wait_until


class Counting:
    """A CPU that counts, and always has a page unless it is to have none."""

    def __init__(self, *, empty: bool = False) -> None:
        self.empty = empty
        self.allocs = 0
        self.freed: deque[VmPage] = deque()

    def pagealloc(self) -> VmPage | None:
        self.allocs += 1
        return None if self.empty else VmPage(self.allocs, 0, 0, "test")

    def pagefree(self, pg: VmPage) -> None:
        self.freed.append(pg)


def test_a_stopped_run_ends_soon_even_if_nobody_ever_has_to_wait() -> None:
    cpu, lane = Counting(), Stopped()
    (body,) = pingpong(1, 10**6)
    giver, taker = handoff(2, 3 * PARCEL_PAGES, PolledEvent)
    for stopped in (body, giver):
        with pytest.raises(StoppedError):
            stopped(cpu, lane)  # type: ignore[arg-type]
    assert cpu.allocs <= BURST_PAGES + PARCEL_PAGES
    lane.stopped = False
    giver(cpu, lane)  # type: ignore[arg-type]
    lane.stopped = True
    cpu.freed.clear()
    with pytest.raises(StoppedError):
        taker(cpu, lane)  # type: ignore[arg-type]
    assert not cpu.freed


def test_a_stopped_run_keeps_the_count_of_what_it_did_not_get() -> None:
    lane: Any = Stopped()
    cpu: Any = Counting(empty=True)
    (body,) = pingpong(1, 10**6)
    with pytest.raises(StoppedError):
        body(cpu, lane)
    assert lane.failed == cpu.allocs > 0


def test_a_giver_waits_with_as_many_parcels_under_way_as_may_be() -> None:
    """It has the next one in hand by then."""
    cpu, lane = Counting(), Stopped()
    lane.stopped = False
    giver, _ = handoff(2, 2 * PARCELS_MAX * PARCEL_PAGES, PolledEvent)
    with pytest.raises(StoppedError):
        giver(cpu, lane)  # type: ignore[arg-type]
    assert cpu.allocs == (PARCELS_MAX + 1) * PARCEL_PAGES
