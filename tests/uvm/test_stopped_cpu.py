"""What may still be asked of a Cpu that was stopped: what it counted, and what it caches, which is nothing."""

import pytest

import uvmfree
from uvmfree.uvm.cpu import Cpu


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_detached_cpu_caches_nothing_and_can_be_redistributed(design: str) -> None:
    """Q13: nobody need know whether it is there; only its calls refuse."""
    with uvmfree.boot(npages=2048, ncpus=2, design=design) as uvm:
        for pg in [uvm.cpus[1].pagealloc() for _ in range(8)]:
            assert pg is not None
            uvm.cpus[1].pagefree(pg)
        gone, stats = uvm.cpus[1], uvm.cpus[1].stats()
        uvm.detach(1)
        assert uvm.redistribute(1) == 0
        assert list(gone.lists()) == gone.chop() == []
        assert gone.cached() == gone.stats().cached == 0
        assert gone.stats().allocs == stats.allocs
        with pytest.raises(uvmfree.BindError, match="CPU 1 is detached"):
            gone.pagealloc()
        uvm.audit()


def test_a_cpu_without_slots_is_refused() -> None:
    """It would keep what it has in its dictionary, and go on after it was stopped."""
    with pytest.raises(TypeError, match="has no __slots__"):
        type("Careless", (Cpu,), {})
