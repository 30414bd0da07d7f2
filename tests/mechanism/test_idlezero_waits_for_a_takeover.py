"""A page in zeroing that is to go back while another thread takes its CPU over, or away (R16)."""

from collections.abc import Callable

import pytest

import uvmfree
from tests.mechanism.rig import BOTH


def taken_over(uvm: uvmfree.Uvm) -> None:
    with uvm.run_on(0):
        pass


def detached(uvm: uvmfree.Uvm) -> None:
    uvm.detach(0)


@pytest.mark.parametrize("happens", [taken_over, detached])
@pytest.mark.parametrize("design", BOTH)
def test_it_goes_to_whose_the_cpu_is_by_then_and_leaves_its_lock_free(
    design: str, happens: Callable[[uvmfree.Uvm], None]
) -> None:
    """Whoever puts the page back is behind the other in the queue for the CPU's lock."""
    machine = uvmfree.VirtualMachine(ncpus=2)
    with uvmfree.boot(machine, npages=64, ncpus=2, ncolors=2, design=design) as uvm:
        cpu, guard = uvm.cpus[0], uvm.design.guard(0).handle("uvm_test")
        for pg in [cpu.pagealloc() for _ in range(8)]:
            cpu.pagefree(pg)  # type: ignore[arg-type]

        def holds() -> None:
            with guard:
                machine.sleep(0.01)

        others = []

        def runnable() -> bool:
            if others:
                return len(cpu.zeroing()) == 0
            if cpu.zeroing():
                for body in (holds, lambda: happens(uvm)):
                    others.append(machine.spawn("other", body))
                    machine.sleep(0.001)  # until it holds the lock, or waits for it
            return False

        cpu.pageidlezero(runnable)
        assert [(other.join(1), other.error) for other in others] == [(True, None)] * 2
        uvm.audit()
        assert sum(each.zeroed for each in uvm.cpu_stats()) > 0
