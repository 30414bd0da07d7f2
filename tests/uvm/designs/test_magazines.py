"""Bonwick's magazines: what of them is not in the contract, and not counted in tests/designs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import by_frame, free_all, take
from uvmfree.uvm.designs.magazines import Depot, MagazinesCpu

M = 8
Boot = Callable[..., uvmfree.Uvm]


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Boot small systems; each is audited and closed."""
    with ExitStack() as stack:

        def boot(**tunables: Any) -> uvmfree.Uvm:
            told = {"npages": 256, "ncpus": 2, "M": M, "lockstat": True} | tunables
            uvm = stack.enter_context(uvmfree.boot(design="magazines", **told))
            stack.callback(uvm.audit)
            return uvm

        yield boot


def own(uvm: uvmfree.Uvm, index: int = 0) -> MagazinesCpu:
    cpu = uvm.cpus[index]
    assert isinstance(cpu, MagazinesCpu)
    return cpu


def depot(uvm: uvmfree.Uvm) -> Depot:
    store = uvm.design.store
    assert isinstance(store, Depot)
    return store


def holds(uvm: uvmfree.Uvm) -> int:
    return sum(lock.acquired for lock in uvm.lockstat() if lock.name == "uvm_fpageqlock")


def test_between_two_exchanges_lie_as_many_operations_as_a_magazine_has_pages(boot: Boot) -> None:
    """Whatever the load; here the worst, which goes to and fro about a full magazine."""
    uvm = boot()
    cpu, held = own(uvm), [take(own(uvm)) for _ in range(4 * M)]
    free_all(cpu, held[: 2 * M])
    before, held = holds(uvm), held[2 * M :]
    for _ in range(50):
        cpu.pagefree(held.pop())
        held.append(take(cpu))
        held.append(take(cpu))
        cpu.pagefree(held.pop())
    assert holds(uvm) - before <= 1
    for pages in (3 * M, M + 1, 2 * M, 5 * M):
        before, moved = holds(uvm), [take(cpu) for _ in range(pages)]
        free_all(cpu, moved)
        assert holds(uvm) - before <= 2 * pages // M


def test_a_full_magazine_goes_by_pointer_both_ways(boot: Boot) -> None:
    """No page is touched; and another CPU takes the newest."""
    uvm = boot()
    zero, one = uvm.cpus
    pages = by_frame(uvm, 3 * M)
    touched, items = depot(uvm).pages_touched, depot(uvm).items_touched
    free_all(zero, pages)
    assert (depot(uvm).pages_touched, depot(uvm).items_touched) == (touched, items + 1)
    assert [pg.owner for pg in pages] == [None] * M + [0] * (2 * M)
    assert [take(one) for _ in range(M)] == pages[:M][::-1]
    assert (depot(uvm).pages_touched, depot(uvm).items_touched) == (touched, items + 2)
    assert one.stats().cpumiss == 1


def test_the_reserve_is_not_taken_into_a_magazine(boot: Boot) -> None:
    uvm = boot()
    held = uvm.pglistalloc(256 - uvm.uvmexp.reserve_kernel - 3, nsegs=256)
    take(own(uvm))
    assert (uvm.uvmexp.free, uvm.cached_pages()[0]) == (uvm.uvmexp.reserve_kernel, 2)
    uvm.pglistfree(held)


def test_the_previous_magazine_is_used_before_the_depot(boot: Boot) -> None:
    uvm = boot()
    cpu, pages = own(uvm), by_frame(uvm, 2 * M)
    free_all(cpu, pages)
    before = holds(uvm)
    assert [take(cpu) for _ in range(2 * M)] == pages[::-1]
    assert holds(uvm) == before
    assert cpu.stats().cpuhit >= 2 * M


def test_what_is_unlinked_from_a_magazine_in_the_depot_is_not_handed_out(boot: Boot) -> None:
    uvm = boot()
    pages = by_frame(uvm, 4 * M)
    free_all(own(uvm), pages)
    free_all(own(uvm), uvm.pglistalloc(1, low=pages[3].pfn, high=pages[3].pfn + 1))
    uvm.pglistalloc(1, low=pages[5].pfn, high=pages[5].pfn + 1)
    uvm.audit()
    got = [take(own(uvm, 1)) for _ in range(256 - uvm.uvmexp.reserve_kernel - 3 * M)]
    assert pages[5] not in got
    assert len(set(map(id, got))) == len(got)


def test_pages_that_come_singly_gather_in_the_oldest_magazine(boot: Boot) -> None:
    """Those of the pagedaemon: as long as that has room nothing new is made."""
    uvm = boot()
    pages = by_frame(uvm, 2 * M + 3)
    free_all(own(uvm), pages[:M])
    magazines = len(list(depot(uvm).lists()))
    for pg in pages[M:]:
        uvm.design.pagefree_global(pg)
    assert len(list(depot(uvm).lists())) - magazines in (1, 2)
    assert all(len(magazine) <= M for magazine in depot(uvm).lists())


@pytest.mark.parametrize(
    ("size", "said"), [(0, "M=0: must be from 1 to 4096"), (2.0, "M=2.0: must be a whole number")]
)
def test_a_bad_size_is_refused(size: Any, said: str) -> None:
    with pytest.raises(uvmfree.ParamError, match=said):
        uvmfree.boot(design="magazines", M=size)


def test_of_two_magazines_that_are_handed_back_the_warm_one_goes_out_first(boot: Boot) -> None:
    uvm = boot(ncpus=1)
    cpu, held = own(uvm), [take(own(uvm)) for _ in range(2 * M)]
    free_all(cpu, held)
    assert (len(cpu.loaded[0]), len(cpu.previous[0])) == (M, M)
    assert uvm.redistribute() == 2 * M
    assert take(cpu) is held[-1]
