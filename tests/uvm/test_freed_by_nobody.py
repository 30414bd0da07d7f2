"""Pages that are freed by a thread that plays no CPU, and what a run of pages leaves to those who play one."""

import pytest

import uvmfree


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_they_go_to_the_attached_cpu_of_the_lowest_number(design: str) -> None:
    with uvmfree.boot(npages=256, ncpus=3, design=design) as uvm:
        with uvm.run_on(2) as cpu:
            pages = [cpu.pagealloc() for _ in range(4)]
        uvm.detach(0)
        for pg in pages:
            assert pg is not None
            uvm.pagefree(pg)
        assert [stats.frees for stats in uvm.cpu_stats()] == [0, 4, 0]
        uvm.audit()


@pytest.mark.parametrize("design", ["linux_pcp", "llfree"])
def test_runs_that_leave_the_reserve_leave_it_to_kernel_threads(design: str) -> None:
    """R6: also where a CPU has found memory enough just before, and asks only now and then."""
    own = (("llfree.tree_pages", 64),) if design == "llfree" else ()
    with uvmfree.boot(npages=1024, ncpus=1, design=design, own=own) as uvm, uvm.run_on(0) as cpu:
        assert uvm.traits.gate == "system"
        first = cpu.pagealloc()
        assert first is not None
        spare, above = uvm.uvmexp.marks.reserve_kernel + 1, uvm.param.npages - 1 - first.pfn
        cut = spare if above >= spare else 0
        run = [
            pg
            for size in (first.pfn - (spare - cut), above - cut)
            for pg in (uvm.pglistalloc(size, alignment=1, nsegs=1) if size > 0 else ())
        ]
        assert len(run) == uvm.param.npages - 1 - spare
        left = [cpu.pagealloc() for _ in range(3)]
        assert [pg is not None for pg in left] == [True, False, False]
        uvm.pglistfree(run)
        for pg in (first, left[0]):
            assert pg is not None
            cpu.pagefree(pg)
        uvm.audit()
