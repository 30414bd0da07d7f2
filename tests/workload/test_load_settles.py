"""What is looked at after a load has run: pages that do not arrive, CPUs that get no page, waits too long."""

import threading

import pytest

import uvmfree
from tests.mechanism.rig import one_pass
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm
from uvmfree.workload import load
from uvmfree.workload.driver import DriveError, Lane, drive
from uvmfree.workload.load import Load, pagealloc_waiting

NEVER = {"redistribute_interval_s": 3600.0, "redistribute_min_gap_s": 3600.0}


def booted(npages: int = 64, **how: float) -> Uvm:
    return uvmfree.boot(npages=npages, ncpus=2, pagesize=1 << 14, **NEVER | how)


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "STILL_S", 0.02)
    monkeypatch.setattr(load, "WAIT_S", 0.001)
    monkeypatch.setattr(load, "PROBE_S", 0.05)


@pytest.mark.usefixtures("_brief")
def test_pages_that_stay_on_their_way_to_swap_are_a_hang() -> None:
    """R22: nothing may be paging for ever."""
    with booted() as uvm:
        uvm.pageout.start(3)
        with pytest.raises(uvmfree.HangError, match="3 pages have been on their way to swap"):
            Load(uvm, []).settle()
        uvm.pageout.done(3)
        assert Load(uvm, []).settle() == 0


@pytest.mark.usefixtures("_brief")
def test_cpus_that_get_no_page_are_counted_and_those_that_do_give_it_back() -> None:
    """Q5: false out-of-memory, after a bounded number of waits."""
    uvm = booted()
    anons = uvm.anon_memory(8, 8)
    with uvm:
        assert Load(uvm, [], anons).settle() == 0
        uvm.redistribute()
        pages = uvm.pglistalloc(uvm.param.npages, nsegs=uvm.param.npages)
        assert Load(uvm, [], anons).settle() == 2
        one_pass(uvm)  # the daemon was told of waiters, and drained; so nobody does it again
        uvm.cpus[1].pagefree(pages.pop())
        assert Load(uvm, [], anons).settle() == 1
        assert uvm.cached_pages() == (0, 1)
        uvm.pglistfree(pages)
        uvm.audit()


def test_pages_that_may_not_be_drained_yet_are_no_false_out_of_memory() -> None:
    """Q5, P10: all are in the other CPU's cache, just after a drain: until the next waits end at once, in vain."""
    uvm = booted(redistribute_min_gap_s=0.5)
    anons = uvm.anon_memory(8, 8)
    with uvm:
        pages = uvm.pglistalloc(uvm.param.npages, nsegs=uvm.param.npages)
        assert uvm._drainer.drain("pressure")
        for pg in pages:
            uvm.cpus[1].pagefree(pg)
        assert Load(uvm, [], anons).settle() == 0
        uvm.audit()


@pytest.mark.usefixtures("_brief")
def test_a_body_that_waits_too_long_for_a_page_is_a_hang() -> None:
    """R18: and the CPU is named."""
    with booted() as uvm:
        pages = uvm.pglistalloc(uvm.param.npages, nsegs=uvm.param.npages)
        with pytest.raises(DriveError, match=r"CPU 0 has waited .* for a page"):
            drive(uvm, [lambda cpu, lane: void(pagealloc_waiting(uvm, cpu, lane))])
        uvm.pglistfree(pages)


def void(_: object) -> None:
    return None


@pytest.mark.usefixtures("_brief")
def test_a_body_that_waits_for_a_page_stops_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """R18: Ctrl-C ends it, without an error."""
    monkeypatch.setattr(load, "STILL_S", 30.0)
    with booted() as uvm:
        pages = uvm.pglistalloc(uvm.param.npages, nsegs=uvm.param.npages)
        begun = threading.Event()

        def waits(cpu: Cpu, lane: Lane) -> None:
            begun.set()
            pagealloc_waiting(uvm, cpu, lane)

        done = drive(uvm, [waits], begun.is_set)
        assert done.interrupted
        assert done.failed[0] > 0
        uvm.pglistfree(pages)
