"""Several anon maps of one system: each has a number of its own, and the daemon's counts are those of all."""

import uvmfree

PAGESIZE = 512


def test_each_map_has_a_number_that_no_other_has() -> None:
    """It is stamped into every page: two maps of one number could not tell whose a page is."""
    uvm = uvmfree.boot(npages=64, ncpus=1, pagesize=PAGESIZE)
    maps = [uvm.anon_memory(4, 4) for _ in range(3)]
    assert [one.owner for one in maps] == [1, 2, 3]
    uvm.close()


def test_what_the_daemon_freed_and_wrote_is_counted_over_all_maps() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1, pagesize=PAGESIZE)
    one, other = uvm.anon_memory(8, 8), uvm.anon_memory(8, 8)
    for anons, clean, dirty in ((one, 2, 1), (other, 3, 2)):
        for index in range(clean + dirty):
            anons.touch(uvm.cpus[0], index, write=index < dirty)
            assert anons.reclaim_one()
    assert (one.pdfreed, other.pdfreed, one.pdpageouts, other.pdpageouts) == (2, 3, 1, 2)
    counted = uvm.uvmexp.snapshot()
    assert (counted.pdfreed, counted.pdpageouts, counted.paging) == (5, 3, 3)
    with uvm:
        pass
