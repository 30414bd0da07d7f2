"""Anon maps of a booted system: its own pagedaemon reclaims from them, in every design."""

import pytest

import uvmfree
from tests.kern.tasks import begin, finish
from tests.threads.programs import quiet
from uvmfree.uvm.anonpage import AnonState

NPAGES = 512
PAGESIZE = 512


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_r17_to_r22_a_map_larger_than_ram_is_kept_going_by_the_daemon(design: str) -> None:
    """Each page is written, goes to swap when it must, and comes back as it was; at the end all pages are free."""
    uvm = uvmfree.boot(npages=NPAGES, ncpus=2, pagesize=PAGESIZE, design=design, lockdebug=True, lockstat=True)
    anons = uvm.anon_memory(2 * NPAGES, 2 * NPAGES)
    with uvm:
        with uvm.run_on(0) as cpu:
            for _ in range(2):
                for index in range(2 * NPAGES):
                    anons.touch(cpu, index, write=True)
            counts = uvm.uvmexp.snapshot()
            assert counts.pdfreed >= 3 * NPAGES
            assert counts.pdpageouts >= counts.pdfreed >= NPAGES
            assert counts.pdwoke
            anons.free_all(cpu)
        quiet(uvm)  # the daemon may have a clean page in hand, parted from its anon and not freed yet
        anons.audit()
        uvm.audit()
        uvm.redistribute()
        assert anons.state(0) is AnonState.UNTOUCHED
        assert uvm.uvmexp.free == NPAGES
        assert {"uvm_pageqlock", "swapio"} <= {record.name for record in uvm.lockstat()}


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_page_that_the_daemon_frees_counts_as_free_at_once(design: str) -> None:
    """It goes past all caches (P5 would hide it); what is no free page of the system's is refused (R13)."""
    with uvmfree.boot(npages=64, ncpus=2, pagesize=PAGESIZE, design=design, redistribute_interval_s=3600) as uvm:
        pages = [uvm.cpus[0].pagealloc() for _ in range(8)]
        free = uvm.uvmexp.free
        for pg in pages:
            assert pg is not None
            uvm.design.pagefree_global(pg)
        assert uvm.uvmexp.free == free + 8
        uvm.audit()
        with pytest.raises(uvmfree.DoubleFree):
            uvm.design.pagefree_global(pages[0])  # type: ignore[arg-type]
        other = uvmfree.boot(npages=64, ncpus=2, pagesize=PAGESIZE)
        pg = other.cpus[0].pagealloc()
        with pytest.raises(uvmfree.ForeignPage):
            uvm.design.pagefree_global(pg)  # type: ignore[arg-type]
        other.close()
        uvm.detach(0)
        pg = uvm.cpus[1].pagealloc()
        assert pg is not None
        uvm.design.pagefree_global(pg)
        uvm.audit()


def test_maps_are_made_before_the_system_starts() -> None:
    with (
        uvmfree.boot(npages=64, ncpus=1, pagesize=PAGESIZE) as uvm,
        pytest.raises(uvmfree.ArgumentError, match="before"),
    ):
        uvm.anon_memory(64, 64)


def test_a_system_with_pages_on_their_way_to_swap_closes() -> None:
    """What is queued is written and freed before the pages go."""
    uvm = uvmfree.boot(npages=NPAGES, ncpus=1, pagesize=PAGESIZE)
    anons = uvm.anon_memory(2 * NPAGES, 2 * NPAGES)
    with uvm, uvm.run_on(0) as cpu:
        for index in range(2 * NPAGES):
            anons.touch(cpu, index, write=True)


def test_a_snapshot_waits_for_no_map() -> None:
    """P1: whoever reads the counters re-checks all the time, and shall not stand in the way of those who work."""
    uvm = uvmfree.boot(npages=64, ncpus=2, pagesize=PAGESIZE)
    anons = uvm.anon_memory(64, 64)
    with uvm:
        with anons.mutex.handle("test"):
            finish(begin(lambda: uvm.uvmexp.snapshot()))
        assert uvm.uvmexp.snapshot().pdfreed == anons.stats().pdfreed
