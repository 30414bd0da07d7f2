"""The depot: how much of a CPU's pages go to it when the CPU has too many."""

from tests.uvm.designs.depots import EXCHANGE, boot, depot_of
from uvmfree.machine.virtual.machine import VirtualMachine


def test_half_of_what_the_cpu_may_keep_goes_in_whole_units() -> None:
    with boot(ncpus=1, npages=8192) as uvm:
        (cpu,) = uvm.cpus
        pages = uvm.pglistalloc(2 * EXCHANGE, nsegs=2 * EXCHANGE)
        for pg in pages[:-1]:
            cpu.pagefree(pg)
        assert (uvm.cpu_stats()[0].drained, uvm.cached_pages()) == (0, (2 * EXCHANGE - 1,))
        cpu.pagefree(pages[-1])
        assert (uvm.cpu_stats()[0].drained, uvm.cached_pages()) == (EXCHANGE, (EXCHANGE,))
        uvm.audit()


def test_a_full_cpu_that_borrows_all_of_another_full_one_spills_nothing() -> None:
    """What it has then is just what its credits allow."""
    machine = VirtualMachine(ncpus=2)
    with boot(machine, budget=256) as uvm:
        pages = uvm.pglistalloc(255, nsegs=255)
        for pg in pages[:127]:
            uvm.cpus[1].pagefree(pg)
        depot_of(uvm).credits.idle_ns(1)
        machine.sleep(1)  # in virtual time: CPU 1 is idle
        for pg in pages[127:]:
            uvm.cpus[0].pagefree(pg)
        assert uvm.cached_pages() == (255, 0)
        assert uvm.cpu_stats()[0].drained == 0
        uvm.audit()
