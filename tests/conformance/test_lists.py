"""What a free page is and where it stands, in every design."""

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import free_all, take, take_all
from uvmfree.uvm.page import Place


def test_every_page_has_a_freelist_a_colour_a_queue_and_an_owner(boot: Boot) -> None:
    """R1: freelist, colour = frame number & colormask, queue, and the CPU that cached it."""
    uvm = boot(nfreelists=2, ncolors=4)
    pages = take_all(uvm.cpus[0], use_reserve=True)
    assert len(pages) == 63
    for pg in pages:
        assert pg.color == pg.pfn & 3
        assert pg.free_list == (0 if pg.pfn >= 32 else 1)
        assert (pg.owner, pg.zeroed) == (None, False)
    free_all(uvm.cpus[1], pages)
    for pg in pages:
        assert (pg.owner, pg.zeroed) == (1, False)
        assert pg.place in (Place.GLOBAL, Place.CACHED)


@pytest.mark.parametrize("ncolors", [1, 2, 16])
def test_colours_follow_the_frame_number(boot: Boot, ncolors: int) -> None:
    """R1: ncolors is a power of two, and the colour is the low bits of the frame number."""
    uvm = boot(ncolors=ncolors)
    assert {pg.color for pg in take_all(uvm.cpus[0])} == set(range(ncolors))
    assert all(pg.color == pg.pfn % ncolors for pg in uvm.physmem)
    with pytest.raises(uvmfree.ParamError, match="ncolors=6: must be a power of two"):
        boot(ncolors=6)


def test_the_page_that_was_freed_last_goes_out_first(boot: Boot) -> None:
    """R2: insert and remove at the head of a list."""
    uvm = boot(npages=256)
    cpu = uvm.cpus[0]
    pages = [take(cpu, color=2) for _ in range(20)]
    free_all(cpu, pages)
    assert [take(cpu, color=2) for _ in range(20)] == pages[::-1]
    free_all(cpu, pages)


def test_lists_of_other_colours_do_not_disturb_the_order(boot: Boot) -> None:
    """R2: each colour has a list of its own."""
    uvm = boot(npages=256)
    cpu = uvm.cpus[0]
    pages = [take(cpu) for _ in range(32)]
    free_all(cpu, pages)
    for color in (3, 0, 2, 1):
        assert [take(cpu, color=color) for _ in range(8)] == [pg for pg in pages[::-1] if pg.color == color]


def test_redistribution_keeps_the_order(boot: Boot) -> None:
    """R2 and P8: a list is spliced onto the head of the global one as it is; other CPUs take the warmest first."""
    uvm = boot(npages=256)
    pages = [take(uvm.cpus[0], color=1) for _ in range(10)]
    free_all(uvm.cpus[0], pages)
    uvm.redistribute()
    assert [take(uvm.cpus[1], color=1) for _ in range(10)] == pages[::-1]


def test_at_rest_every_page_is_in_one_place_and_the_counters_say_so(boot: Boot) -> None:
    """R3: free is what stands on the global list, a CPU's count what its cache holds; the rest is allocated."""
    uvm = boot(npages=200, nfreelists=2)
    zero, one = uvm.cpus
    held = [take(zero, zero=n % 2 == 0, strat="only", free_list=n % 2) for n in range(60)]
    free_all(one, held[:25])
    free_all(zero, held[25:40])
    held = held[40:] + [take(one) for _ in range(10)]
    for cpu in (None, 0, 1):
        if cpu is not None:
            uvm.redistribute(cpu)
        places = [pg.place for pg in uvm.physmem]
        assert len(places) == 200
        assert places.count(Place.GLOBAL) == uvm.uvmexp.free
        assert places.count(Place.CACHED) == sum(uvm.cached_pages()) == uvm.uvmexp.snapshot().cached
        assert {pg.pfn for pg in uvm.physmem if pg.place is Place.ALLOCATED} == {pg.pfn for pg in held}
        assert uvm.uvmexp.zeropages == 0
        assert uvm.counter_lag() == 0
        uvm.audit()
    assert uvm.uvmexp.free == 200 - len(held)


def test_what_free_counts_while_pages_are_cached(boot: Boot, design: str) -> None:
    """R3: today all free pages stand on the global list; in the proposal cached ones do not."""
    uvm = boot(npages=100)
    held = [take(uvm.cpus[0]) for _ in range(30)]
    free_all(uvm.cpus[1], held)
    cached = {"fpageqlock": 0, "percpu": 30}[design]
    assert uvm.cached_pages() == (0, cached)
    assert uvm.uvmexp.free == 100 - cached


def test_two_systems_share_nothing(boot: Boot) -> None:
    one, two = boot(), boot()
    pages = take_all(one.cpus[0])
    assert two.uvmexp.free == 64
    assert pages[0].system != take(two.cpus[0]).system
    free_all(one.cpus[0], pages)
    assert [stats.allocs for stats in two.cpu_stats()] == [1, 0]


def test_the_counters_are_read_without_any_lock(boot: Boot) -> None:
    """P1: whoever reads uvmexp takes no lock, and may do so with any lock held."""
    uvm = boot(lockstat=True)
    take(uvm.cpus[0])
    before = uvm.lockstat()
    for _ in range(100):
        assert uvm.uvmexp.free == 63
        assert uvm.uvmexp.zeropages == 0
        uvm.uvmexp.snapshot()
        uvm.cpu_stats()
        uvm.cached_pages()
    assert uvm.lockstat() == before


def test_redistributing_twice_moves_nothing_more(boot: Boot, design: str) -> None:
    """P8: what is handed back is accounted for once."""
    uvm = boot(npages=128)
    for index, cpu in enumerate(uvm.cpus):
        free_all(cpu, [take(cpu) for _ in range(10 + index)])
    moved = [uvm.redistribute(0), uvm.redistribute(), uvm.redistribute()]
    assert moved == {"fpageqlock": [0, 0, 0], "percpu": [10, 11, 0]}[design]
    assert uvm.uvmexp.free == 128
    assert sum(stats.drained - stats.filled for stats in uvm.cpu_stats()) == 0
    for index in (-1, 2, "0", True):
        with pytest.raises(uvmfree.ArgumentError, match="there are CPUs 0 to 1"):
            uvm.redistribute(index)  # type: ignore[arg-type]
