"""What hardly ever happens: a page that is half a page, one that is being zeroed and free, calls after the end."""

from typing import Any

import pytest

import uvmfree
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import traits_of
from uvmfree.uvm.page import VmPage


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_an_error_inside_a_free_is_not_taken_for_a_wrong_argument(design: str) -> None:
    """R13: a page that lacks its fields is a bug here, and said as it is; the lock is free afterwards."""
    uvm = uvmfree.boot(npages=64, ncpus=1, design=design)
    with pytest.raises(AttributeError, match="on"):
        uvm.cpus[0].pagefree(VmPage.__new__(VmPage))
    uvm.audit()
    uvm.close()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_page_that_is_being_zeroed_and_stands_on_a_list_is_found(design: str) -> None:
    """R16: it may be in one place only."""
    uvm = uvmfree.boot(npages=64, ncpus=1, design=design)
    cpu: Any = uvm.cpus[0]
    pg = cpu.pagealloc()
    cpu.pagefree(pg)
    cpu._zeroing.append(pg)
    with pytest.raises(uvmfree.AuditError, match=r"is being zeroed by CPU 0 and stands on a free list \(R16\)"):
        uvm.audit()
    cpu._zeroing.clear()
    uvm.audit()
    uvm.close()


@pytest.mark.parametrize("design", [name for name in uvmfree.DESIGNS if traits_of(uvmfree.Param(design=name)).zeros])
def test_a_zeroed_page_finds_its_cpu_again_though_it_is_just_taken_over(
    design: str,
) -> None:
    """R16: the Cpu that was looked up is left behind before its lock is taken; its successor puts the page back."""
    uvm = uvmfree.boot(npages=64, ncpus=1, ncolors=1, design=design)
    cpu = uvm.cpus[0]
    held = [pg for pg in (cpu.pagealloc() for _ in range(4)) if pg is not None]
    for pg in held:
        cpu.pagefree(pg)
    looked_up: list[Cpu] = []

    class Peers(list[Cpu]):
        def __getitem__(self, index: Any) -> Any:
            found = uvm.cpus[index]
            if not looked_up:
                with uvm.run_on(index):
                    pass
            looked_up.append(found)
            return found

    cpu._cpus = Peers()
    pg = cpu._idle_take()
    assert pg is not None
    cpu._zeroed(pg, cpu._zero_unless(pg, lambda: False))
    assert looked_up == [cpu, uvm.cpus[0]]
    assert uvm.cpus[0].stats().zeroed == 1
    assert pg.zeroed
    uvm.audit()
    uvm.close()


def test_a_closed_system_has_no_bytes() -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1)
    uvm.close()
    with pytest.raises(uvmfree.ClosedError, match="given back"):
        uvm.physmem.ram()


def test_a_drain_that_comes_after_the_last_cross_call_does_nothing() -> None:
    """P10: the daemon may still be in a pass when the xc threads end."""
    with uvmfree.boot(npages=64, ncpus=1) as uvm:
        uvm.xcall.close()
        pages = uvm.pglistalloc(64, nsegs=64)
        uvm.cpus[0].pagefree(pages[0])
        uvm.pagedaemon.one_pass()
        assert uvm.redistributions()["pressure"] == uvm.redistributions()["rate-limited"] == 0
        assert uvm.cached_pages() == (1,)
