"""Whoever asks for zeros gets them, whichever way the page comes, in every design; looked at in the page's bytes."""

from typing import Any

import pytest

import uvmfree

ZEROS, DIRT = bytes(512), b"\xa5" * 512


def got(cpu: uvmfree.Cpu, uvm: uvmfree.Uvm, count: int, **asked: Any) -> list[uvmfree.VmPage]:
    """Allocate so many zeroed pages, look at them, and write to them."""
    pages = []
    for _ in range(count):
        pg = cpu.pagealloc(zero=True, **asked)
        assert pg is not None
        assert uvm.physmem.bytes_of(pg) == ZEROS
        uvm.physmem.bytes_of(pg)[:] = DIRT
        pages.append(pg)
    return pages


@pytest.mark.whole
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_zeros_where_zeros_were_asked_for(design: str) -> None:
    with (
        uvmfree.boot(npages=4096, pagesize=512, ncpus=1, ncolors=2, design=design, count_cached=True) as uvm,
        uvm.run_on(0) as cpu,
    ):
        asked = 0
        for spare in (4000, 60):  # plenty of memory, and little
            held = [pg for pg in (cpu.pagealloc() for _ in range(4096 - spare)) if pg is not None]
            for pg in held:
                uvm.physmem.bytes_of(pg)[:] = DIRT
            for pg in held[-40:]:
                cpu.pagefree(pg)
            del held[-40:]
            for wish in ({}, {"color": 1}, {"use_reserve": True}):
                pages = got(cpu, uvm, 20, **wish)
                asked += 20
                for pg in pages:
                    cpu.pagefree(pg)
            for pg in held:
                cpu.pagefree(pg)
        stats = cpu.stats()
        assert (stats.zerohit + stats.zeromiss, stats.zerohit) == (asked, 0)
        uvm.audit()


def test_zeros_past_a_set_that_is_locked() -> None:
    """Of linux_pcp: from the zone, where somebody else has freed a page that was written to."""
    with (
        uvmfree.boot(npages=4096, pagesize=512, ncpus=1, design="linux_pcp") as uvm,
        uvm.run_on(0) as cpu,
    ):
        for pg in uvm.physmem:
            uvm.physmem.bytes_of(pg)[:] = DIRT
        with uvm.design.guarding(0):
            got(cpu, uvm, 3)
