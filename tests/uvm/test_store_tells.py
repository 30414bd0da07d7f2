"""A page says whether it is in the store, to who holds the store's locks; so a run can be taken while CPUs go on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from tests.conformance.test_store import looked_at
from tests.uvm.machines import InterposingMachine
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.pglist import PgList

VARIANTS: dict[str, dict[str, Any]] = {
    **{name: {"design": name} for name, design in REGISTRY.items() if design.store_tells and name != "fpageqlock"},
    "percpu, bounded": {"design": "percpu", "hoard_max": 12, "refill": 4},
    "magazines, small": {"design": "magazines", "M": 4},
    "netbsd10, buckets": {"design": "netbsd10", "nbuckets": 2},
    "freebsd_pgcache, caching": {"design": "freebsd_pgcache", "cache_fraction": 2},
}
"""Each design that says so and has more than one lock, and settings in which it caches on a small system."""


@contextmanager
def boot(machine: ThreadsMachine | None, **tunables: Any) -> Iterator[uvmfree.Uvm]:
    """Boot, and do not start: nothing moves by itself."""
    sizes = {"npages": 512, "ncpus": 2, "ncolors": 4, "pagesize": 512, "redistribute_interval_s": 3600.0}
    uvm = uvmfree.boot(machine, **{**sizes, **tunables})
    try:
        yield uvm
    finally:
        uvm.close()


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "llfree"])  # which has no lock to look under
def test_a_pages_place_is_global_while_it_stands_in_the_store_and_only_then(name: str) -> None:
    """On a larger system than the contract's test of it, and with settings in which a design caches there."""
    with ExitStack() as opened:

        def booted(machine: ThreadsMachine, **tunables: Any) -> uvmfree.Uvm:
            return opened.enter_context(boot(machine, **VARIANTS[name] | tunables))

        astray = looked_at(booted, npages=512, steps=120)
    assert len(astray) > 20
    assert not any(astray)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_that_lies_in_the_store_stops_nobody(name: str) -> None:
    """One CPU's lock, for the counters, and the store's; what CPUs cache stays with them."""
    with boot(None, **VARIANTS[name] | {"npages": 4096, "ncpus": 8, "lockstat": True}) as uvm:
        free_all(uvm.cpus[3], [take(uvm.cpus[3])])
        cached, free = uvm.cached_pages(), uvm.uvmexp.free
        pages = uvm.pglistalloc(64, alignment=64)
        locks = [each for each in uvm.lockstat(by_caller=True) if each.caller == "uvm_pglistalloc"]
        assert sum(each.acquired for each in locks if each.kind != "shared") == 1
        assert [each.acquired for each in locks if each.kind == "shared"] == [1] * len(uvm.design.shared_locks)
        assert (uvm.cached_pages(), uvm.uvmexp.free) == (cached, free - 64)
        uvm.audit()
        uvm.pglistfree(pages)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_of_which_others_took_a_page_meanwhile_is_looked_for_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found without a lock; what counts is where its pages are when the lock is held. Nothing is stopped."""
    monkeypatch.setattr(PgList, "_take", None)
    machine, taken = InterposingMachine(), list[VmPage]()
    with boot(machine, **VARIANTS[name]) as uvm:
        machine.at, machine.then = (
            uvm.design.guard(1).name,
            lambda: taken.extend(uvm.pglistalloc(16, low=16, high=32)),
        )
        pages = uvm.pglistalloc(16, low=16, alignment=16)
        assert [pg.pfn for pg in taken] == [*range(16, 32)]
        assert [pg.pfn for pg in pages] == [*range(32, 48)]
        uvm.audit()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_by_way_of_a_cpu_that_is_detached_is_another_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with boot(None, **VARIANTS[name]) as uvm:
        uvm.detach(1)
        monkeypatch.setattr(PgList, "_take", None)
        runs = [[pg.pfn for pg in uvm.pglistalloc(8, low=low, high=64, alignment=8)] for low in (8, 8)]
        assert runs == [[*range(16, 24)], [*range(32, 40)]]  # those of CPU 1 are passed over
        uvm.audit()


@pytest.mark.parametrize("name", ["percpu", "magazines"])
def test_a_run_of_which_one_page_has_left_the_store_is_left_there(name: str) -> None:
    with boot(None, design=name) as uvm:
        gone = take(uvm.cpus[0])
        there = next(pg for pg in uvm.physmem if pg.place is Place.GLOBAL)
        stock = uvm.design.stock()
        assert not uvm.design.take_run(uvm.cpus[0], [there, gone])
        assert (there.place, uvm.design.stock()) == (Place.GLOBAL, stock)
        uvm.audit()
