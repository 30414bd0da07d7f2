"""Today's allocator: every free page on two lists, one lock for all, the order of the search."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.uvm.zeros import zero_free_pages
from uvmfree.uvm.page import UNKNOWN, ZEROS, Place


@pytest.fixture
def uvm() -> Iterator[uvmfree.Uvm]:
    made = uvmfree.boot(npages=64, ncpus=2, ncolors=2, design="fpageqlock", lockstat=True)
    yield made
    made.audit()
    made.close()


def drained(uvm: uvmfree.Uvm) -> dict[int, Any]:
    """Leave no free page but ten of colour 1; return all others, by frame number."""
    held = take_all(uvm.cpus[0], use_reserve=True)
    while sum(pg.color == 1 for pg in held) > 22:
        uvm.cpus[0].pagefree(held.pop(next(n for n, pg in enumerate(held) if pg.color == 1)))
    return {pg.pfn: pg for pg in held}


def test_within_a_colour_own_then_global_for_each_queue_in_turn(uvm: uvmfree.Uvm) -> None:
    """R9: own/try1, global/try1, own/try2, global/try2; whichever way round the queues are tried (R8)."""
    held = drained(uvm)
    own, others = uvm.cpus
    even = sorted(pfn for pfn in held if pfn % 2 == 0)
    pages = {name: held[pfn] for name, pfn in zip(("own", "global", "own zero", "global zero"), even, strict=False)}
    for zero, order in (
        (False, ["own", "global", "own zero", "global zero"]),
        (True, ["own zero", "global zero", "own", "global"]),
    ):
        for name, pg in pages.items():  # the pages of the other CPU are freed last: nearest the global head
            if name.startswith("own"):
                own.pagefree(pg)
        for name, pg in pages.items():
            if name.startswith("global"):
                others.pagefree(pg)
        zero_free_pages(uvm, pages["own zero"].pfn, pages["global zero"].pfn)
        uvm.audit()
        before = uvm.cpu_stats()[0]
        got = [take(own, zero=zero, color=0, use_reserve=True) for _ in range(4)]
        assert got == [pages[name] for name in order]
        after = uvm.cpu_stats()[0]
        assert (after.cpuhit - before.cpuhit, after.cpumiss - before.cpumiss) == (2, 2)
        if zero:
            assert (after.zerohit, after.zeromiss) == (before.zerohit + 2, before.zeromiss + 2)


def test_another_colour_only_after_both_queues_of_the_first(uvm: uvmfree.Uvm) -> None:
    """R9: colours in rotation outside, own and global inside."""
    held = drained(uvm)
    foreign = held[2]
    uvm.cpus[1].pagefree(foreign)
    zero_free_pages(uvm, foreign.pfn)
    own_odd = take(uvm.cpus[0], color=1, use_reserve=True)
    uvm.cpus[0].pagefree(own_odd)
    assert take(uvm.cpus[0], color=0, use_reserve=True) is foreign
    assert take(uvm.cpus[0], color=0, use_reserve=True) is own_odd


def test_every_free_page_counts_and_stands_on_the_list_of_whoever_freed_it(uvm: uvmfree.Uvm) -> None:
    """R3: free is all free pages, since all stand on the global list; pages[q] is what a CPU's lists hold."""
    assert {pg.owner for pg in uvm.physmem} == {0}  # the boot CPU freed them all
    pages = [take(uvm.cpus[0]) for _ in range(20)]
    free_all(uvm.cpus[1], pages[:15])
    zero_free_pages(uvm, *[pg.pfn for pg in pages[:4]])
    assert uvm.uvmexp.free == 59
    assert uvm.uvmexp.zeropages == 4
    assert {pg.place for pg in pages[:15]} == {Place.GLOBAL}
    own = [(each.owner, each.queue) for each in uvm.design.walk() for _ in each.real if each.owner is not None]
    assert Counter(own) == {(0, UNKNOWN): 44, (1, UNKNOWN): 11, (1, ZEROS): 4}
    uvm.audit()  # what a CPU counts is what its lists hold
    assert uvm.redistribute() == 0
    assert uvm.cached_pages() == (0, 0)


def test_one_lock_is_taken_once_for_each_operation(uvm: uvmfree.Uvm) -> None:
    cpu = uvm.cpus[0]
    before = uvm.lockstat()[0].acquired
    pages = [take(cpu, zero=True) for _ in range(10)]
    free_all(cpu, pages)
    assert uvm.lockstat()[0].acquired - before == 20
    assert uvm.lockstat()[0].name == "uvm_fpageqlock"
    callers = {record.caller: record.acquired for record in uvm.lockstat(by_caller=True) if "page" in record.caller}
    assert callers == {"uvm_pagealloc": 10, "uvm_pagefree": 10}
    assert [stats.atomics for stats in uvm.cpu_stats()] == [0, 0]


def test_lists_do_not_grow_while_pages_go_round_and_round() -> None:
    """What leaves a list by way of its other list leaves a ghost; ghosts are swept."""
    with uvmfree.boot(npages=512, ncpus=2, ncolors=1, design="fpageqlock") as uvm:
        cpus = uvm.cpus
        pages = [take(cpus[0]) for _ in range(400)]
        for round_ in range(10):
            free_all(cpus[round_ % 2], pages[::-1] if round_ % 3 else pages)
            pages = [take(cpus[1 - round_ % 2]) for _ in range(400)]
            uvm.audit()
        lists = [each.pages for each in uvm.design.walk() if each.queue == UNKNOWN]
        assert len(lists) == 3
        assert all(len(pages) <= 2 * 512 for pages in lists)
