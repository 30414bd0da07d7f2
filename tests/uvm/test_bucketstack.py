"""UMA's stack of buckets by figures: how large buckets are, how many pages it takes, what a trim leaves."""

import pytest

from tests.uvm.designs.test_freebsd_pgcache import bucket
from uvmfree.param import Param
from uvmfree.uvm.bucketstack import (
    LOWMEM_PERIOD_NS,
    TIMEOUT_NS,
    BucketStack,
    FreebsdTunables,
    bucket_size,
    items_of,
    room_in,
)


def figures(cached: int, ncpus: int = 2, nfreelists: int = 1) -> tuple[Param, FreebsdTunables]:
    """Have a machine of which a domain may cache so many pages."""
    return (
        Param(npages=cached * 16 * nfreelists, ncpus=ncpus, nfreelists=nfreelists),
        FreebsdTunables(cache_fraction=16),
    )


@pytest.mark.parametrize(
    ("cached", "ncpus", "size"),
    [(8, 1, 2), (6, 1, 1), (3, 1, 1), (1, 1, 0), (16, 4, 1), (10_000, 2, 254), (64, 2, 8)],
)
def test_a_bucket_is_a_quarter_of_a_cpu_s_share_or_the_page_that_there_is(cached: int, ncpus: int, size: int) -> None:
    param = Param(npages=max(64, cached * 16), ncpus=ncpus)
    tunables = FreebsdTunables(cache_fraction=param.npages // cached)
    assert items_of(param, tunables) == cached
    assert bucket_size(param, tunables) == size


@pytest.mark.parametrize(("size", "room"), [(0, 0), (1, 0), (2, 2), (254, 254)])
def test_a_bucket_of_one_page_is_left_empty(size: int, room: int) -> None:
    assert room_in(size) == room


def test_memory_is_shared_by_the_domains() -> None:
    assert items_of(*figures(100, nfreelists=4)) == 100


def test_a_stack_takes_buckets_until_it_has_what_the_cpus_buckets_leave() -> None:
    param, tunables = figures(64)
    stack = BucketStack(param, tunables, 0)
    assert (stack.size, stack.items_max) == (8, 64 - 2 * 2 * 8)
    assert [stack.put(bucket()) for _ in range(5)] == [True] * 4 + [False]
    assert stack.nitems == 32


def test_one_that_was_cleared_has_swung_by_nothing() -> None:
    stack = BucketStack(*figures(64), 0)
    for _ in range(3):
        stack.put(bucket())
    stack.clear()
    stack.put(bucket())
    stack.estimate(TIMEOUT_NS)
    assert (stack.nitems, stack.wss) == (8, 8)


def test_a_trim_may_come_at_once_and_then_after_ten_seconds_and_shrinks_buckets_to_two_pages() -> None:
    stack = BucketStack(*figures(64), 0)
    for each in range(9):
        before = stack.size
        stack.trim(each * LOWMEM_PERIOD_NS)
        assert stack.size == max(2, before - 1)
        stack.trim((each + 1) * LOWMEM_PERIOD_NS - 1)
        assert stack.size == max(2, before - 1)
    tiny = BucketStack(Param(npages=64, ncpus=1), FreebsdTunables(cache_fraction=16), 0)
    assert tiny.size == 1
    tiny.trim(0)
    assert tiny.size == 1, "it grows by no trim"


def test_a_trim_leaves_the_working_set_and_gives_the_rest() -> None:
    stack = BucketStack(*figures(64), 0)
    for _ in range(2):
        stack.put(bucket())
    stack.estimate(TIMEOUT_NS)
    for _ in range(2):
        stack.put(bucket())
    assert stack.wss == 16
    assert len(stack.trim(TIMEOUT_NS)) == 2
    assert stack.nitems == 16
