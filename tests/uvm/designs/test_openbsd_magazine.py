"""OpenBSD's two magazines: what of them is not in the contract, and not counted in tests/designs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import by_frame, free_all, take
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.designs.openbsd_magazine import OpenbsdCpu, OpenbsdMagazine

SIZE = 8
Boot = Callable[..., uvmfree.Uvm]


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Boot small systems in virtual time; each is audited and closed."""
    with ExitStack() as stack:

        def boot(**tunables: Any) -> uvmfree.Uvm:
            told = {"npages": 256, "ncpus": 2, "lockstat": True} | tunables
            uvm = stack.enter_context(
                uvmfree.boot(VirtualMachine(ncpus=2, lockstat=True), design="openbsd_magazine", **told)
            )
            stack.callback(uvm.audit)
            return uvm

        yield boot


def own(uvm: uvmfree.Uvm, index: int = 0) -> OpenbsdCpu:
    cpu = uvm.cpus[index]
    assert isinstance(cpu, OpenbsdCpu)
    return cpu


def counters(uvm: uvmfree.Uvm) -> tuple[int, int, int]:
    """Return percpucaches, pcphit, pcpmiss."""
    design = uvm.design
    assert isinstance(design, OpenbsdMagazine)
    cached, hits, misses = (design.shared.load(name) for name in ("percpucaches", "pcphit", "pcpmiss"))
    return cached, hits, misses


def holds(uvm: uvmfree.Uvm) -> int:
    return sum(lock.acquired for lock in uvm.lockstat() if lock.name == "uvm_fpageqlock")


def test_what_the_shared_counters_count(boot: Boot) -> None:
    """A page from the active magazine is a hit, a refill a miss, a swap neither."""
    uvm = boot()
    cpu = own(uvm)
    held = [take(cpu)]
    assert counters(uvm) == (SIZE - 1, 0, 1)
    held += [take(cpu) for _ in range(SIZE - 1)]
    assert counters(uvm) == (0, SIZE - 1, 1)
    free_all(cpu, held + by_frame(uvm, SIZE))
    assert counters(uvm)[0] == 2 * SIZE
    before = counters(uvm)
    for _ in range(SIZE + 1):
        take(cpu)
    assert counters(uvm) == (SIZE - 1, before[1] + SIZE, before[2])


def test_each_operation_costs_updates_of_what_all_cpus_share(boot: Boot) -> None:
    uvm = boot()
    cpu = own(uvm)
    free_all(cpu, [take(cpu) for _ in range(4)])
    before = cpu.stats().atomics
    cpu.pagefree(take(cpu))
    assert cpu.stats().atomics - before == 3
    without = boot(counters=False)
    own(without).pagefree(take(own(without)))
    before = own(without).stats().atomics
    own(without).pagefree(take(own(without)))
    assert own(without).stats().atomics == before
    assert counters(without) == (0, 0, 0)


def test_updates_are_counted_on_when_the_cpu_changes_hands(boot: Boot) -> None:
    uvm = boot()
    free_all(own(uvm), [take(own(uvm)) for _ in range(4)])
    before = own(uvm).stats()
    with uvm.run_on(0) as cpu:
        assert cpu.stats() == before
    uvm.detach(0)
    assert uvm.cpu_stats()[0].atomics >= before.atomics


def test_a_full_pair_empties_the_colder_magazine_in_one_hold(boot: Boot) -> None:
    uvm = boot()
    cpu, pages = own(uvm), by_frame(uvm, 2 * SIZE + 1)
    free_all(cpu, pages[: 2 * SIZE])
    before = holds(uvm)
    cpu.pagefree(pages[-1])
    assert holds(uvm) - before == 1
    assert [pg.owner for pg in pages] == [None] * SIZE + [0] * (SIZE + 1)


def test_a_refill_is_all_or_nothing(boot: Boot) -> None:
    """With less than a magazine above the reserve pages come one by one."""
    uvm = boot()
    reserve = uvm.uvmexp.reserve_kernel
    uvm.pglistalloc(256 - reserve - SIZE, nsegs=256)
    for left in range(reserve + SIZE - 1, reserve - 1, -1):
        take(own(uvm))
        assert (uvm.uvmexp.free, uvm.cached_pages()) == (left, (0, 0))
    assert own(uvm).pagealloc() is None


def test_a_drain_under_pressure_is_of_one_cpu(boot: Boot) -> None:
    """The one that the pagedaemon is on."""
    uvm = boot()
    pages = by_frame(uvm, 12)
    for cpu in uvm.cpus:
        free_all(cpu, [pages.pop() for _ in range(6)])
    assert [uvm.design.redistribute(index, "pressure") for index in (0, 1)] == [6, 0]
    assert uvm.cached_pages() == (0, 6)


def test_pages_kept_for_devices_are_never_cached(boot: Boot) -> None:
    uvm = boot(nfreelists=2)
    pg = take(own(uvm), strat="only", free_list=1)
    assert uvm.cached_pages() == (0, 0)
    own(uvm).pagefree(pg)
    assert (pg.owner, uvm.uvmexp.free) == (None, 256)


@pytest.mark.parametrize(
    ("tunables", "said"),
    [
        ({"magazine": 0}, "magazine=0: must be from 1 to 4096"),
        ({"counters": 1}, "counters=1: must be True or False"),
    ],
    ids=str,
)
def test_a_bad_tunable_is_refused(tunables: dict[str, Any], said: str) -> None:
    with pytest.raises(uvmfree.ParamError, match=said):
        uvmfree.boot(design="openbsd_magazine", **tunables)


@pytest.mark.parametrize(("left", "cached"), [(SIZE - 1, 0), (SIZE, SIZE - 1)])
def test_a_magazine_is_filled_whole_or_not(boot: Boot, left: int, cached: int) -> None:
    """There is enough above the reserve, but on the freelist that is not cached."""
    uvm = boot(nfreelists=2)
    pages = uvm.pglistalloc(256, nsegs=256)
    uvm.pglistfree([pg for pg in pages if pg.free_list == 1])
    uvm.pglistfree([pg for pg in pages if pg.free_list == 0][:left])
    uvm.redistribute()
    cpu = own(uvm)
    assert take(cpu).free_list == 0
    assert (uvm.cached_pages()[0], cpu.stats().filled) == (cached, 1 + cached)


def test_where_the_cached_freelist_has_run_dry_the_others_are_asked(boot: Boot) -> None:
    uvm = boot(nfreelists=2, ncpus=1)
    cpu, held = own(uvm), []
    while (pg := cpu.pagealloc(use_reserve=True)) is not None:
        held.append(pg)
    assert len(held) >= 256 - uvm.uvmexp.reserve_kernel
    assert {pg.free_list for pg in held} == {0, 1}
    free_all(cpu, held)
