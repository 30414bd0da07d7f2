"""XNU's list and batch: what of them is not in the contract, and not counted in tests/designs."""

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine


def booted() -> uvmfree.Uvm:
    """Boot 1024 pages for two CPUs in virtual time."""
    return uvmfree.boot(VirtualMachine(ncpus=2), npages=1024, ncpus=2, design="xnu")


def test_who_may_use_the_reserve_takes_a_page_of_it_and_no_more() -> None:
    with booted() as uvm:
        pages = uvm.pglistalloc(1024, nsegs=1024)
        uvm.pglistfree(pages[: uvm.uvmexp.reserve_kernel])
        uvm.redistribute()
        cpu, filled = uvm.cpus[0], uvm.cpus[0].stats().filled
        assert cpu.pagealloc() is None
        take(cpu, use_reserve=True)
        assert (cpu.stats().filled - filled, uvm.cached_pages()[0]) == (1, 0)
        uvm.audit()


def test_a_cpu_parks_as_much_as_its_bound_says_and_no_less() -> None:
    """A refill of which one page went out, and a batch that lacks one."""
    with booted() as uvm:
        cpu, pages = uvm.cpus[0], uvm.pglistalloc(64, nsegs=64)
        take(cpu)
        free_all(cpu, pages[:63])
        assert uvm.cached_pages()[0] == uvm.traits.bound == 127 + 63
        cpu.pagefree(pages[63])
        assert uvm.cached_pages()[0] == 127
        uvm.audit()


def test_a_refill_comes_out_in_the_order_of_colours() -> None:
    with uvmfree.boot(VirtualMachine(ncpus=1), npages=256, ncpus=1, ncolors=4, design="xnu", refill_limit=8) as uvm:
        assert [take(uvm.cpus[0]).color for _ in range(16)] == [0, 1, 2, 3] * 4


def test_where_a_batch_is_one_page_what_is_freed_is_in_the_store_at_once() -> None:
    for size, freed in ((1, "store"), (2, "batch")):
        with uvmfree.boot(VirtualMachine(ncpus=1), npages=256, ncpus=1, design="xnu", free_batch=size) as uvm:
            assert uvm.traits.freed == freed
            (pg,) = uvm.pglistalloc(1)
            uvm.cpus[0].pagefree(pg)
            assert uvm.cached_pages() == (size - 1,)
