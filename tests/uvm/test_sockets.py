"""The depot with a store for each socket: what goes where, under which lock, and nothing fails beside free pages."""

from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take, take_all
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.sockets import Sockets


def boot(ncpus: int = 4, **tunables: Any) -> uvmfree.Uvm:
    """Boot a depot on two sockets of two cores each."""
    machine = VirtualMachine(ncpus=ncpus, costs=costs_for(socket_cores=2, complex_cores=2), lockstat=True)
    small = {"npages": 4096, "design": "depot", "per_socket": True, "redistribute_interval_s": 3600}
    return uvmfree.boot(machine, ncpus=ncpus, lockstat=True, **small | tunables)


def stored(uvm: uvmfree.Uvm) -> list[int]:
    return [part.free for part in uvm.design.store.parts]


def taken(uvm: uvmfree.Uvm) -> list[int]:
    return [lock.acquired for lock in uvm.lockstat() if lock.name.startswith("uvm_fpageqlock")]


def test_a_machine_tells_a_cpus_socket_and_threads_have_one() -> None:
    with boot() as uvm:
        assert [uvm.machine.socket_of(index) for index in range(4)] == [0, 0, 1, 1]
        assert isinstance(uvm.design.store, Sockets)
        assert stored(uvm) == [2048, 2048]
    with uvmfree.boot(npages=64, ncpus=2, design="depot", per_socket=True) as uvm:
        assert [uvm.machine.socket_of(index) for index in range(2)] == [0, 0]
        assert len(uvm.design.shared_locks) == 1


def test_a_cpu_exchanges_with_the_store_of_its_socket_under_its_lock() -> None:
    with boot() as uvm:
        was = taken(uvm)
        held = [take(uvm.cpus[2]) for _ in range(1200)]
        assert [now - before for now, before in zip(taken(uvm), was, strict=True)] == [0, 3]
        assert stored(uvm) == [2048, 2048 - 1536]
        free_all(uvm.cpus[3], held[:1024])
        assert stored(uvm) == [2048, 2048 - 1536 + 512]
        free_all(uvm.cpus[0], held[1024:])
        was = taken(uvm)
        assert uvm.redistribute(0) == 1200 - 1024
        assert stored(uvm) == [2048 + 176, 2048 - 1536 + 512], "who frees a page gives it to its own socket"
        assert [now - before for now, before in zip(taken(uvm), was, strict=True)] == [1, 0]
        uvm.audit()


def test_a_cache_is_handed_back_under_the_lock_of_its_own_socket() -> None:
    with boot() as uvm:
        for index, locks in ((1, [1, 0]), (3, [0, 1])):
            uvm.cpus[index].pagefree(take(uvm.cpus[index]))
            was = taken(uvm)
            assert uvm.redistribute(index) > 0
            assert [now - before for now, before in zip(taken(uvm), was, strict=True)] == locks


@pytest.mark.parametrize("index", [0, 3])
def test_nothing_fails_while_the_other_socket_has_a_page(index: int) -> None:
    with boot() as uvm:
        free_all(uvm.cpus[1], [take(uvm.cpus[1]) for _ in range(300)])
        assert len(take_all(uvm.cpus[index], use_reserve=True)) == 4096 - 1
        uvm.audit()


def test_a_run_is_taken_out_of_either_store_and_all_come_back() -> None:
    with boot(ncolors=4) as uvm:
        runs = [uvm.pglistalloc(64, low=low) for low in (0, 2048, 2016)]
        assert stored(uvm) == [2048 - 64 - 32, 2048 - 64 - 32] or sum(stored(uvm)) == 4096 - 3 * 64
        uvm.audit()
        for run in runs:
            uvm.pglistfree(run)
        uvm.recolor(8)
        uvm.detach(3)
        uvm.redistribute()
        assert sum(stored(uvm)) == 4096
        uvm.audit()


def test_it_is_off_by_default() -> None:
    with boot(per_socket=False) as uvm:
        assert len(uvm.design.shared_locks) == 1


def test_an_exchange_leaves_to_the_other_socket_what_it_may_be_taking_and_all_above_the_reserve_is_had() -> None:
    with boot() as uvm:
        reserve, exchange = uvm.uvmexp.reserve_kernel, 16 * 32
        held = [take(uvm.cpus[0]) for _ in range(4096 - reserve - exchange)]
        assert sum(stored(uvm)) == uvm.uvmexp.free >= reserve + exchange
        held += take_all(uvm.cpus[0])
        assert len(held) == 4096 - reserve
        assert sum(stored(uvm)) == uvm.uvmexp.free == reserve
        uvm.audit()
