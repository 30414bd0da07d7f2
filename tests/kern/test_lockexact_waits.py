"""A wait that goes on while it is counted: as far as it has gone, and from where counting begins anew."""

from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.machine.virtual.machine import VirtualMachine


def test_a_wait_is_counted_on_either_side_of_a_new_count() -> None:
    machine = VirtualMachine(ncpus=2, lock="mcs", lockstat=True)
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    seen: list[tuple[int, int]] = []

    def hold() -> None:
        with mutex.handle("uvm_pagealloc"):
            machine.sleep(100e-6)

    def wait() -> None:
        machine.sleep(10e-6)
        with mutex.handle("uvm_pagefree"):
            pass

    def look() -> None:
        machine.sleep(40e-6)
        note()
        mutex.restart()
        machine.sleep(20e-6)
        note()
        machine.sleep(80e-6)
        note()

    def note() -> None:
        (stat,) = (stat for stat in mutex.snapshot(by_caller=True) if stat.caller == "uvm_pagefree")
        seen.append((stat.wait_ns_total // 1000, stat.contended))

    tasks = [machine.spawn("a", hold, 0), machine.spawn("b", wait, 1), machine.spawn("meter", look)]
    assert machine.wait_for(tasks, lambda: False)
    assert seen == [(29, 0), (20, 0), (60, 1)]  # it came for the lock a little after 10 us
