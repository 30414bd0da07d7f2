"""FreeBSD's buckets and their stack: what of them is not in the contract, and not counted in tests/designs."""

from dataclasses import replace

import pytest

import uvmfree
from tests.conformance.steps import free_all, take
from uvmfree.kern.lock import LockHandle
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.param import Param
from uvmfree.uvm.bucketstack import TIMEOUT_NS, BucketStack, FreebsdTunables
from uvmfree.uvm.designs.freebsd_pgcache import FreebsdPgcache
from uvmfree.uvm.page import UNKNOWN, PageList, Place

SIZE = 8
TUNABLES = FreebsdTunables(cache_fraction=8, bucket_max=SIZE)


def bucket(pages: int = SIZE) -> PageList:
    made = PageList(Place.CACHED, 0, UNKNOWN, 0)
    made += [None] * pages  # type: ignore[list-item]  # a stack counts pages, and looks at none
    return made


def stack() -> BucketStack:
    return BucketStack(Param(npages=65_536, ncpus=2), TUNABLES, 0)


def test_the_working_set_is_what_the_stack_swung_by_since_the_last_look_or_three_quarters_of_before() -> None:
    made = stack()
    for _ in range(3):
        made.put(bucket())
    made.estimate(TIMEOUT_NS)
    assert made.wss == 3 * SIZE
    made.put(bucket())
    made.estimate(2 * TIMEOUT_NS)
    assert made.wss == 3 * SIZE * 3 // 4  # it swung by one bucket


def test_who_comes_too_early_estimates_nothing() -> None:
    """Another CPU did it less than a period ago."""
    made = stack()
    made.estimate(TIMEOUT_NS)
    made.put(bucket())
    made.estimate(2 * TIMEOUT_NS - 1)
    assert (made.wss, made.estimated_ns) == (0, TIMEOUT_NS)
    made.estimate(2 * TIMEOUT_NS)
    assert (made.wss, made.estimated_ns) == (SIZE, 2 * TIMEOUT_NS)


def test_a_stack_gives_its_oldest_buckets_back_and_keeps_so_many_pages() -> None:
    made, buckets = stack(), [bucket() for _ in range(4)]
    for each in buckets:
        made.put(each)
    assert [id(each) for each in made.surplus(SIZE + 1)] == [id(each) for each in buckets[:2]]
    assert made.get(0) is buckets[3]


def test_a_bucket_is_one_item_to_its_stack_however_many_pages_it_has() -> None:
    made = stack()
    for pages in (SIZE, 1):
        made.put(bucket(pages))
    assert (made.items_touched, made.pages_touched) == (2, 0)
    made.get(0)
    assert (made.items_touched, made.pages_touched) == (3, 0)
    made.get(0)
    made.get(0)
    assert made.items_touched == 4, "an empty stack has nothing to touch"


@pytest.mark.parametrize(
    ("adapt", "busy", "sizes"),
    [(True, True, [SIZE - 1, SIZE, SIZE]), (True, False, [SIZE - 2] * 3), (False, True, [SIZE - 2] * 3)],
)
def test_buckets_grow_by_a_page_each_time_the_stacks_lock_is_busy(adapt: bool, busy: bool, sizes: list[int]) -> None:
    """Up to the size that they began with (zone_domain_lock)."""
    made, calls = BucketStack(Param(npages=65_536, ncpus=2), replace(TUNABLES, adapt=adapt), 0), list[str]()
    lock = LockHandle(lambda: calls.append("acquire"), lambda: not busy, lambda: calls.append("release"))
    made.size = SIZE - 2
    found = []
    for _ in sizes:
        with made.held(lock):
            found.append(made.size)
    assert (made.size_max, found) == (SIZE, sizes)
    assert calls == (["acquire"] * busy + ["release"]) * len(sizes)


@pytest.mark.parametrize(("later_s", "trimmed"), [(9.9, False), (10, True)])
def test_a_stack_is_trimmed_at_most_once_in_ten_seconds(later_s: float, trimmed: bool) -> None:
    made = stack()
    assert made.trim(0) == []
    made.put(bucket())
    assert bool(made.trim(int(later_s * 1e9))) is trimmed


@pytest.mark.parametrize("cpu", [0, 1], ids=["the CPU that trims", "another CPU"])
def test_buckets_are_smaller_after_a_trim_whichever_way_they_are_filled(cpu: int) -> None:
    """The stack was emptied; the two that the CPU had by then are as large as they were."""
    tunables = {"cache_fraction": TUNABLES.cache_fraction, "bucket_max": SIZE}
    with uvmfree.boot(VirtualMachine(ncpus=2), npages=8192, ncpus=2, design="freebsd_pgcache", **tunables) as uvm:
        design, pages = uvm.design, uvm.pglistalloc(80, nsegs=80)
        assert isinstance(design, FreebsdPgcache)
        free_all(uvm.cpus[cpu], pages[: 4 * SIZE])
        assert [len(each) for each in design.store.stacks[0].buckets] == [SIZE] * 2
        design.redistribute(0, "pressure")
        free_all(uvm.cpus[cpu], pages[4 * SIZE :])
        sizes = [len(each) for each in design.store.stacks[0].buckets]
        assert sizes == [SIZE] * 2 + [SIZE - 1] * 5
        uvm.audit()


@pytest.mark.parametrize(("spare", "cached"), [(SIZE, SIZE - 1), (SIZE - 1, 0)])
def test_a_bucket_is_filled_if_the_reserve_has_a_whole_one_to_spare(spare: int, cached: int) -> None:
    """Else one page is taken, past the cache."""
    tunables = {"cache_fraction": TUNABLES.cache_fraction, "bucket_max": SIZE}
    with uvmfree.boot(VirtualMachine(ncpus=1), npages=4096, ncpus=1, design="freebsd_pgcache", **tunables) as uvm:
        taken = 4096 - uvm.uvmexp.reserve_kernel - spare
        uvm.pglistalloc(taken, nsegs=taken)
        take(uvm.cpus[0])
        assert uvm.cached_pages() == (cached,)
        assert uvm.uvmexp.free == uvm.uvmexp.reserve_kernel + spare - 1 - cached
        uvm.audit()


@pytest.mark.parametrize("npages", [4096, 65_536], ids=["without a cache", "with buckets of four pages"])
def test_what_is_taken_lies_together(npages: int) -> None:
    """FreeBSD takes a chunk to the end before it begins the next: an eighth of RAM is an eighth of the blocks."""
    block = 16
    with uvmfree.boot(VirtualMachine(ncpus=4), npages=npages, ncpus=4, design="freebsd_pgcache") as uvm:
        held = [take(uvm.cpus[number % 4]) for number in range(npages // 8)]
        assert len({pg.pfn // block for pg in held}) <= npages // 8 // block + 4  # each CPU has begun one
        free_all(uvm.cpus[0], held)


def test_a_bucket_is_filled_in_order_of_address_and_allocated_from_its_end() -> None:
    """vm_phys_alloc_npages stores from the front, cache_bucket_pop takes from the back."""
    with uvmfree.boot(
        VirtualMachine(ncpus=1), npages=8192, ncpus=1, design="freebsd_pgcache", cache_fraction=8, bucket_max=SIZE
    ) as uvm:
        first = [take(uvm.cpus[0]).pfn for _ in range(SIZE)]
        assert first == list(range(first[0], first[0] - SIZE, -1))
        second = {take(uvm.cpus[0]).pfn for _ in range(SIZE)}
        assert second == {pfn - SIZE for pfn in first}, "the next bucket is the chunk beside it"


def test_of_what_was_handed_back_a_bucket_gives_the_page_last_that_was_freed_last() -> None:
    """Else R2 holds; the list has it on top, so it is the first that a bucket is filled with."""
    machine, how = VirtualMachine(ncpus=2), {"cache_fraction": 16, "bucket_max": SIZE}
    with uvmfree.boot(machine, npages=1024, ncpus=2, ncolors=1, design="freebsd_pgcache", **how) as uvm:
        pages = [take(uvm.cpus[0]) for _ in range(SIZE)]
        free_all(uvm.cpus[0], pages)
        uvm.redistribute(0)
        assert [take(uvm.cpus[1]) for _ in range(SIZE)] == pages


def test_when_memory_is_short_the_stacks_give_what_they_can_spare() -> None:
    """The pagedaemon asks for it, as vm_lowmem does; the buckets of the CPUs stay where they are."""
    with uvmfree.boot(
        VirtualMachine(ncpus=2), npages=8192, ncpus=2, design="freebsd_pgcache", cache_fraction=8, bucket_max=SIZE
    ) as uvm:
        pages = uvm.pglistalloc(4 * SIZE, nsegs=4 * SIZE)
        free_all(uvm.cpus[0], pages)
        assert (uvm.design.parked(), uvm.design.cached(0)) == (2 * SIZE, 2 * SIZE)
        spare = uvm.uvmexp.free - uvm.uvmexp.freemin + 1
        uvm.pglistalloc(spare, low=4 * SIZE, nsegs=spare)
        uvm.wait(timeout_s=5)
        assert (uvm.design.parked(), uvm.design.cached(0), uvm.redistributions()["trim"]) == (0, 2 * SIZE, 1)
        uvm.audit()


@pytest.mark.parametrize(("timeouts", "kept"), [(0, 0), (1, 2 * SIZE)])
def test_the_timers_of_the_cpus_estimate_what_a_trim_leaves(timeouts: int, kept: int) -> None:
    """Two buckets went onto the stack since the last time: they are the working set from the next time on."""
    with uvmfree.boot(
        VirtualMachine(ncpus=2), npages=8192, ncpus=2, design="freebsd_pgcache", cache_fraction=8, bucket_max=SIZE
    ) as uvm:
        free_all(uvm.cpus[0], uvm.pglistalloc(4 * SIZE, nsegs=4 * SIZE))
        uvm.machine.sleep(1 + timeouts * TIMEOUT_NS / 1e9)
        uvm.design.redistribute(0, "pressure")
        assert uvm.design.parked() == kept
        uvm.audit()
