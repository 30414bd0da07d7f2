"""NetBSD 10: whom a miss wakes. As long as a bucket gives a page nobody is, however short memory is."""

import uvmfree
from tests.conformance.steps import take
from uvmfree.uvm.designs.netbsd10 import FILLPGS


def test_the_daemon_is_woken_when_all_buckets_have_refused_and_not_before() -> None:
    uvm = uvmfree.boot(npages=1024, ncpus=2, ncolors=2, pagesize=1 << 12, design="netbsd10", nbuckets=2)
    reserve = uvm.uvmexp.reserve_kernel
    for number in (0, 1):  # a page above the reserve in each bucket
        of = [pg for pg in uvm.physmem if uvm.design.store.number_of(pg) == number]
        kept = {pg.pfn for pg in of[: reserve + 1]}
        for pg in of:
            if pg.pfn not in kept:
                uvm.pglistalloc(1, low=pg.pfn, high=pg.pfn + 1)
    assert uvm.uvmexp.free == 2 * reserve + 2 < uvm.uvmexp.freemin
    cpu, kicks = uvm.cpus[0], uvm.pageout.kicks
    assert [uvm.design.store.number_of(take(cpu)) for _ in range(2)] == [0, 1]
    assert uvm.pageout.kicks == kicks
    assert cpu.pagealloc() is None
    assert uvm.pageout.kicks == kicks + 1
    uvm.audit()
    uvm.close()


def test_of_a_fill_the_page_that_stood_deepest_goes_out_first() -> None:
    """An array is filled from the head of the list, and emptied from its own end (uvm_pagealloc_pgb)."""
    with uvmfree.boot(npages=256, ncpus=2, ncolors=1, design="netbsd10", nbuckets=1) as uvm:
        (stood,) = [frames for frames in uvm.free_frames() if frames]
        head, *fill = stood[::-1][: 1 + FILLPGS]
        assert [take(uvm.cpus[0]).pfn for _ in range(1 + FILLPGS)] == [head, *fill[::-1]]
