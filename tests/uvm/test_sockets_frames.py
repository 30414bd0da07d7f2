"""Stores of sockets: a page that nobody chained is where its frame is, in the part of RAM that its socket has."""

import uvmfree
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.machine import VirtualMachine


def test_each_socket_has_its_half_of_ram() -> None:
    machine = VirtualMachine(ncpus=4, costs=costs_for(socket_cores=2, complex_cores=2))
    with uvmfree.boot(machine, npages=1026, ncpus=4, design="depot", per_socket=True) as uvm:
        parts = uvm.design.store.parts
        frames = [sorted(pg.pfn for unit in part.lists() for pg in unit.pages()) for part in parts]
        assert frames == [list(range(513)), list(range(513, 1026))]
        pages = uvm.pglistalloc(1000, nsegs=1000)
        uvm.recolor(16)
        frames = [sorted(pg.pfn for unit in part.lists() for pg in unit.pages()) for part in parts]
        assert sum(map(len, frames)) == 26
        assert all(pfn * 2 // 1026 == socket for socket, part in enumerate(frames) for pfn in part)
        uvm.pglistfree(pages)
