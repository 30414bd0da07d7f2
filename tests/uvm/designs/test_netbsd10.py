"""NetBSD 10's arrays and buckets: what of them is not in the contract, and not counted in tests/designs."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.errors import ParamError
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.uvm.designs.netbsd10 import FILLPGS
from uvmfree.uvm.page import VmPage


def booted(**tunables: Any) -> uvmfree.Uvm:
    """Boot 256 pages of two colours, for two CPUs in virtual time."""
    told = {"npages": 256, "ncpus": 2, "ncolors": 2} | tunables
    return uvmfree.boot(VirtualMachine(ncpus=2, lockholds=True), design="netbsd10", **told)


def touched(uvm: uvmfree.Uvm) -> Counter[int]:
    """Count the CPUs' holds of the bucket's lock by the pages that each touched."""
    machine = uvm.machine
    assert isinstance(machine, VirtualMachine)
    assert machine.lockholds is not None
    return next(one.pages for one in machine.lockholds.snapshot() if one.caller == "uvm_pagealloc")


@pytest.mark.parametrize(
    ("above", "use_reserve", "filled"),
    [(0, True, 1), (1, True, 6), (1, False, 6), (9, True, 1 + FILLPGS), (9, False, 1 + FILLPGS)],
)
def test_a_miss_fills_its_array_if_the_bucket_was_above_the_reserve_whoever_asks(
    above: int, use_reserve: bool, filled: int
) -> None:
    """With one page above it there are five more of the colour, with nine more than fit; at it a page goes alone.

    => What uvm_pagealloc_pgb compares is the count before the page left, and no flag.
    """
    with booted() as uvm:
        pages = uvm.pglistalloc(256, nsegs=256)
        uvm.pglistfree(pages[: uvm.uvmexp.reserve_kernel + above])
        uvm.redistribute()
        cpu = uvm.cpus[0]
        before, holds = cpu.stats().filled, touched(uvm)
        take(cpu, color=0, use_reserve=use_reserve)
        assert cpu.stats().filled - before == filled
        assert touched(uvm) - holds == {filled: 1}
        uvm.audit()


def test_a_miss_fills_the_array_of_the_colour_that_it_found_and_counts_what_is_there() -> None:
    with booted() as uvm:
        pages = uvm.pglistalloc(256, nsegs=256)
        ones = [pg for pg in pages if pg.color == 1]
        uvm.pglistfree(ones[:60])
        uvm.redistribute()
        cpu = uvm.cpus[0]
        free_all(cpu, ones[60:63])
        filled = cpu.stats().filled
        assert take(cpu, color=0).color == 1
        assert (uvm.cached_pages()[0], cpu.stats().filled - filled) == (FILLPGS, 1 + FILLPGS - 3)
        uvm.audit()


def test_a_full_array_goes_to_the_bucket_with_what_was_freed_first_on_top() -> None:
    with booted() as uvm:
        pages = uvm.pglistalloc(256, nsegs=256)
        zeros = [pg for pg in pages if pg.color == 0]
        uvm.pglistfree([*zeros[8:], *pages[1::2]])
        uvm.redistribute()
        cpu = uvm.cpus[0]
        free_all(cpu, zeros[:8])
        assert [zeros.index(take(cpu, color=0)) for _ in range(2)] == [7, 0]
        uvm.audit()


def test_each_bucket_is_locked_by_its_own_lock_and_the_next_is_asked_after_ones_own() -> None:
    """Eight CPUs over four buckets: CPU 2 belongs to bucket 1, and goes on with 2, 3, 0."""
    machine = VirtualMachine(ncpus=8, lockstat=True)
    with uvmfree.boot(machine, npages=1024, ncpus=8, ncolors=2, design="netbsd10", nbuckets=4, lockstat=True) as uvm:
        number_of, cpu = uvm.design.store.number_of, uvm.cpus[2]

        def locked(call: Callable[[], object]) -> list[int]:
            before = [lock.acquired for lock in uvm.lockstat() if lock.kind == "shared"]
            call()
            after = [lock.acquired for lock in uvm.lockstat() if lock.kind == "shared"]
            return [at for at, (now, then) in enumerate(zip(after, before, strict=True)) if now != then]

        pages = uvm.pglistalloc(1024, nsegs=1024)
        of = [[pg for pg in pages if number_of(pg) == number] for number in range(4)]
        assert [locked(lambda pg=each[0]: cpu.pagefree(pg)) for each in of] == [[0], [], [2], [3]]  # type: ignore[misc]
        uvm.pglistfree([*of[0][1:], *of[3][1:]])
        assert take(cpu) is of[1][0]  # from the array
        found: list[VmPage] = []
        assert locked(lambda: found.append(take(cpu))) == [
            2,
            3,
        ]  # of its own there is none, of 2 one, for the reserve
        assert number_of(found[0]) == 3
        uvm.audit()


@pytest.mark.parametrize(
    ("ncpus", "nbuckets", "fit"), [(4, 3, "1, 2, 4"), (2, 3, "1, 2"), (9, 2, "1, 3"), (12, 8, "1, 2, 3, 4, 6")]
)
def test_buckets_have_as_many_cpus_each(ncpus: int, nbuckets: int, fit: str) -> None:
    with pytest.raises(ParamError, match=f"^nbuckets={nbuckets}: must be one of {fit}: as many CPUs for each$"):
        uvmfree.boot(VirtualMachine(ncpus=ncpus), npages=1024, ncpus=ncpus, design="netbsd10", nbuckets=nbuckets)
    last = int(fit.rpartition(" ")[2])
    with uvmfree.boot(VirtualMachine(ncpus=ncpus), npages=1024, ncpus=ncpus, design="netbsd10", nbuckets=last) as uvm:
        assert len(uvm.design.store.buckets) == last
