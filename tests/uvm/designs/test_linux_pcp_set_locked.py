"""The page sets of Linux: a page that is freed while a set is locked, and a set that another thread takes over."""

import uvmfree
from tests.conformance.steps import free_all, take
from tests.kern.tasks import finish
from tests.mechanism.rig import SMALL, asleep
from uvmfree.uvm.designs.linux_pcp import LinuxPcpCpu


def test_a_page_freed_past_a_locked_set_wakes_who_waits_for_one() -> None:
    """R18: as soon as the zone has more than the reserve, while something is being paged out."""
    with uvmfree.boot(design="linux_pcp", **SMALL) as uvm:
        uvm.pageout.start(1)
        held = uvm.pglistalloc(53, nsegs=53)
        held.append(take(uvm.cpus[1], use_reserve=True))
        sleepers = asleep(uvm, 1)
        with uvm.design.guarding(0):
            while uvm.uvmexp.free <= uvm.uvmexp.reserve_kernel:
                assert uvm.pageout.waiters == 1
                uvm.cpus[0].pagefree(held.pop())
        assert uvm.pageout.waiters == 0
        finish(*sleepers)
        uvm.pageout.done(1)
        uvm.pglistfree(held)
        uvm.audit()


def test_who_takes_a_cpu_over_goes_on_with_its_set_as_large_as_it_was() -> None:
    uvm = uvmfree.boot(npages=65_536, ncpus=2, design="linux_pcp", redistribute_interval_s=3600)

    def sizes(cpu: object) -> tuple[int, int, int, int]:
        assert isinstance(cpu, LinuxPcpCpu)
        return cpu.high, cpu.alloc_factor, cpu.free_count, cpu.pages

    with uvm.run_on(0) as cpu:
        held = [take(cpu) for _ in range(600)]
        while sizes(cpu)[1] < 4:  # after another miss
            held.append(take(cpu))
        free_all(cpu, [held.pop()])
        free_all(uvm.cpus[1], held)
        before = sizes(cpu)
        assert min(before) > 0
    with uvm.run_on(0) as cpu:
        assert sizes(cpu) == before
    uvm.audit()
    uvm.close()
