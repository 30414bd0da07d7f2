"""Who gets at what a CPU has cached, in every design: ranged allocation, the daemon, a failing search, an heir."""

import pytest

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, by_frame, cached, free_all, take, take_all
from tests.kern.tasks import WAIT_S


def test_ranged_allocation_finds_what_is_cached(boot: Boot) -> None:
    """P7 and R28: whichever CPU holds it, and a run as well as any pages; the cache that has it is handed back."""
    uvm = boot(npages=128)
    npages, traits = uvm.param.npages, uvm.traits
    for index, cpu in enumerate(uvm.cpus):
        free_all(cpu, by_frame(uvm, 12 * (index + 1)))
    was = cached(uvm)
    run = uvm.pglistalloc(10)
    assert [pg.pfn for pg in run] == list(range(run[0].pfn, run[0].pfn + 10))
    pages = uvm.pglistalloc(npages - 10, nsegs=npages)
    assert {pg.pfn for pg in pages + run} == set(range(npages))
    assert (uvm.uvmexp.free, cached(uvm)) == (0, 0)
    assert bool(uvm.redistributions()["pglistalloc"]) == bool(was)
    assert not was or "pglistalloc" in traits.causes
    uvm.audit()
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(1)


def test_a_ranged_allocation_that_fails_leaves_the_caches_alone(boot: Boot) -> None:
    """R27: all or nothing."""
    uvm = boot(npages=128)
    free_all(uvm.cpus[1], by_frame(uvm, 30))
    held = take(uvm.cpus[0])
    before = uvm.cached_pages(), uvm.uvmexp.free, uvm.redistributions()
    with pytest.raises(uvmfree.OutOfPages):
        uvm.pglistalloc(uvm.param.npages)
    assert (uvm.cached_pages(), uvm.uvmexp.free, uvm.redistributions()) == before
    uvm.cpus[0].pagefree(held)


def test_what_the_daemon_gets_back_under_pressure(boot: Boot) -> None:
    """P10: it is told that memory is short, and has caches handed back, of all CPUs or of its own."""
    with boot(npages=128, ncpus=3) as uvm:
        few = uvm.uvmexp.freemin - 1
        for number, pg in enumerate(by_frame(uvm, uvm.param.npages)[:few]):
            uvm.cpus[number % 3].pagefree(pg)
        was = uvm.cached_pages()
        assert uvm.pageout.is_short(uvm.uvmexp.free)
        uvm.pagedaemon.one_pass()
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
        given = uvm.redistributions()["pressure"]
        if "pressure" in uvm.traits.causes and uvm.traits.short == "store":
            full = sum(map(bool, was))
            assert uvm.cached_pages()[0] < was[0]
            assert given in (1, full), f"{given} of {full} CPUs with cached pages handed them back"
        elif "pressure" not in uvm.traits.causes:
            assert (given, uvm.cached_pages()) == (0, was)
        assert all_free(uvm) == few


def test_a_search_that_fails_beside_cached_pages(boot: Boot) -> None:
    """Q5: what other CPUs have cached is as good as none, unless the design hands it back, or steals it."""
    uvm = boot(npages=64)
    free_all(uvm.cpus[0], by_frame(uvm, uvm.param.npages)[: 8 * uvm.traits.refill])
    was, parked = uvm.cached_pages()[0], uvm.design.parked()
    taken = take_all(uvm.cpus[1], use_reserve=True)
    if "retry" in uvm.traits.causes:
        assert uvm.redistributions()["retry"] == 1
        assert len(taken) == 8 * uvm.traits.refill - 1
        assert cached(uvm) == 0
    elif uvm.traits.steals:
        assert len(taken) >= 8 * uvm.traits.refill - uvm.uvmexp.free
        assert cached(uvm) == 0
    else:
        assert uvm.redistributions()["retry"] == 0
        assert uvm.cached_pages() == (was, 0)
        assert len(taken) == parked + max(0, 8 * uvm.traits.refill - was - parked - 1)


def test_a_cpu_that_goes_leaves_its_pages_to_the_others(boot: Boot) -> None:
    """Q13: none is lost, none is with a CPU that is not there, and the CPU may come back."""
    uvm = boot(npages=128, ncpus=3)
    free_all(uvm.cpus[2], by_frame(uvm, 40))
    uvm.detach(2)
    assert uvm.cached_pages()[2] == 0
    lost = uvm.param.npages - all_free(uvm)
    assert not lost, f"{lost} pages went with the CPU that was detached: chop() and leave() give all"
    assert 2 not in {pg.owner for pg in uvm.physmem}
    uvm.audit()
    with pytest.raises(uvmfree.BindError, match="CPU 2 is detached"):
        uvm.cpus[2].pagealloc()
    uvm.attach(2)
    uvm.cpus[2].pagefree(take(uvm.cpus[2]))
    uvm.recolor(8)
    uvm.audit()
    assert len(by_frame(uvm, uvm.param.npages)) == uvm.param.npages
