"""LLFree: words and trees, one step at a time and raced; that no allocation fails while a page is free."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import begin_on, free_all, take, take_all
from tests.designs.patterns import PATTERNS, counted
from tests.designs.played import Played
from tests.designs.reference_llfree import Llfree as Reference
from tests.kern.tasks import WAIT_S
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.trees import tree_size

SMALL: dict[str, Any] = {"design": "llfree", "npages": 512, "ncpus": 2, "pagesize": 1 << 12, "tree_pages": 64}
SEEDS = range(6)
CPUS = 4


@contextmanager
def booted(machine: Any = None, **tunables: Any) -> Iterator[uvmfree.Uvm]:
    """Boot a system of small trees, audited at the end."""
    uvm = uvmfree.boot(machine, **SMALL | tunables)
    try:
        yield uvm
        uvm.audit()
    finally:
        uvm.close()


def tallied(uvm: uvmfree.Uvm, name: str) -> int:
    """Add up what the CPUs tallied under a name."""
    return sum(getattr(tally, name) for tally in uvm.design.tallies)


def virtual(seed: int) -> uvmfree.VirtualMachine:
    """Make a machine on which CPUs overtake each other between any two swaps."""
    return uvmfree.VirtualMachine(ncpus=CPUS, seed=seed, quantum_ns=0)


def on_every_cpu(uvm: uvmfree.Uvm, body: Callable[[Cpu, int], None], lwp: Any = "pagedaemon") -> None:
    """Play every CPU at once, by threads or strands that nothing is refused."""

    def play(index: int) -> None:
        with uvm.run_on(index, lwp=lwp) as cpu:
            body(cpu, index)

    tasks = [begin_on(uvm, lambda index=index: play(index), index) for index in range(uvm.param.ncpus)]
    for task in tasks:
        assert task.join(WAIT_S)
        assert task.error is None, task.error


# One call at a time.


@pytest.mark.parametrize("size", [0, 32, 100, 1 << 15, 512.0, True])
def test_a_tree_that_is_no_power_of_two_in_range_is_refused_in_a_line(size: Any) -> None:
    with pytest.raises(
        uvmfree.ParamError, match=r"^tree_pages=.*: must be a power of two from 64 to 16384, or None$"
    ):
        uvmfree.boot(design="llfree", tree_pages=size)
    with pytest.raises(uvmfree.ParamError, match="tree_pages"):
        uvmfree.boot(design="percpu", tree_pages=64)


def test_how_large_a_tree_is_follows_from_memory_and_cpus() -> None:
    shapes = {(1 << 18, 2): 2048, (1 << 16, 1): 1024, (1 << 16, 2): 512, (1 << 16, 32): 512, (4096, 4): 512}
    for (npages, ncpus), size in shapes.items():
        assert tree_size(Param(npages=npages, ncpus=ncpus), None) == size
    with booted(npages=1 << 16, tree_pages=None) as uvm:
        assert uvm.design.trees.size == 512


@pytest.mark.parametrize("pattern", ["walk", "burst 1000", "producer and consumer", "crowd", "exit elsewhere"])
def test_trees_are_reserved_as_often_as_the_reference_does(pattern: str) -> None:
    with Played("llfree") as played:
        counts, reference = counted(played, PATTERNS[pattern]), Reference()
        asked = counted(reference, PATTERNS[pattern])
        assert tallied(played.uvm, "reservations") == reference.reservations
        assert (counts.store, counts.depot, counts.moved) == (0, 0, 0)
        assert counts.atomics == tallied(played.uvm, "swaps") + tallied(played.uvm, "adds")
        assert counts.atomics == pytest.approx(asked.atomics, rel=0.001)
        assert tallied(played.uvm, "retries") == 0


def test_a_hit_swaps_three_words_or_four_and_a_free_three() -> None:
    with booted() as uvm:
        cpu = uvm.cpus[0]
        held = [take(cpu) for _ in range(2)]
        before = tallied(uvm, "swaps")
        held.append(take(cpu))
        assert tallied(uvm, "swaps") - before == 3
        free_all(cpu, held)
        assert tallied(uvm, "swaps") - before == 12


@pytest.mark.parametrize("size", [64, 128, 2048])
def test_every_page_goes_out_once_whatever_the_size_of_trees_and_freelists(size: int) -> None:
    """The last tree of a freelist is a part of one; trees of 2,048 have four children."""
    with booted(npages=3_001, nfreelists=3, tree_pages=size) as uvm, uvm.run_on(0, lwp="pagedaemon") as cpu:
        for _ in range(2):
            pages = take_all(cpu)
            assert {pg.pfn for pg in pages} == set(range(3_001))
            assert [pg.free_list for pg in pages] == sorted(pg.free_list for pg in pages)
            random.Random(1).shuffle(pages)
            free_all(cpu, pages)
            uvm.audit()


def test_what_one_cpu_has_reserved_another_gets_when_there_is_nothing_else() -> None:
    with booted(npages=64) as uvm:
        held = take(uvm.cpus[0])
        assert uvm.cached_pages() == (0, 0)
        with uvm.run_on(1, lwp="pagedaemon") as cpu:
            pages = take_all(cpu)
        assert {pg.pfn for pg in [held, *pages]} == set(range(64))
        assert tallied(uvm, "steals") == 63
        free_all(uvm.cpus[1], pages)  # to the tree of CPU 0
        assert tallied(uvm, "remote") == 63
        again = [take(uvm.cpus[0], use_reserve=True) for _ in range(62)]
        assert tallied(uvm, "syncs") == 1
        free_all(uvm.cpus[0], [held, *again])


def test_the_last_page_of_another_cpus_tree_is_found_too() -> None:
    """One page that was freed to a reserved tree is worth no sync: whoever has nothing else takes it from there."""
    with booted(npages=64) as uvm, uvm.run_on(0, lwp="pagedaemon") as cpu:
        pages = take_all(cpu)
        uvm.cpus[1].pagefree(pages[7])
        assert take(cpu) is pages[7]
        uvm.cpus[1].pagefree(pages[7])
        with uvm.run_on(1, lwp="pagedaemon") as other:
            assert take(other) is pages[7]
        assert (tallied(uvm, "syncs"), tallied(uvm, "steals")) == (0, 2)


def test_the_reserves_hold_however_many_trees_are_reserved() -> None:
    """R6: memory that is not short is not summed, and yet nobody gets a page of the reserve."""
    with booted(npages=4096, ncpus=CPUS) as uvm:
        held: list[VmPage] = []
        turn = 0
        while (pg := uvm.cpus[turn % CPUS].pagealloc()) is not None:
            held.append(pg)
            turn += 1 if len(held) % 50 else 2
        assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel
        for cpu in uvm.cpus:
            assert cpu.pagealloc() is None
        uvm.pglistfree(held)


def test_a_ranged_allocation_is_seen_by_the_next_allocation() -> None:
    """R6: however much memory there was a moment ago."""
    with booted(npages=4096) as uvm:
        take(uvm.cpus[0])
        npages = uvm.uvmexp.free - uvm.uvmexp.reserve_kernel
        assert len(uvm.pglistalloc(npages, nsegs=npages)) == npages
        assert uvm.cpus[0].pagealloc() is uvm.cpus[1].pagealloc() is None


def test_a_cpu_that_goes_gives_its_trees_back_and_one_that_comes_begins_with_none() -> None:
    with booted(nfreelists=2) as uvm:
        held = [take(uvm.cpus[1], strat="only", free_list=each) for each in range(2)]
        assert len(uvm.design.reserved.by_tree()) == 2
        uvm.detach(1)
        assert uvm.design.reserved.by_tree() == []
        uvm.attach(1)
        uvm.audit()
        uvm.recolor(2)
        take(uvm.cpus[1])
        assert len(uvm.design.reserved.by_tree()) == 1
        uvm.pglistfree(held)


# Raced: in virtual time, where words are swapped in any order that a seed gives, and on threads.


@pytest.mark.sampled(2, batons=1)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_allocation_fails_while_a_page_is_free(seed: int) -> None:
    """All CPUs take all there is, and get it: also what is on its way from a tree to another CPU just then.

    => When an allocation finds nothing, the pages that are left have been counted off by others in a call.
    """
    for npages in (*range(44, 65), 100, 600):
        with booted(virtual(seed), npages=npages, ncpus=CPUS, nfreelists=1 + seed % 2) as uvm:
            pages: list[VmPage] = []
            left: list[int] = []

            def body(cpu: Cpu, index: int) -> None:
                uvm.machine.charge(random.Random(f"{seed} {npages} {index}").randrange(300))  # noqa: B023
                while (pg := cpu.pagealloc()) is not None:
                    pages.append(pg)  # noqa: B023 (called at once)
                left.append(sum(map(len, uvm.design.lists())))  # noqa: B023

            on_every_cpu(uvm, body)
            assert max(left) < CPUS
            assert sorted(pg.pfn for pg in pages) == list(range(npages))
            assert uvm.uvmexp.free == 0
            uvm.pglistfree(pages)


def crowd(cpu: Cpu, index: int, seed: int, steps: int, left: list[VmPage]) -> None:
    """Allocate and free at random, more than there is, and leave pages for other CPUs to free."""
    rng = random.Random(f"{seed}/{index}")
    held: list[VmPage] = []
    for _ in range(steps):
        if rng.random() < 0.8:
            if (pg := cpu.pagealloc()) is not None:
                held.append(pg)
        elif held:
            pg = held.pop(rng.randrange(len(held)))
            cpu.pagefree(pg)
        if held and rng.random() < 0.3:
            left.append(held.pop())
        if rng.random() < 0.3:
            try:
                cpu.pagefree(left.pop(rng.randrange(3)))
            except IndexError:
                continue
    left.extend(held)


@pytest.mark.parametrize("seed", SEEDS)
def test_words_agree_with_bits_whoever_is_first(seed: int) -> None:
    with booted(virtual(seed), npages=100, ncpus=CPUS) as uvm:
        left: list[VmPage] = []
        on_every_cpu(uvm, lambda cpu, index: crowd(cpu, index, seed, 300, left))
        assert uvm.uvmexp.free == 100 - len(left)
        assert tallied(uvm, "retries") > 0
        uvm.audit()
        uvm.pglistfree(left)


def test_words_agree_with_bits_on_threads() -> None:
    with booted(npages=100, ncpus=CPUS) as uvm:
        left: list[VmPage] = []
        on_every_cpu(uvm, lambda cpu, index: crowd(cpu, index, 1, 1_000, left))
        assert uvm.uvmexp.free == 100 - len(left)
        uvm.audit()
        uvm.pglistfree(left)


def test_who_sums_finds_no_page_missing() -> None:
    """Free pages that are on their way to a CPU are not in a tree and not with the CPU: they count all the same."""
    for seed in SEEDS:
        with booted(virtual(seed), npages=512, ncpus=CPUS) as uvm:
            short: list[int] = []
            held = [0] * CPUS

            def body(cpu: Cpu, index: int) -> None:
                for _ in range(100):
                    if index == 0:
                        uvm.machine.charge(50)
                        free = uvm.uvmexp.free
                        if free < 512 - sum(held) - CPUS:  # noqa: B023
                            short.append(free)  # noqa: B023
                    elif cpu.pagealloc() is not None:
                        held[index] += 1  # noqa: B023

            on_every_cpu(uvm, body)
            assert short == []


@pytest.mark.parametrize(("npages", "tree_pages", "trees"), [(65_037, 16_384, 4), (1_000, 512, 2), (100, 16_384, 1)])
def test_ram_need_be_no_multiple_of_a_tree(npages: int, tree_pages: int, trees: int) -> None:
    """The last tree is short (Trees::new rounds up), and all of it is there for who asks."""
    how: dict[str, Any] = {"npages": npages, "ncpus": 1, "design": "llfree", "tree_pages": tree_pages}
    with uvmfree.boot(uvmfree.VirtualMachine(ncpus=1), **how) as uvm:
        assert len(uvm.design.trees.stands) == trees
        held = [uvm.cpus[0].pagealloc(use_reserve=True) for _ in range(npages - uvm.uvmexp.reserve_pagedaemon)]
        assert None not in held
        uvm.audit()
