"""Who loads without a lock what others store, in a system: the line is fetched anew, and only then."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import uvmfree
from tests.machine.virtual_rig import LINE, costs
from uvmfree.uvm.designs.linux_zone import RECLAIM_ACTIVE


@pytest.fixture
def uvm() -> Iterator[Any]:
    """Two CPUs of Linux, with pages in both sets."""
    machine = uvmfree.VirtualMachine(ncpus=2, costs=costs(), seed=1)
    uvm = uvmfree.boot(machine, design="linux_pcp", npages=4096, ncpus=2)
    for index in range(2):
        with machine.acts_as(index):
            uvm.cpus[index].pagefree(uvm.cpus[index].pagealloc())
    yield uvm
    uvm.close()


def took(uvm: Any, index: int, step: Callable[[Any], object]) -> int:
    """Return how long a step takes a CPU."""
    began_ns = uvm.machine.clock_ns()
    with uvm.machine.acts_as(index):
        step(uvm.cpus[index])
    return int(uvm.machine.clock_ns() - began_ns)


def hit(cpu: Any) -> None:
    cpu.pagefree(cpu.pagealloc())


def test_a_hit_of_linux_loads_the_count_of_free_pages(uvm: Any) -> None:
    adder = uvm.design.state.counters.adder("free")
    took(uvm, 0, hit)
    alone = took(uvm, 0, hit)
    took(uvm, 1, lambda _: adder.add(1))
    assert took(uvm, 0, hit) == alone + LINE
    assert took(uvm, 0, hit) == alone
    took(uvm, 0, lambda _: adder.add(-1))
    assert took(uvm, 0, hit) == alone


def test_a_hit_of_linux_loads_the_flags_of_the_zone(uvm: Any) -> None:
    took(uvm, 0, hit)
    alone = took(uvm, 0, hit)
    for on in (True, False):
        took(uvm, 1, lambda _, on=on: uvm.design.store.flag(RECLAIM_ACTIVE, on))  # type: ignore[misc]
    assert took(uvm, 0, hit) == alone + LINE
    assert took(uvm, 0, hit) == alone


def test_what_is_on_its_way_to_swap_is_loaded_by_who_asks(uvm: Any) -> None:
    def look(_: Any) -> int:
        return int(uvm.pageout.paging)

    took(uvm, 0, look)
    assert took(uvm, 0, look) == 0
    took(uvm, 1, lambda _: uvm.pageout.start(1))
    assert (took(uvm, 0, look), took(uvm, 0, look), uvm.pageout.paging) == (LINE, 0, 1)
    uvm.pageout.done(1)


def test_a_page_is_a_line_from_the_moment_at_which_there_is_a_cpu() -> None:
    """A store at boot is plain, and takes no time; the first CPU fetches the page from memory, and has it then."""
    figures = costs(line_memory=700)
    machine = uvmfree.VirtualMachine(ncpus=2, costs=figures, seed=1)
    uvm = uvmfree.boot(machine, design="fpageqlock", npages=64, ncpus=2)
    assert machine.clock_ns() == 0
    pg = next(iter(uvm.physmem))
    before = pg.on

    def store(_: Any) -> None:
        pg.on = before

    assert [took(uvm, index, store) for index in (0, 0, 1, 0)] == [700, 0, LINE, LINE]
    uvm.close()
