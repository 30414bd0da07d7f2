"""What is read and counted of a CPU under that CPU's lock, by threads that do not play it."""

from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import ReleaseMachine
from tests.uvm.machines import CounterMachine, InterposingMachine
from uvmfree.kern.lockrank import UVM_CPU
from uvmfree.uvm.page import VmPage

SMALL: dict[str, Any] = {"npages": 64, "ncpus": 2, "ncolors": 2, "redistribute_interval_s": 3600.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"design": "percpu"},
    "bounded": {"design": "percpu", "hoard_max": 32},
}


def cached(uvm: uvmfree.Uvm, index: int, npages: int) -> None:
    """Put pages in a CPU's cache."""
    for pg in [uvm.cpus[index].pagealloc() for _ in range(npages)]:
        assert pg is not None
        uvm.cpus[index].pagefree(pg)


def played(uvm: uvmfree.Uvm, index: int) -> None:
    with uvm.run_on(index):
        pass


def reattached(uvm: uvmfree.Uvm, index: int) -> None:
    uvm.detach(index)
    uvm.attach(index)
    cached(uvm, index, 8)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("changes", [played, reattached])
def test_redistribution_reads_who_a_cpu_is_under_its_lock(
    variant: str, changes: Callable[[uvmfree.Uvm, int], None]
) -> None:
    """P8: another thread takes the CPU over just before; what it has is handed back, not what was left behind."""
    machine = InterposingMachine()
    uvm = uvmfree.boot(machine, **SMALL | VARIANTS[variant])
    cached(uvm, 1, 8)
    machine.at, machine.then = "uvm_cpu[1]", lambda: changes(uvm, 1)
    assert uvm.redistribute(1) == 8
    assert machine.at == ""
    assert uvm.cached_pages() == (0, 0)
    assert uvm.redistributions()["explicit"] == 1
    uvm.audit()
    uvm.close()


def late(uvm: uvmfree.Uvm, gone: int | None) -> tuple[VmPage, int]:
    """Return a page to be freed past the caches, and the CPU to which it is to be accounted."""
    pg = uvm.cpus[0].pagealloc()
    assert pg is not None
    if gone is None:
        return pg, pg.pfn % uvm.param.ncpus
    while pg.pfn % uvm.param.ncpus != gone:
        pg = uvm.cpus[0].pagealloc()
        assert pg is not None
    uvm.detach(gone)
    return pg, 1 - gone


GONE = pytest.mark.parametrize("gone", [None, 0, 1])
MACHINES = pytest.mark.parametrize("machine_type", [InterposingMachine, ReleaseMachine])


@GONE
@MACHINES
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_page_freed_past_the_caches_is_counted_while_the_lock_is_held(
    variant: str, machine_type: type[InterposingMachine | ReleaseMachine], gone: int | None
) -> None:
    """R3: who looks just before, or just after, finds every count as it should be; also with its CPU detached."""
    machine = machine_type()
    uvm = uvmfree.boot(machine, **SMALL | VARIANTS[variant])
    pg, index = late(uvm, gone)
    machine.at, machine.then = f"uvm_cpu[{index}]", uvm.audit
    before = uvm.cpus[index].stats().frees
    uvm.design.pagefree_global(pg)
    assert machine.at == ""
    assert uvm.cpus[index].stats().frees == before + 1
    uvm.audit()
    uvm.close()


@GONE
@pytest.mark.parametrize("variant", VARIANTS)
def test_uvmexp_follows_it_under_that_lock_and_no_other(variant: str, gone: int | None) -> None:
    machine = CounterMachine()
    uvm = uvmfree.boot(machine, **SMALL | VARIANTS[variant])
    pg, index = late(uvm, gone)
    held: list[tuple[tuple[str, int | None], ...]] = []

    def before_add(name: str, n: int) -> None:
        assert machine._debug is not None
        held.append(tuple((mutex.rank.name, mutex.index) for mutex in machine._debug.held()))

    machine.before_add = before_add
    uvm.design.pagefree_global(pg)
    assert held == [((UVM_CPU.name, index),)]
    uvm.close()
