"""What a CPU counts, held against what its store and its cache show from outside, for every design that caches."""

import random

import pytest

import uvmfree

CACHING = [name for name in uvmfree.DESIGNS if name not in ("fpageqlock", "llfree")]


def store(uvm: uvmfree.Uvm, cpu: uvmfree.Cpu) -> int:
    """What changes whenever the store does: how many pages it has, or, where `free` is all, what was taken off it."""
    return uvm.uvmexp.free if uvm.traits.free == "store" else cpu.stats().filled


@pytest.mark.whole
@pytest.mark.parametrize("design", CACHING)
def test_a_hit_is_an_allocation_that_takes_nothing_off_the_store(design: str) -> None:
    draw, held = random.Random(1), list[uvmfree.VmPage]()
    allocs = hits = 0
    with (
        uvmfree.boot(
            npages=1024, ncpus=2, ncolors=4, own=(("freebsd_pgcache.cache_fraction", 2),), design=design
        ) as uvm,
        uvm.run_on(0) as cpu,
    ):
        for step in range(900):
            if held and draw.random() < (0.2, 0.8)[step // 180 % 2]:  # so that caches fill up, and run empty
                cpu.pagefree(held.pop(draw.randrange(len(held))))
                continue
            stood, counted = store(uvm, cpu), cpu.stats().cpuhit
            pg = cpu.pagealloc()
            assert pg is not None
            held.append(pg)
            allocs += 1
            hit = store(uvm, cpu) == stood
            hits += hit
            assert cpu.stats().cpuhit - counted == hit
        stats, cached = cpu.stats(), uvm.cached_pages()
        assert (stats.allocs, stats.cpuhit, stats.cpumiss) == (allocs, hits, allocs - hits)
        assert 0 < hits < allocs
        assert stats.colorhit + stats.colormiss == allocs
        assert stats.cached == stats.frees + stats.filled - stats.allocs - stats.drained == cached[0]
        assert cached[1] == 0
        for pg in held:
            cpu.pagefree(pg)
        uvm.audit()
