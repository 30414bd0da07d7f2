"""Loads on more memory than there is: they end, in time, with every stamp checked and no page lost."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import one_pass
from tests.threads.programs import quiet
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.workload.driver import drive
from uvmfree.workload.load import Load
from uvmfree.workload.pressure import BURST_PAGES, RUN_PAGES, forkexit, pressure

PAGESIZE = 512
RUNS_MAX = 20
"""Runs of half a second until a page has come back from swap: one, unless the host is busy with other things."""


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.parametrize("ncpus", [1, 4])
@pytest.mark.sampled(3)
def test_r17_to_r22_pressure_is_sustained(design: str, ncpus: int) -> None:
    """Pages go to swap and come back with their stamps; nobody is out of pages, neither on the way nor at the end."""
    uvm = uvmfree.boot(npages=1024, ncpus=ncpus, pagesize=PAGESIZE, design=design, ncolors=2)
    load = pressure(uvm, 0.5)
    with uvm:
        assert load.anons is not None
        for _ in range(RUNS_MAX):
            assert not drive(uvm, load.bodies).interrupted
            stats = load.anons.stats()
            if min(stats.faults, stats.pgswapout, stats.pgswapin) > 0:
                break
        assert min(stats.faults, stats.pgswapout, stats.pgswapin) > 0
        assert load.counts()["out_of_pages"] == 0
        assert load.settle() == 0
        load.release()
        quiet(uvm)  # the daemon may have a clean page in hand, parted from its anon and not freed yet
        uvm.redistribute()
        assert uvm.uvmexp.free == uvm.param.npages
        uvm.audit()


def test_pressure_stops_when_it_is_told_to() -> None:
    uvm = uvmfree.boot(npages=1024, ncpus=2, pagesize=PAGESIZE)
    load = pressure(uvm, 3600.0)
    with uvm:
        assert drive(uvm, load.bodies, stop=lambda: True).interrupted
        load.settle()
        load.release()
        uvm.audit()


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9, float("nan")])
def test_pressure_refuses_a_length_that_makes_no_sense(seconds: float) -> None:
    uvm = uvmfree.boot(npages=1024, ncpus=2, pagesize=PAGESIZE)
    with pytest.raises(uvmfree.ArgumentError, match="seconds"):
        pressure(uvm, seconds)
    uvm.close()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_forkexit_allocates_everywhere_and_frees_on_cpu_0(design: str) -> None:
    """All pages of a round end up with CPU 0, in its cache where the design has one (Q2)."""
    rounds, ncpus = 5, 3
    npages = 2 * ncpus * BURST_PAGES * rounds
    with uvmfree.boot(
        npages=npages, ncpus=ncpus, pagesize=PAGESIZE, design=design, redistribute_interval_s=3600
    ) as uvm:
        load = forkexit(uvm, rounds)
        assert drive(uvm, load.bodies).failed == (0,) * ncpus
        stats = uvm.cpu_stats()
        assert [cpu.allocs for cpu in stats] == [rounds * BURST_PAGES] * ncpus
        assert [cpu.frees for cpu in stats] == [rounds * ncpus * BURST_PAGES, 0, 0]
        if design == "percpu":
            assert uvm.cached_pages() == (((ncpus - 1) * rounds + 1) * BURST_PAGES, 0, 0)
        load.settle()
        load.release()
        uvm.audit()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_r18_who_finds_no_page_waits_for_one(design: str) -> None:
    """Less RAM than the rounds pass through: with percpu all ends up with CPU 0, and the daemon fetches it (P10)."""
    ncpus = 2
    with uvmfree.boot(npages=4 * BURST_PAGES, ncpus=ncpus, pagesize=PAGESIZE, design=design) as uvm:
        load = forkexit(uvm, 20)
        drive(uvm, load.bodies)
        assert sum(cpu.allocs for cpu in uvm.cpu_stats()) == 20 * ncpus * BURST_PAGES
        if design == "percpu":
            assert uvm.redistributions()["pressure"] > 0
        uvm.audit()


def test_a_system_that_can_give_no_page_at_the_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """settle() is what calls a run a false out-of-memory: make every wait vain, and hold all pages."""
    uvm = uvmfree.boot(
        npages=64, ncpus=2, pagesize=PAGESIZE, redistribute_interval_s=3600, redistribute_min_gap_s=3600
    )
    anons = uvm.anon_memory(8, 8)
    monkeypatch.setattr(Pageout, "wait", lambda self, timeout_s=None: True)
    monkeypatch.setattr("uvmfree.workload.load.PROBE_S", 0.05)
    with uvm:
        held = []
        while (pg := uvm.cpus[0].pagealloc(use_reserve=True)) is not None:
            held.append(pg)
        load = Load(uvm, [], anons)
        assert load.settle() == 2
        one_pass(uvm)  # the daemon was told that memory is short, and drained; so nobody does it again
        for pg in held:
            uvm.cpus[0].pagefree(pg)
        assert load.settle() == 1  # all are in the cache of CPU 0: what Q5 calls false
        uvm.redistribute()
        assert load.settle() == 0


def test_forkexit_needs_a_round() -> None:
    uvm = uvmfree.boot(npages=1024, ncpus=2, pagesize=PAGESIZE)
    with pytest.raises(uvmfree.ArgumentError, match="rounds=0"):
        forkexit(uvm, 0)
    uvm.close()


class Touched:
    """An anon map that only notes who writes."""

    npages = 64

    def __init__(self) -> None:
        self.writes: dict[int, set[bool]] = {}

    def touch(self, cpu: int, index: int, *, write: bool) -> None:
        self.writes.setdefault(cpu, set()).add(write)


def test_every_second_cpu_only_reads_and_asks_for_a_run_in_so_many_rounds() -> None:
    """Of 2 x 8 rounds of 32 accesses the 8th and the 16th ask for one; each runs until its time is up.

    Of the six that are asked for the third and the sixth are not to be had.
    """
    anons, clock = Touched(), itertools.count()
    asked: list[int] = []

    def pglistalloc(npages: int, alignment: int) -> list[VmPage]:
        asked.append(npages)
        if len(asked) % 3 == 0:
            raise uvmfree.OutOfPages("no run")
        return []

    machine = SimpleNamespace(clock_ns=lambda: next(clock) * 10_000_000, disk=lambda call: call)
    uvm: Any = SimpleNamespace(
        param=SimpleNamespace(npages=64, ncpus=3),
        machine=machine,
        anon_memory=lambda npages, nslots, **_: anons,
        pglistalloc=pglistalloc,
        pglistfree=lambda pages: None,
    )
    load = pressure(uvm, 0.17)
    for index, body in enumerate(load.bodies):
        body(index, SimpleNamespace(index=index, stopped=False))  # type: ignore[arg-type]
    assert anons.writes == {0: {True}, 1: {False}, 2: {True}}
    assert asked == [RUN_PAGES] * 6
    counts = load.counts()
    assert {name: counts[name] for name in ("runs_asked", "runs_met", "runs_failed", "runs_pages")} == {
        "runs_asked": 6,
        "runs_met": 4,
        "runs_failed": 2,
        "runs_pages": 4 * RUN_PAGES,
    }
