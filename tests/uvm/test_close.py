"""A closed system gives its memory back at once, not when the garbage collector comes round."""

import gc
import weakref

import pytest

import uvmfree


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_ram_goes_with_the_system(design: str) -> None:
    gc.collect()
    gc.disable()
    try:
        with uvmfree.boot(npages=256, ncpus=2, design=design) as uvm, uvm.run_on(1) as cpu:
            pg = cpu.pagealloc(zero=True)
            assert pg is not None
            ram = weakref.ref(uvm.physmem._ram)
            assert ram() is not None
        assert ram() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_call_that_is_overtaken_by_the_end_says_so(design: str) -> None:
    """The RAM may go between the lock of an allocation and the zeroing after it."""
    uvm = uvmfree.boot(npages=256, ncpus=1, design=design)
    cpu = uvm.cpus[0]
    pg = cpu.pagealloc()
    assert pg is not None
    uvm.close()
    with pytest.raises(uvmfree.ClosedError):
        cpu._pagezero(pg)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_page_that_comes_back_too_late_is_named(design: str) -> None:
    """R13: freed past the caches, as the daemon's I/O threads do, to a system that has no CPU left."""
    uvm = uvmfree.boot(npages=64, ncpus=2, design=design)
    pg = uvm.cpus[1].pagealloc()
    assert pg is not None
    uvm.close()
    with pytest.raises(uvmfree.ClosedError, match=f"<page {pg.pfn:#x}.*was freed to a system that is closed"):
        uvm._design.pagefree_global(pg)
