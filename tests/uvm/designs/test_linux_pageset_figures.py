"""A page set by figures: what a miss takes and a full set spills, where one thing is just as large as another."""

from collections.abc import Iterator
from typing import Any

import pytest

import uvmfree
from uvmfree.param import Param
from uvmfree.uvm.designs.linux_pageset import LinuxTunables, Sizes
from uvmfree.uvm.designs.linux_zone import BELOW_HIGH, RECLAIM_ACTIVE

NPAGES = 1 << 16
BATCH, HIGH_MIN, HIGH_MAX = 15, 256, 8192


def made(**how: Any) -> Any:
    return uvmfree.boot(npages=NPAGES, ncpus=1, design="linux_pcp", pagesize=4096, **how)


@pytest.fixture(scope="module")
def booted() -> Iterator[Any]:
    with made() as system:
        yield system


@pytest.fixture
def uvm(booted: Any) -> Any:
    """A system whose page set is as at boot."""
    design = booted.design
    booted.cpus[0].begin(design.sizes, design.tunables, design.store)
    for flag in (BELOW_HIGH, RECLAIM_ACTIVE):
        design.store.flag(flag, False)
    return booted


@pytest.mark.parametrize(
    ("npages", "batch"), [(4096, 1), (2 * 4096, 1), (3 * 4096, 3), (5 * 4096, 3), (6 * 4096, 7), (NPAGES, 15)]
)
def test_a_batch_is_one_less_than_a_power_of_two_the_nearest_one(npages: int, batch: int) -> None:
    assert Sizes.of(Param(npages=npages, ncpus=1), LinuxTunables()).batch == batch


def test_an_allocation_halves_how_many_frees_came_in_a_row(uvm: Any) -> None:
    """So a set whose CPU allocates in between spills less."""
    cpu = uvm.cpus[0]
    cpu.pagefree(cpu.pagealloc())
    cpu.free_count = 8
    pg = cpu.pagealloc()
    assert cpu.free_count == 4
    cpu.pagefree(pg)


def test_the_sizes_here(uvm: Any) -> None:
    assert uvm.design.sizes == Sizes(BATCH, HIGH_MIN, HIGH_MAX, BATCH)


@pytest.mark.parametrize(("pages", "took", "doublings"), [(240, 60, 3), (241, 60, 3), (242, 59, 2), (900, 15, 2)])
def test_a_miss_doubles_the_next_batch_if_the_set_has_room_for_this_one(
    uvm: Any, pages: int, took: int, doublings: int
) -> None:
    cpu = uvm.cpus[0]
    cpu.alloc_factor, cpu.pages = 2, pages
    assert cpu._to_take() == took
    assert (cpu.high, cpu.alloc_factor) == (HIGH_MIN + 60, doublings)
    cpu.pages = 0


def test_a_set_grows_no_further_than_its_largest_size_and_not_while_memory_is_short(uvm: Any) -> None:
    cpu = uvm.cpus[0]
    cpu.high = HIGH_MAX - 10
    cpu._to_take()
    assert cpu.high == HIGH_MAX
    cpu.high = HIGH_MIN
    uvm.design.store.flag(BELOW_HIGH, True)
    cpu._to_take()
    assert cpu.high == HIGH_MIN


@pytest.mark.parametrize(
    ("flag", "pages", "limit", "high"),
    [
        (0, 999, 1000, 1000),
        (0, 1000, 1000, 1000),
        (BELOW_HIGH, 700, 700, 985),
        (BELOW_HIGH, 10, HIGH_MIN, 985),
        (RECLAIM_ACTIVE, 700, 4 * BATCH, 985),
        (RECLAIM_ACTIVE | BELOW_HIGH, 700, 4 * BATCH, 985),
    ],
)
def test_where_a_set_spills(uvm: Any, flag: int, pages: int, limit: int, high: int) -> None:
    cpu = uvm.cpus[0]
    uvm.design.store.flag(flag, True)
    cpu.high, cpu.pages = 1000, pages
    assert (cpu._limit(), cpu.high) == (limit, high)
    cpu.pages = 0


def test_frees_in_a_row_raise_the_size_of_a_full_set(uvm: Any) -> None:
    cpu = uvm.cpus[0]
    cpu.high = cpu.pages = 300
    cpu.free_count = 400
    assert (cpu._limit(), cpu.high) == (300, 400 + BATCH)
    cpu.pages = 0


@pytest.mark.parametrize(("limit", "spilled", "doublings"), [(76, 60, 3), (75, 60, 2), (74, 59, 2), (20, 15, 2)])
def test_before_sets_tuned_themselves_a_spill_doubled_the_next_if_there_was_more(
    limit: int, spilled: int, doublings: int
) -> None:
    with made(own=(("linux_pcp.autotune", False),)) as uvm:
        cpu = uvm.cpus[0]
        cpu.free_count, cpu.pages = 2, 500
        assert (cpu._to_free(limit), cpu.free_count) == (spilled, doublings)
        cpu.pages = 0
