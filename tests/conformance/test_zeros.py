"""Zeroed pages, in every design that keeps them apart, and what zeroing is in one that does not."""

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import asks, by_frame, flags, free_all, is_zero, take, take_all
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage


def one_by_one(traits: uvmfree.Traits) -> bool:
    """Whether a design keeps zeroed pages and brings none that was not asked for, so that each next one is known."""
    return traits.zeros and traits.refill == 1


def zero_ahead(cpu: Cpu, pg: VmPage) -> None:
    """Free a page, and let its CPU be idle until that one is zeroed: it is the warmest of its colour and freelist."""
    cpu.pagefree(pg)
    cpu.pageidlezero(lambda: pg.zeroed)
    assert pg.zeroed


def zero_in_store(uvm: uvmfree.Uvm, *pfns: int) -> None:
    """Put free pages at the head of the store's queue of zeroed pages, the last one first; for a single colour."""
    assert uvm.uvmexp.ncolors == 1
    for pfn in pfns:
        (pg,) = uvm.pglistalloc(1, low=pfn, high=pfn + 1)
        zero_ahead(uvm.cpus[0], pg)
        uvm.redistribute(0)


@asks(lambda traits: not traits.zeros)
def test_without_a_queue_of_zeroed_pages_an_idle_cpu_zeroes_nothing(boot: Boot) -> None:
    """R14: never armed; and each page that is wanted zeroed is filled then (R12) and counted so (R11)."""
    uvm = boot()
    cpu = uvm.cpus[0]
    free_all(cpu, by_frame(uvm, 40))
    places = [(pg.place, pg.owner) for pg in uvm.physmem]
    assert cpu.pageidlezero() == 0
    assert [(pg.place, pg.owner) for pg in uvm.physmem] == places
    for _ in range(20):
        pg = take(cpu, zero=True)
        assert is_zero(uvm, pg)
        assert flags(pg) == {"BUSY", "FAKE", "ZERO"}
    assert uvm.uvmexp.zeropages == 0
    stats = uvm.cpu_stats()[0]
    assert (stats.zerohit, stats.zeromiss, stats.zeroed, stats.zeroaborts) == (0, 20, 0, 0)


@asks(lambda traits: traits.zeros)
def test_an_idle_cpu_zeroes_and_whoever_wants_zeros_gets_them(boot: Boot) -> None:
    """R8 and R14: its own pages, about half of them; the store counts those that it has (R3)."""
    uvm = boot()
    cpu = uvm.cpus[0]
    free_all(cpu, by_frame(uvm, uvm.param.npages))
    zeroed = cpu.pageidlezero()
    assert zeroed > 0
    standing = [pg for pg in uvm.physmem if pg.zeroed]
    assert len(standing) == zeroed == uvm.cpu_stats()[0].zeroed
    assert {pg.owner for pg in standing} == {0}
    assert all(is_zero(uvm, pg) for pg in standing)
    uvm.audit()
    assert take(cpu, zero=True) in standing
    assert uvm.cpu_stats()[0].zerohit == 1
    uvm.redistribute()
    assert uvm.uvmexp.zeropages == zeroed - 1


@asks(one_by_one)
def test_a_wanted_zero_page_comes_from_the_zeroed_ones_first(boot: Boot) -> None:
    """R8: ZERO tries ZEROS then UNKNOWN; without it UNKNOWN then ZEROS."""
    uvm = boot(ncolors=1, npages=32, ncpus=1)
    cpu = uvm.cpus[0]
    zero_in_store(uvm, 3, 4)
    uvm.audit()
    assert take(cpu).pfn == 31
    assert [take(cpu, zero=True).pfn for _ in range(3)] == [4, 3, 30]
    zero_in_store(uvm, 28, 29)
    assert [take(cpu).pfn for _ in range(2)] == [27, 26]
    taken = [pg.pfn for pg in take_all(cpu, use_reserve=True)]
    assert taken[-1] == 29  # zeroed ones last, the head first, and one page stays
    assert uvm.uvmexp.zeropages == 1


@asks(one_by_one)
def test_of_what_a_cpu_freed_itself_the_zeroed_pages_go_to_whoever_wants_zeros(boot: Boot) -> None:
    """R8: the same order of the queues on the own list."""
    uvm = boot(ncolors=2)
    cpu = uvm.cpus[0]
    pages = [take(cpu, color=0) for _ in range(6)]
    free_all(cpu, [take(cpu, color=1) for _ in range(6)])
    zero_ahead(cpu, pages[0])
    free_all(cpu, pages[1:3])
    zero_ahead(cpu, pages[3])
    free_all(cpu, pages[4:])
    assert [take(cpu, color=1).color, take(cpu, zero=True)] == [1, pages[3]]
    assert [take(cpu, color=1).color, take(cpu)] == [1, pages[5]]
    assert [take(cpu, zero=True, color=0), take(cpu, zero=True, color=0)] == [pages[0], pages[4]]


@asks(one_by_one)
def test_a_freelist_of_priority_beats_zeroed_pages(boot: Boot) -> None:
    """R10: a dirty page of freelist 0 goes out before a zeroed one of freelist 1, though ZERO is wanted (R8)."""
    uvm = boot(nfreelists=2, npages=64, ncpus=2, ncolors=1)
    (pg,) = uvm.pglistalloc(1, low=9, high=10)
    assert pg.free_list == 1
    zero_ahead(uvm.cpus[1], pg)  # which has no page but this one, so that no better freelist is zeroed first
    uvm.redistribute()
    pages = [take(uvm.cpus[0], zero=True) for _ in range(33)]
    assert [pg.free_list for pg in pages] == [0] * 32 + [1]
    assert pages[-1] is pg
    stats = uvm.cpu_stats()[0]
    assert (stats.zeromiss, stats.zerohit) == (32, 1)


@asks(one_by_one)
def test_a_page_known_to_be_zero_is_not_zeroed_again(boot: Boot) -> None:
    """R12: only a page that is not known to be zero is zeroed."""
    uvm = boot(ncolors=1, ncpus=1)
    zero_in_store(uvm, 9)
    pg = next(pg for pg in uvm.physmem if pg.pfn == 9)
    uvm.physmem.bytes_of(pg)[7] = 1  # a mark that zeroing would wipe out
    assert take(uvm.cpus[0], zero=True) is pg
    assert uvm.physmem.bytes_of(pg)[7] == 1
    assert flags(pg) == {"BUSY", "FAKE", "ZERO"}


@asks(one_by_one)
def test_hits_and_misses(boot: Boot) -> None:
    """R11: own list or not; the start colour or not; for ZERO, known to be zero or not."""
    uvm = boot(ncolors=4, ncpus=2, npages=64)
    zero, one = uvm.cpus
    held, row = take(zero, color=0), by_frame(uvm, 4)  # colour 1 is the next of CPU 0
    free_all(zero, [pg for pg in row if pg.color != 1])
    zero_ahead(zero, row[1])
    zero.pagefree(held)
    uvm.redistribute(0)
    assert [pg for pg in uvm.physmem if pg.zeroed] == row[1:2]
    page = take(one)  # colour 0 of the global list
    take(one, color=2)
    one.pagefree(page)
    take(one, zero=True, color=0)  # its own page
    assert take(one, zero=True) is row[1]
    take_all(one, color=3)
    stats = uvm.cpu_stats()[1]
    taken = 64 - uvm.uvmexp.free + 1  # one page was taken twice
    assert stats.allocs == taken == stats.cpuhit + stats.cpumiss == stats.colorhit + stats.colormiss
    assert (stats.cpuhit, stats.zerohit, stats.zeromiss) == (1, 1, 1)
    assert stats.colorhit == 4 + 16  # the four single ones, and all of colour 3
    exp = uvm.uvmexp.snapshot()
    both = uvm.cpu_stats()[0].cpuhit + 1, uvm.cpu_stats()[0].cpumiss + taken - 1
    assert (exp.cpuhit, exp.cpumiss, exp.colorhit, exp.colormiss, exp.pga_zerohit, exp.pga_zeromiss) == (
        (*both, 20 + 1, taken - 20, 1, 1)
    )
