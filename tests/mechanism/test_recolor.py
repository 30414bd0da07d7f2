"""Recolouring a running system: pages in caches, in use and being zeroed stay what they are, but for the colour."""

import threading
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import dirty, free_all, is_zero, take, take_all
from tests.kern.tasks import WAIT_S, begin, finish
from tests.mechanism.rig import Boot, all_free, free_on, settle, state, take_everything
from uvmfree.uvm.page import Place, VmPage


def coloured(uvm: uvmfree.Uvm, ncolors: int) -> None:
    """Check that every page has its colour, and that the system says how many there are."""
    assert uvm.uvmexp.ncolors == uvm.uvmexp.snapshot().ncolors == ncolors
    assert all(pg.color == pg.pfn & (ncolors - 1) for pg in uvm.physmem)
    uvm.audit()


def spread(uvm: uvmfree.Uvm) -> list[VmPage]:
    """Put pages everywhere: on the global list, in both caches, on both queues, in use. Return the latter."""
    pages = take_everything(uvm)
    for pg in pages:
        dirty(uvm, pg)
    free_on(uvm, 1, pages[:16])
    uvm.redistribute(1)
    free_on(uvm, 0, pages[16:32])
    free_on(uvm, 1, pages[32:48])
    for cpu in uvm.cpus:
        cpu.pageidlezero()
    return pages[48:]


@pytest.mark.parametrize("ncolors", [1, 2, 4, 8, 16])
def test_every_page_gets_its_new_colour_and_none_is_lost(boot: Boot, variant: dict[str, Any], ncolors: int) -> None:
    """Q13, R1 and R3: pages in caches, on the global list and in use; counts and queues stay as they were."""
    uvm = boot(**variant, nfreelists=2)
    held = spread(uvm)
    free, zeroed = all_free(uvm), {pg.pfn for pg in uvm.physmem if pg.zeroed}
    assert zeroed
    stats = [(cpu.allocs, cpu.frees, cpu.zeroed) for cpu in uvm.cpu_stats()]
    uvm.recolor(ncolors)
    coloured(uvm, ncolors)
    assert (uvm.uvmexp.free, uvm.cached_pages()) == (free, (0, 0))
    assert {pg.pfn for pg in uvm.physmem if pg.zeroed} == zeroed
    assert uvm.uvmexp.zeropages == len(zeroed)
    assert {pg.place for pg in held} == {Place.ALLOCATED}
    assert [(cpu.allocs, cpu.frees, cpu.zeroed) for cpu in uvm.cpu_stats()] == stats
    free_on(uvm, 1, held)
    uvm.audit()
    settle(uvm)


@pytest.mark.parametrize("ncolors", [1, 2, 16])
def test_allocation_goes_by_the_new_colours(boot: Boot, design: str, ncolors: int) -> None:
    """Q13 and R7: rotation from colour 0 on, wanted colours modulo the new number, refused by no old mask."""
    uvm = boot(design=design)
    with uvm.run_on(0) as cpu:
        first = [take(cpu) for _ in range(3)]
        uvm.recolor(ncolors)
        assert [take(cpu).color for _ in range(2 * ncolors)] == 2 * list(range(ncolors))
        assert take(cpu, color=ncolors + 3).color == 3 % ncolors
        free_all(cpu, first)
        last = take(cpu, color=first[-1].color)
        assert last.color == first[-1].pfn % ncolors
    uvm.audit()


def test_zeroed_pages_are_still_known_to_be_zero(boot: Boot, variant: dict[str, Any]) -> None:
    """Q13 and R8: recolouring keeps each page on its queue."""
    uvm = boot(**variant)
    spread(uvm)
    uvm.recolor(8)
    zeroed = uvm.uvmexp.zeropages
    got = take_all(uvm.cpus[0], zero=True)
    assert all(is_zero(uvm, pg) for pg in got)
    free = [pg for pg in uvm.physmem if pg.place is not Place.ALLOCATED]
    assert uvm.uvmexp.snapshot().pga_zerohit + sum(pg.zeroed for pg in free) == zeroed
    uvm.audit()


def test_the_warmest_page_of_a_colour_is_still_the_first(boot: Boot, design: str) -> None:
    """Q13 and R2: the global list keeps its order, as far as colours leave it."""
    uvm = boot(design=design, ncolors=1)
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[20:40])
    uvm.recolor(4)
    with uvm.run_on(1) as cpu:
        got = [take(cpu, color=3, use_reserve=True).pfn for _ in range(5)]
    assert got == [39, 35, 31, 27, 23]
    uvm.audit()


@pytest.mark.parametrize("ncolors", [0, 3, -4, 512, "4", 2.0])
def test_a_number_of_colours_that_cannot_be_is_refused(boot: Boot, design: str, ncolors: Any) -> None:
    """Q13 and R1: a power of two within the limits of boot(); nothing has changed."""
    uvm = boot(design=design)
    spread(uvm)
    before = state(uvm)
    with pytest.raises(uvmfree.ArgumentError, match="ncolors"):
        uvm.recolor(ncolors)
    assert state(uvm) == before
    coloured(uvm, 4)


def test_there_and_back_again(boot: Boot, variant: dict[str, Any]) -> None:
    """Q13: as often as one likes, with allocations in between; nothing leaks."""
    uvm = boot(**variant, nfreelists=2)
    held = spread(uvm)
    for ncolors in (1, 16, 2, 8, 4):
        uvm.recolor(ncolors)
        coloured(uvm, ncolors)
        free_on(uvm, 0, held[:5])
        held = held[5:] + [take(uvm.cpus[1], use_reserve=True) for _ in range(3)]
    free_on(uvm, 1, held)
    settle(uvm)


def test_a_cpu_that_was_away_meanwhile_knows_the_new_colours(boot: Boot, design: str) -> None:
    """Q13 and R7: it comes back with a next colour that there is."""
    uvm = boot(design=design)
    free_on(uvm, 0, [take(uvm.cpus[1], color=2)])
    uvm.detach(1)
    uvm.recolor(2)
    uvm.attach(1)
    with uvm.run_on(1) as cpu:
        assert [take(cpu).color for _ in range(3)] == [1, 0, 1]
    uvm.audit()


def test_a_closed_system_is_not_recoloured(boot: Boot, design: str) -> None:
    """Q13: ClosedError."""
    uvm = boot(design=design)
    uvm.close()
    with pytest.raises(uvmfree.ClosedError):
        uvm.recolor(2)


@pytest.mark.sampled(3)
def test_while_all_cpus_are_at_work(boot: Boot, variant: dict[str, Any]) -> None:
    """Q13, R1 and R3: from another thread, again and again; each page has one holder and one place throughout."""
    changes = 12
    with boot(**variant, ncpus=3, npages=96, pagesize=512, redistribute_interval_s=0.002, idlezero=True) as uvm:
        over = threading.Event()
        done = [0, 0, 0]

        def work(index: int) -> None:
            with uvm.run_on(index) as cpu:
                while not over.is_set():
                    zero = done[index] % 3 == 0
                    pages = [cpu.pagealloc(zero, color=color) for color in (None, 0, 5, 9, None)]
                    for pg in pages:
                        if pg is not None:
                            assert not zero or is_zero(uvm, pg)
                            uvm.physmem.bytes_of(pg)[:2] = bytes((pg.pfn, index))
                    for pg in pages:
                        if pg is not None:
                            assert tuple(uvm.physmem.bytes_of(pg)[:2]) == (pg.pfn, index)
                            cpu.pagefree(pg)
                    done[index] += 1

        workers = [begin(lambda index=index: work(index)) for index in (0, 1)]  # type: ignore[misc]
        change = 0
        try:
            while change < changes or (min(done[:2]) < 3 and not any(worker.join(0) for worker in workers)):
                uvm.recolor(1 << change % 5)
                uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
                change += 1
        finally:
            over.set()
            finish(*workers)
        coloured(uvm, 1 << (change - 1) % 5)
        settle(uvm)
