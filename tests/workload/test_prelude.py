"""What a copy did before it begins: played at once, so that its caches and its CPUs' lines are what they would be."""

from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.workload.recorder import trace_of
from uvmfree.uvm.page import Place
from uvmfree.workload.copies import copies, played_before
from uvmfree.workload.prelude import as_itself, play_before
from uvmfree.workload.replay_plan import DO_ALLOC, DO_FREE, Plan, plan

KEEP = 3600
"""Seconds between two hand-backs: none in a test."""


@pytest.fixture
def passing(tmp_path: Path) -> Plan:
    """Return a plan in which CPU 0 allocates and CPU 1 frees 96 pages, again and again."""
    events = [(kind, pfn, cpu, {}) for pfn in range(1, 97) for kind, cpu in (("alloc", 0), ("free", 1))]
    return plan(trace_of(tmp_path, events), window=8, loop=True)


def test_caches_are_what_the_epochs_before_have_made_of_them(passing: Plan) -> None:
    """A page that was allocated on CPU 0 and freed on CPU 1 is in CPU 1's cache: as many as were played."""
    with uvmfree.boot(npages=1024, ncpus=2, design="percpu", redistribute_interval_s=KEEP) as uvm:
        load = copies(uvm, passing, 1, seed=1, before=40)
        assert len(load.bodies) == 2
        assert uvm.cached_pages() == (0, 40)
        assert [(cpu.allocs, cpu.frees) for cpu in uvm.cpu_stats()] == [(40, 0), (0, 40)]
        uvm.audit()


@pytest.mark.parametrize("before", [0, 1 << 20])
def test_nothing_is_played_if_that_is_wanted_and_no_more_than_there_is(before: int, passing: Plan) -> None:
    with uvmfree.boot(npages=1024, ncpus=2, design="percpu", redistribute_interval_s=KEEP) as uvm:
        copies(uvm, passing, 1, seed=1, before=before)
        played = sum(cpu.allocs + cpu.frees for cpu in uvm.cpu_stats())
        assert played == 0 if not before else 150 < played < 192


def test_in_virtual_time_a_page_is_in_the_cache_of_the_cpu_that_freed_it(passing: Plan) -> None:
    """And no strand has been held up: the clock that CPUs begin with is the machine's."""
    machine = uvmfree.VirtualMachine(ncpus=4)
    with closing(uvmfree.boot(machine, npages=1024, ncpus=4, design="percpu", redistribute_interval_s=KEEP)) as uvm:
        copies(uvm, passing, 2, seed=1, acts_as=machine.acts_as, before=40)
        lines = Counter((pg.owner, pg.line) for pg in uvm.physmem if pg.place is Place.CACHED)  # type: ignore[attr-defined]
        assert lines == {(1, 1): 40, (3, 3): 40}
        assert machine.scheduler.cpu == -1


def test_where_pages_run_short_caches_are_handed_back(passing: Plan) -> None:
    """CPU 1 would have every page: the pagedaemon is not there yet, so the one who plays asks for them."""
    uvm = uvmfree.boot(npages=64, ncpus=2, pagesize=1 << 14, design="percpu", redistribute_interval_s=KEEP)
    copies(uvm, passing, 1, seed=1, before=1 << 20)
    assert uvm.redistributions()["explicit"] > 0
    assert next(cpu.allocs for cpu in uvm.cpu_stats()) > 64
    uvm.audit()
    uvm.close()


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_page_of_a_cpu_s_own_is_asked_for_again_and_its_free_left_out_if_there_is_none(comes_back: bool) -> None:
    did: list[object] = []
    pages = iter([None, "page" if comes_back else None])

    def pagealloc() -> object:
        did.append("alloc")
        return next(pages)

    cpu = SimpleNamespace(pagealloc=pagealloc, pagefree=did.append)
    system: Any = SimpleNamespace(cpus=[cpu], redistribute=lambda: did.append("drain"))
    program = SimpleNamespace(epochs=[2], steps=[DO_ALLOC, DO_FREE], pages=[0, 0])
    copy: Any = SimpleNamespace(plan=SimpleNamespace(programs=[program]), mailbox=[], own=[[None]])
    play_before(system, copy, 0, [0], as_itself)
    assert did == ["alloc", "drain", "alloc", *(["page"] if comes_back else [])]


@pytest.mark.parametrize(
    ("bound", "operations"), [(None, 20_000), (0, 4_000), (250, 4_000), (512, 8_192), (1 << 20, 20_000)]
)
def test_a_cache_with_a_bound_is_turned_over_sixteen_times_and_one_without_is_filled(
    bound: int | None, operations: int
) -> None:
    assert played_before(bound) == operations


def test_how_much_is_played_goes_by_the_bound_of_the_design(passing: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 operations where nothing bounds a cache; 16 times 1 page where one does."""
    monkeypatch.setattr("uvmfree.workload.copies.PLAYED_BEFORE", 40)
    monkeypatch.setattr("uvmfree.workload.copies.PLAYED_LEAST", 8)
    cached = {}
    for bound in (None, 1):
        with uvmfree.boot(
            npages=1024, ncpus=2, design="percpu", redistribute_interval_s=KEEP, hoard_max=bound
        ) as uvm:
            copies(uvm, passing, 1, seed=1)
            cached[bound] = sum(cpu.allocs for cpu in uvm.cpu_stats())
    assert cached == {None: 40, 1: 16}
