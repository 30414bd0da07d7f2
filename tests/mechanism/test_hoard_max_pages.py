"""A bound on the caches (hoard_max), to the page: when a cache spills, what of it, and what a miss may fetch (Q2)."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from tests.mechanism.rig import SMALL, Boot, free_globally, free_on, settle, take_everything
from tests.uvm.machines import InterposingMachine
from tests.uvm.zeros import zero_free_pages
from uvmfree.uvm.page import Place


@pytest.mark.parametrize("refill", [1, 4])
def test_a_cache_spills_when_it_holds_one_page_more_than_its_bound_and_not_before(boot: Boot, refill: int) -> None:
    """Q2: whatever came and went before, by hits, misses and redistributions."""
    uvm = boot(design="percpu", hoard_max=10, refill=refill)
    cpu = uvm.cpus[1]
    free_all(cpu, [take(cpu) for _ in range(7)])  # misses
    free_all(cpu, [take(cpu) for _ in range(5)])  # hits
    uvm.redistribute(1)
    held = [take(cpu) for _ in range(24)]
    drained = uvm.cpu_stats()[1].drained
    while uvm.cached_pages()[1] < 10:
        cpu.pagefree(held.pop())
        assert uvm.cpu_stats()[1].drained == drained
    cpu.pagefree(held.pop())
    assert uvm.cpu_stats()[1].drained > drained
    uvm.audit()
    free_all(cpu, held)
    settle(uvm)


def test_of_each_list_half_spills_and_the_odd_page_with_it(boot: Boot) -> None:
    """Q2 and R2: the coldest, of every colour and both queues; zeropages follows (R3)."""
    uvm = boot(design="percpu", hoard_max=13, ncolors=2)
    pages = take_everything(uvm)
    even, odd = pages[::2], pages[1::2]
    free_on(uvm, 1, even[:7] + odd[:4])
    zero_free_pages(uvm, *[pg.pfn for pg in even[:3]])
    free_on(uvm, 1, odd[4:6])
    assert uvm.cached_pages() == (0, 13)
    assert uvm.uvmexp.zeropages == 0
    uvm.cpus[1].pagefree(odd[6])
    # Zeroed and even: 2 of 3. Even: 2 of 4. Odd: 4 of 7.
    assert uvm.cached_pages() == (0, 6)
    assert (uvm.uvmexp.free, uvm.uvmexp.zeropages) == (8, 2)
    assert [pg.place for pg in odd[:7]] == [Place.GLOBAL] * 4 + [Place.CACHED] * 3
    uvm.audit()
    free_on(uvm, 0, pages[14:])
    settle(uvm)


def test_a_page_is_somewhere_all_the_while_it_spills() -> None:
    """R3: whoever looks without a lock sees a place, here between the two locks of a spill: the cache's still."""
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, **SMALL | {"design": "percpu", "hoard_max": 8})
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[:8])
    seen: list[set[Place]] = []
    machine.at, machine.then = "uvm_fpageqlock", lambda: seen.append({pg.place for pg in pages[:9]})
    free_on(uvm, 0, pages[8:9])
    assert seen == [{Place.CACHED}]
    free_on(uvm, 0, pages[9:])
    settle(uvm)
    uvm.close()


@pytest.mark.parametrize(("cached", "fetched"), [(0, 4), (5, 4), (6, 3), (7, 2), (8, 1)])
def test_a_miss_fetches_what_there_is_room_for(boot: Boot, cached: int, fetched: int) -> None:
    """Q2 and Q15: `refill` pages as long as the cache has room for all but the first."""
    uvm = boot(design="percpu", hoard_max=8, refill=4, nfreelists=2)
    cpu = uvm.cpus[0]
    pages = take_everything(uvm)
    free_on(uvm, 0, [pg for pg in pages if pg.free_list == 1][:cached])
    rest = [pg for pg in pages if pg.place is Place.ALLOCATED]
    free_globally_from(uvm, 1, rest)
    before = uvm.cpu_stats()[0].filled
    pg = take(cpu, strat="only", free_list=0)
    assert pg.free_list == 0
    assert uvm.cpu_stats()[0].filled - before == fetched
    assert uvm.cached_pages()[0] == cached + fetched - 1
    cpu.pagefree(pg)
    settle(uvm)


def free_globally_from(uvm: uvmfree.Uvm, index: int, pages: list[Any]) -> None:
    free_on(uvm, index, pages)
    uvm.redistribute(index)


@pytest.mark.parametrize("hoard_max", [None, 16], ids=["", "bounded"])
def test_by_colour_the_global_list_is_asked_for_one_colour_at_a_time(boot: Boot, hoard_max: int | None) -> None:
    """Q9: in each colour the cache, then the global list; a later colour of the latter waits its turn."""
    uvm = boot(design="percpu", search="colour", hoard_max=hoard_max)
    cpu = uvm.cpus[0]
    pages = take_everything(uvm)
    colours = {color: [pg for pg in pages if pg.color == color] for color in range(4)}
    free_globally(uvm, colours[3][:14])
    free_on(uvm, 0, colours[2][:1] + colours[1][:1])
    assert [take(cpu, color=1, use_reserve=True).color for _ in range(3)] == [1, 2, 3]
    free_on(uvm, 1, [pg for pg in pages if pg.place is Place.ALLOCATED])
    settle(uvm)


@pytest.mark.parametrize("how", [{}, {"color": 2}, {"strat": "only"}, {"strat": "fallback"}], ids=str)
@pytest.mark.parametrize(
    ("wish", "granted"), [({}, 0), ({"use_reserve": True}, 9), ({"use_reserve": True, "zero": True}, 9)], ids=str
)
def test_the_second_try_asks_for_what_the_first_one_asked_for(
    boot: Boot, how: dict[str, Any], wish: dict[str, Any], granted: int
) -> None:
    """Q5 and R5: the reserve, zeroed memory and the freelist are as they were wanted, after the drain too."""
    uvm = boot(design="percpu", drain_retry=True)
    pages = take_everything(uvm)
    for pg in pages:
        uvm.physmem.bytes_of(pg)[:] = b"\xa5" * uvm.param.pagesize
    free_on(uvm, 0, pages[:10])
    got = take_all(uvm.cpus[1], **how, **wish)
    assert len(got) == granted
    for pg in got:
        assert (uvm.physmem.bytes_of(pg) == bytes(uvm.param.pagesize)) is bool(wish.get("zero"))
    assert {pg.color for pg in got[:1]} <= {how.get("color", pg.color) for pg in got[:1]}
    free_on(uvm, 1, got + pages[10:])
    settle(uvm)


@pytest.mark.parametrize("strat", ["only", "fallback"])
def test_the_second_try_looks_at_the_freelist_that_was_named(boot: Boot, strat: Any) -> None:
    """Q5 and R10: a freelist that has come back by the drain."""
    uvm = boot(design="percpu", drain_retry=True, nfreelists=2)
    pages = take_everything(uvm)
    worse = [pg for pg in pages if pg.free_list == 1]
    free_on(uvm, 0, worse[:12])
    assert take(uvm.cpus[1], strat=strat, free_list=1).free_list == 1
    uvm.audit()


def test_the_second_try_starts_at_the_colour_that_was_named(boot: Boot) -> None:
    """Q5 and R7."""
    uvm = boot(design="percpu", drain_retry=True)
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[:20])
    assert take(uvm.cpus[1], color=3).color == 3
    uvm.audit()
