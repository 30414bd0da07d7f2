"""Linux: how much a page set shrinks in a second: an eighth, but by no more pages than the largest batch has."""

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.uvm.designs.linux_pcp import LinuxPcpCpu


@pytest.mark.parametrize(
    ("high", "pages", "then"), [(4096, 4096, 4096 - 480), (4096, 4064, 3584), (1000, 1000, 875), (280, 280, 256)]
)
def test_by_how_much(high: int, pages: int, then: int) -> None:
    """Of 256 MiB for two CPUs: batches of 15 pages, doubled five times, and 256 in the smallest set."""
    uvm = uvmfree.boot(npages=65_536, ncpus=2, design="linux_pcp")
    cpu = uvm.cpus[0]
    assert isinstance(cpu, LinuxPcpCpu)
    cpu.high, cpu.pages = high, pages
    assert (cpu.shrink(), cpu.high) == (pages - then, then)
    uvm.close()


def test_a_set_that_is_drained_by_chunks_is_drained_once() -> None:
    uvm = uvmfree.boot(npages=8192, ncpus=1, design="linux_pcp", scale_max=0)
    cpu = uvm.cpus[0]
    free_all(cpu, [take(cpu) for _ in range(200)])
    cached, batch = uvm.cached_pages()[0], uvm.design.sizes.batch
    assert cached > 2 * batch
    assert uvm.redistribute(0) == cached
    assert uvm.redistributions()["explicit"] == 1
    uvm.close()
