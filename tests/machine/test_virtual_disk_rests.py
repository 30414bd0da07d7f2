"""The disk in virtual time after a rest: a transfer takes its time from when it is asked for."""

from tests.machine.virtual_rig import costs, run
from uvmfree.machine.virtual.machine import VirtualMachine

LATENCY, PAGE = 1000, 100


def test_a_disk_that_rested_saved_nothing() -> None:
    made = VirtualMachine(ncpus=1, costs=costs(disk_latency=LATENCY, disk_page=PAGE), check=True)
    read, seen = made.disk(lambda file, data, place: None), []

    def works() -> None:
        for _ in range(2):
            made.charge(5000)
            began_ns = made.clock_ns()
            read(3, 4096, 0)
            seen.append(made.clock_ns() - began_ns)

    run(made, [(0, works)])
    assert seen == [LATENCY + PAGE] * 2
