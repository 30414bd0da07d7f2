"""A closed system gives its memory back at once, not when the garbage collector comes round."""

import gc
import weakref

import pytest

import uvmfree
from tests.mechanism.rig import ReleaseMachine, own_lock
from uvmfree.machine.face import Ram
from uvmfree.machine.threads import ThreadsMachine


class RamMachine(ThreadsMachine):
    """Remembers the RAM that it made, as long as somebody has it."""

    made: weakref.ref[Ram]

    def ram(self, nbytes: int) -> Ram:
        ram = super().ram(nbytes)
        self.made = weakref.ref(ram)
        return ram


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_ram_goes_with_the_system(design: str) -> None:
    gc.collect()
    gc.disable()
    try:
        machine = RamMachine()
        with uvmfree.boot(machine, npages=256, ncpus=2, design=design) as uvm, uvm.run_on(1) as cpu:
            pg = cpu.pagealloc(zero=True)
            assert pg is not None
            assert machine.made() is not None
        assert machine.made() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_call_that_is_overtaken_by_the_end_says_so(design: str) -> None:
    """The RAM may go between the lock of an allocation and the zeroing after it."""
    machine = ReleaseMachine()
    uvm = uvmfree.boot(machine, npages=256, ncpus=1, design=design)
    machine.at, machine.then = own_lock(design, 0), uvm.close
    with pytest.raises(uvmfree.ClosedError):
        uvm.cpus[0].pagealloc(zero=True)
    assert machine.at == ""
    assert uvm.cpu_stats()[0].zeromiss == 1  # it had its page, and no RAM any more


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_page_that_comes_back_too_late_is_named(design: str) -> None:
    """R13: freed past the caches, as the daemon's I/O threads do, to a system that has no CPU left."""
    uvm = uvmfree.boot(npages=64, ncpus=2, design=design)
    pg = uvm.cpus[1].pagealloc()
    assert pg is not None
    uvm.close()
    with pytest.raises(uvmfree.ClosedError, match=f"<page {pg.pfn:#x}.*was freed to a system that is closed"):
        uvm.design.pagefree_global(pg)
