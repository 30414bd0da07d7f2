"""A CPU that does nothing is idle to the depot, whatever is booked on it by who plays no CPU."""

import uvmfree
from tests.conformance.steps import free_all, take
from tests.uvm.designs.depots import boot, depot_of


def test_what_the_pagedaemon_frees_on_its_account_keeps_no_cpu_awake() -> None:
    """The daemon and its I/O thread free past all caches, accounted to some CPU: its pages go back all the same."""
    with boot(uvmfree.VirtualMachine(ncpus=2, seed=1), redistribute_interval_s=1.0) as uvm:
        idle = uvm.cpus[1]
        free_all(idle, [take(idle) for _ in range(100)])
        odd = [pg for pg in uvm.pglistalloc(40, nsegs=40) if pg.pfn % 2]
        frees = idle.stats().frees
        for pg in odd[:8]:
            uvm.machine.sleep(0.02)
            uvm.design.pagefree_global(pg)
        assert idle.stats().frees - frees == 8, "they are booked there"
        assert uvm.cached_pages() == (0, 0)
        assert depot_of(uvm).credits.idle_ns(1) > 0.1e9
        free_all(uvm.cpus[0], odd[8:])
