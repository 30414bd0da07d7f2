"""What a free page is and where it stands, in every design."""

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, asks, by_frame, cached, free_all, take, take_all
from uvmfree.uvm.page import Place


def test_every_page_has_a_freelist_a_colour_a_queue_and_an_owner(boot: Boot) -> None:
    """R1: freelist, colour = frame number & colormask, queue, and the CPU that cached it."""
    uvm = boot(nfreelists=2, ncolors=4)
    npages, traits = uvm.param.npages, uvm.traits
    pages = take_all(uvm.cpus[0], use_reserve=True)
    parts = uvm.param.nfreelists if uvm.traits.gate == "part" else 1
    assert len(pages) == npages - parts
    for pg in pages:
        assert pg.color == pg.pfn & 3
        assert pg.free_list == (0 if pg.pfn >= npages // 2 else 1)
        assert (pg.owner, pg.zeroed) == (None, False)
    free_all(uvm.cpus[1], pages)
    with_cpu = Place.GLOBAL if traits.freed == "both" else Place.CACHED
    standing = (Place.GLOBAL, None) if traits.freed == "store" else (with_cpu, 1)
    for pg in pages:
        assert not pg.zeroed
        assert (pg.place, pg.owner) in {standing, (Place.GLOBAL, None), (Place.CACHED, None)}
    assert [(pg.place, pg.owner) for pg in pages].count((Place.CACHED, None)) == uvm.design.parked()
    with_it = [pg for pg in pages if (pg.place, pg.owner) == standing]
    if traits.freed in ("both", "store") or traits.bound is None:
        assert with_it == pages
    else:
        assert 0 < len(with_it) <= traits.bound


@pytest.mark.parametrize("ncolors", [1, 2, 16])
def test_colours_follow_the_frame_number(boot: Boot, ncolors: int) -> None:
    """R1: ncolors is a power of two, and the colour is the low bits of the frame number."""
    uvm = boot(ncolors=ncolors)
    assert {pg.color for pg in take_all(uvm.cpus[0], use_reserve=True)} == set(range(ncolors))
    assert all(pg.color == pg.pfn % ncolors for pg in uvm.physmem)
    with pytest.raises(uvmfree.ParamError, match="ncolors=6: must be a power of two"):
        boot(ncolors=6)


@asks(lambda traits: traits.lifo)
def test_the_page_that_was_freed_last_goes_out_first(boot: Boot) -> None:
    """R2: insert and remove at the head of a list; what is with a CPU of all that it freed is the warmest of it."""
    uvm = boot(npages=256)
    cpu = uvm.cpus[0]
    pages = [pg for pg in by_frame(uvm, 80) if pg.color == 2]
    assert len(pages) == 20
    free_all(cpu, pages)
    warm = [pg for pg in pages if pg.owner == 0]
    if uvm.traits.freed == "both" or uvm.traits.bound is None:
        assert warm == pages
    assert warm
    assert pages[-len(warm) :] == warm
    assert [take(cpu, color=2) for _ in warm] == warm[::-1]


@asks(lambda traits: traits.lifo and traits.colors and traits.bound in (None, 0) and traits.refill == 1)
def test_lists_of_other_colours_do_not_disturb_the_order(boot: Boot) -> None:
    """R2: each colour has a list of its own."""
    uvm = boot(npages=256)
    cpu = uvm.cpus[0]
    pages = [take(cpu) for _ in range(32)]
    free_all(cpu, pages)
    for color in (3, 0, 2, 1):
        assert [take(cpu, color=color) for _ in range(8)] == [pg for pg in pages[::-1] if pg.color == color]


def test_at_rest_every_page_is_in_one_place_and_the_counters_say_so(boot: Boot) -> None:
    """R3: free is what stands on the global list, or all; a CPU's count what its cache holds; the rest is in use."""
    uvm = boot(npages=200, nfreelists=2)
    npages = uvm.param.npages
    zero, one = uvm.cpus
    held = [take(zero, zero=n % 2 == 0, strat="only", free_list=n % 2) for n in range(60)]
    free_all(one, held[:25])
    free_all(zero, held[25:40])
    held = held[40:] + [take(one) for _ in range(10)]
    for cpu in (None, 0, 1):
        if cpu is not None:
            uvm.redistribute(cpu)
        places = [pg.place for pg in uvm.physmem]
        assert len(places) == npages
        assert all_free(uvm) == places.count(Place.GLOBAL) + places.count(Place.CACHED)
        assert (
            places.count(Place.CACHED) - uvm.design.parked()
            == sum(uvm.cached_pages())
            == uvm.uvmexp.snapshot().cached
        )
        assert {pg.pfn for pg in uvm.physmem if pg.place is Place.ALLOCATED} == {pg.pfn for pg in held}
        assert uvm.uvmexp.zeropages == 0
        assert uvm.counter_lag() == 0
        uvm.audit()
    assert "explicit" not in uvm.traits.causes or cached(uvm) == 0
    assert all_free(uvm) == npages - len(held)


def test_what_free_counts_while_pages_are_cached(boot: Boot) -> None:
    """R3: where pages stand that a CPU has freed, and whether what is cached is free."""
    uvm = boot(npages=100)
    traits = uvm.traits
    held = by_frame(uvm, 30)
    free_all(uvm.cpus[1], held)
    of_one = uvm.cached_pages()[1]
    if traits.freed in ("both", "store"):
        assert of_one == 0
    elif traits.bound is None:
        assert of_one == 30
    else:
        assert 0 < of_one <= min(30, traits.bound)
    assert uvm.cached_pages() == (0, of_one)
    assert all_free(uvm) == uvm.param.npages


@asks(lambda traits: traits.bound is not None)
def test_a_cache_is_never_beyond_its_bound(boot: Boot) -> None:
    """Q2: after whatever call, of whatever freelist and colour the pages are; and the rest is not lost."""
    uvm = boot(npages=128, nfreelists=2)
    bound, npages = uvm.traits.bound, uvm.param.npages
    assert bound is not None
    held = by_frame(uvm, npages // 2)
    zero, one = uvm.cpus
    for number, pg in enumerate(held):
        one.pagefree(pg)
        if number % 5 == 0:
            taken = one.pagealloc(strat="only", free_list=number % 2, color=number)
            assert taken is not None or uvm.traits.freed == "batch"
            if taken is not None:
                zero.pagefree(taken)
        assert max(uvm.cached_pages()) <= bound, f"the CPUs cache {uvm.cached_pages()} pages, the bound is {bound}"
    assert len(uvm.pglistalloc(npages, nsegs=npages)) == npages


@asks(lambda traits: traits.bound and traits.freed == "cache" and traits.lifo)
def test_what_spills_is_the_coldest(boot: Boot) -> None:
    """R2 and Q2: of the pages of one colour and freelist those stay with a CPU that it freed last."""
    uvm = boot(npages=256)
    bound = uvm.traits.bound
    assert bound is not None
    pages = [pg for pg in by_frame(uvm, uvm.param.npages) if pg.color == 0][: bound + 1]
    assert len(pages) == bound + 1
    free_all(uvm.cpus[0], pages)
    kept = uvm.cached_pages()[0]
    assert 0 < kept <= bound
    assert [pg for pg in pages if pg.owner == 0] == pages[-kept:]


def test_a_miss_brings_no_more_than_the_refill_and_to_its_own_cpu(boot: Boot) -> None:
    """R11 and Q15: the page, and at most refill - 1 more into the cache; no other CPU has anything of it."""
    uvm = boot(npages=128)
    for number in range(60):
        before, cpu = uvm.cpu_stats(), uvm.cpus[number % 2]
        took = take(cpu, color=number)
        assert took.owner is None
        here, other = uvm.cpu_stats()[number % 2], uvm.cpu_stats()[1 - number % 2]
        assert other == before[1 - number % 2]
        got = here.cached - before[number % 2].cached
        missed = here.cpumiss - before[number % 2].cpumiss
        assert here.filled - before[number % 2].filled <= uvm.traits.refill
        assert -1 <= got < uvm.traits.refill
        assert uvm.traits.bound == 0 or (got >= 0) == missed


def test_two_systems_share_nothing(boot: Boot) -> None:
    one, two = boot(), boot()
    pages = take_all(one.cpus[0])
    assert two.uvmexp.free == two.param.npages
    assert pages[0].on != take(two.cpus[0]).on
    free_all(one.cpus[0], pages)
    assert [stats.allocs for stats in two.cpu_stats()] == [1, 0]


def test_the_counters_are_read_without_any_lock(boot: Boot) -> None:
    """P1: whoever reads uvmexp takes no lock, and may do so with any lock held."""
    uvm = boot(lockstat=True)
    take(uvm.cpus[0])
    before, free = uvm.lockstat(), uvm.param.npages - 1 - (cached(uvm) if uvm.traits.free == "store" else 0)
    for _ in range(100):
        assert uvm.uvmexp.free == free
        assert uvm.uvmexp.zeropages == 0
        uvm.uvmexp.snapshot()
        uvm.cpu_stats()
        uvm.cached_pages()
    assert uvm.lockstat() == before


def test_redistributing_twice_moves_nothing_more(boot: Boot) -> None:
    """P8: what is handed back is accounted for once, under its cause."""
    uvm = boot(npages=128)
    traits = uvm.traits
    for index, cpu in enumerate(uvm.cpus):
        free_all(cpu, [take(cpu) for _ in range(10 + index)])
    hoard, parked = uvm.cached_pages(), uvm.design.parked()
    if traits.freed == "cache" and traits.bound is None and traits.refill == 1:
        assert hoard == (10, 11)
    moved = [uvm.redistribute(0), uvm.redistribute(), uvm.redistribute()]
    if "explicit" in traits.causes:
        assert moved == [hoard[0] + parked, hoard[1], 0], (
            f"redistribution moved {moved} pages, the CPUs had {hoard} and shared caches {parked}"
        )
        assert uvm.cached_pages() == (0, 0)
        assert sum(stats.drained - stats.filled for stats in uvm.cpu_stats()) == 0
        assert uvm.uvmexp.free == uvm.param.npages
        assert uvm.redistributions()["explicit"] == 2
    else:
        assert moved == [0, 0, 0]
        assert uvm.cached_pages() == hoard
        assert all_free(uvm) == uvm.param.npages
        assert uvm.redistributions()["explicit"] == 0
    for index in (-1, 2, "0", True):
        with pytest.raises(uvmfree.ArgumentError, match="there are CPUs 0 to 1"):
            uvm.redistribute(index)  # type: ignore[arg-type]
