"""close() on a thread of the system itself, which it would wait for: refused, and nothing has changed."""

import os
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S


def test_on_an_xc_thread() -> None:
    with uvmfree.boot(npages=64, ncpus=2) as uvm:
        ticket = uvm.xcall.unicast(lambda cpu: uvm.close(), 1)
        with pytest.raises(uvmfree.XcallError) as raised:
            uvm.xcall.wait(ticket, WAIT_S)
        assert isinstance(raised.value.__cause__, uvmfree.DeadlockError)
        uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: cpu.pagealloc()), WAIT_S)
        uvm.audit()


def test_on_the_pagedaemon() -> None:
    class Closes:
        asked: list[str] = []  # noqa: RUF012

        def needs_scan(self) -> bool:
            return False

        def reclaim_one(self) -> bool:
            try:
                uvm.close()
            except uvmfree.DeadlockError as error:
                self.asked.append(str(error))
            return False

    uvm: Any = uvmfree.boot(npages=64, ncpus=1)
    uvm.pagedaemon.add_reclaimer(Closes())
    with uvm:
        held = [uvm.cpus[0].pagealloc(use_reserve=True) for _ in range(64)]
        uvm.wait(WAIT_S)
        assert Closes.asked
        for pg in filter(None, held):
            uvm.pagefree(pg)
        uvm.audit()


def test_on_an_io_thread_of_swap() -> None:
    said: list[str] = []

    def pwrite(fd: int, data: memoryview, offset: int) -> int:
        try:
            uvm.close()
        except uvmfree.DeadlockError as error:
            said.append(str(error))
        return os.pwrite(fd, data, offset)

    uvm: Any = uvmfree.boot(npages=64, ncpus=1)
    anons = uvm.anon_memory(128, 128, pwrite=pwrite)
    with uvm:
        for index in range(128):
            anons.touch(uvm.cpus[0], index, write=True)
    assert said


def test_in_a_cpu_thread_it_works() -> None:
    """It waits for the system's own threads only."""
    uvm = uvmfree.boot(npages=64, ncpus=1)
    with uvm, uvm.run_on(0) as cpu:
        uvm.close()
        with pytest.raises(uvmfree.ClosedError):
            cpu.pagealloc()
