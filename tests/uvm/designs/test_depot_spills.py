"""The depot: how much of a CPU's pages go to it when the CPU has too many."""

from tests.uvm.designs.depots import EXCHANGE, boot


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
