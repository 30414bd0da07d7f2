"""The disk in virtual time: latencies overlap, bytes follow each other, and a CPU is free while it waits."""

import os
from typing import Any

import pytest

import uvmfree
from tests.machine.virtual_rig import costs, run
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.strands import greenlets_work
from uvmfree.workload.driver import drive
from uvmfree.workload.pressure import pressure

LATENCY, PAGE = 1000, 100


def machine(**more: Any) -> VirtualMachine:
    return VirtualMachine(ncpus=2, costs=costs(disk_latency=LATENCY, disk_page=PAGE, **more), check=True)


def test_transfers_at_the_same_time() -> None:
    made, seen = machine(), []

    def transfer(file: int, data: Any, place: int) -> tuple[int, int]:
        return file, place

    def read() -> None:
        seen.append((made.disk(transfer)(3, 4096, 8), made.clock_ns()))

    def write() -> None:
        seen.append((made.disk(transfer)(4, memoryview(bytes(2 * 4096)), 0), made.clock_ns()))

    def works() -> None:
        made.charge(500)
        seen.append(((0, 0), made.clock_ns()))

    run(made, [(0, read), (1, write), (0, works)])
    assert seen == [((0, 0), 500), ((3, 8), LATENCY + PAGE), ((4, 0), LATENCY + 3 * PAGE)]


@pytest.mark.skipif(
    not greenlets_work(), reason="threads that pass a baton take minutes for that on a host with other work"
)
@pytest.mark.sampled(1)
@pytest.mark.parametrize("design", list(uvmfree.DESIGNS))
def test_swap_waits_for_it(design: str) -> None:
    faults = []
    for latency in (0, 200_000):
        made = VirtualMachine(ncpus=2, costs=costs(disk_latency=latency, disk_page=0))
        uvm = uvmfree.boot(machine=made, npages=256, ncpus=2, design=design)
        load = pressure(uvm, 0.01)
        with uvm:
            drive(uvm, load.bodies)
            assert load.anons is not None
            faults.append(load.anons.stats().faults)
            load.release()
    assert faults[1] < faults[0] / 2


def test_threads_have_the_disk_of_the_host() -> None:
    assert ThreadsMachine().disk(os.pread) is os.pread
