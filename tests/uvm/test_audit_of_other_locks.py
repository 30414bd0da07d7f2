"""What audit() makes of a lock that is no design's: it waits as long as CPUs get on, and no longer."""

import pytest

import uvmfree
from tests.conformance.steps import take
from uvmfree.errors import AuditError
from uvmfree.uvm.leftheld import AUDIT_LOCK_S


@pytest.mark.parametrize("misses", [True, False])
def test_it_waits_for_who_holds_it_while_a_cpu_only_misses(misses: bool) -> None:
    machine = uvmfree.VirtualMachine(ncpus=2)
    uvm = uvmfree.boot(machine, npages=256, ncpus=2, design="percpu")
    handle = uvm.pageout.mutex.handle("test")
    cpu = uvm.cpus[1]

    def holds() -> None:
        with handle:
            machine.sleep(1.5 * AUDIT_LOCK_S)

    def works() -> None:
        for _ in range(10):
            if misses:
                take(cpu)
            machine.sleep(AUDIT_LOCK_S / 4)

    tasks = [machine.spawn("holds", holds, 0), machine.spawn("works", works, 1)]
    machine.sleep(1e-3)
    if misses:
        uvm.audit()
    else:
        with pytest.raises(AuditError, match=f"{uvm.pageout.mutex.name} is held for good"):
            uvm.audit()
    assert machine.wait_for(tasks, lambda: False)
    assert (cpu.stats().cpuhit, cpu.stats().cpumiss) == (0, 10 * misses)
    uvm.audit()
    uvm.close()
