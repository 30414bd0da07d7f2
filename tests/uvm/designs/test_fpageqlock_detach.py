"""Today's design, when a CPU is detached: its pages lie below those that are warm on the CPU that inherits them."""

from collections.abc import Iterator

import pytest

import uvmfree
from uvmfree.uvm.page import VmPage


@pytest.fixture
def uvm() -> Iterator[uvmfree.Uvm]:
    made = uvmfree.boot(npages=64, ncpus=3, ncolors=1, design="fpageqlock")
    assert len(taken(made, 0, 64)) == 64  # the heir shall have no pages but those that the test frees
    yield made
    made.close()


def taken(uvm: uvmfree.Uvm, index: int, npages: int) -> list[VmPage]:
    """Allocate so many pages, down to the last that there is, on a CPU."""
    with uvm.run_on(index, lwp="pagedaemon") as cpu:
        return [pg for pg in (cpu.pagealloc() for _ in range(npages)) if pg is not None]


def test_the_heir_has_its_own_pages_first_and_then_the_others(uvm: uvmfree.Uvm) -> None:
    """Of each, the one that was freed last."""
    pages = list(uvm.physmem)[:40]
    for number, pg in enumerate(pages):
        uvm.cpus[number % 2].pagefree(pg)  # in turns, so that neither CPU's are the older ones
    uvm.detach(1)
    own, inherited = pages[0::2], pages[1::2]
    assert taken(uvm, 0, 40) == [*reversed(own), *reversed(inherited)]
    for pg in pages:
        uvm.cpus[0].pagefree(pg)
    uvm.audit()


def test_an_entry_that_a_page_left_behind_does_not_bring_it_back_up(uvm: uvmfree.Uvm) -> None:
    """The heir freed it between two others; since then it was taken from their midst, and freed on the other CPU."""
    below, pg, above, *more = list(uvm.physmem)[10:40]
    for freed in more:
        uvm.cpus[2].pagefree(freed)  # more than the reserves keep, or no run is to be had
    for freed in (below, pg, above):
        uvm.cpus[0].pagefree(freed)
    assert uvm.pglistalloc(1, low=pg.pfn, high=pg.pfn + 1) == [pg]
    uvm.cpus[1].pagefree(pg)
    uvm.detach(1)
    uvm.audit()
    assert taken(uvm, 0, 3) == [above, below, pg]
