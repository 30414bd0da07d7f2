"""Samples: rows become columns, and a long run costs no more than a short one."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.measure import samples
from uvmfree.measure.observer import watch
from uvmfree.measure.samples import MOVED_PAGES, TRIES, Look, Sampler, look


def seen_at(now_ns: int, cached: tuple[int, ...]) -> Look:
    return Look(now_ns, free=now_ns, zeropages=1, paging=2, waiters=3, lag=-4, cached=cached)


def moving(caches: Iterator[tuple[int, ...]]) -> Any:
    """A system whose caches hold this, then that, and of whose pages those that are in no cache are on the list."""
    listed = itertools.count(1000)
    return SimpleNamespace(
        machine=SimpleNamespace(clock_ns=lambda: 7),
        pageout=SimpleNamespace(waiters=3),
        uvmexp=SimpleNamespace(zeropages=1, paging=2),
        cached_pages=lambda: next(caches),
        free_and_listed=lambda: (next(listed), 1000),
    )


def test_rows_become_columns() -> None:
    sampler = Sampler(100, 2)
    for now in (110, 120):
        sampler.add(seen_at(now, (5, 6)))
    seen = sampler.samples()
    assert (seen.began_ns, seen.t_ns, seen.free) == (100, (10, 20), (110, 120))
    assert (seen.zeropages, seen.paging, seen.waiters, seen.lag) == ((1, 1), (2, 2), (3, 3), (-4, -4))
    assert seen.cached == ((5, 5), (6, 6))


def test_a_look_is_taken_once_where_little_moves() -> None:
    """Q4: as much may move as a truth is allowed to be off by; the later reading counts."""
    caches = iter([(10, 100), (10 + MOVED_PAGES // 2, 100 - MOVED_PAGES // 2)])
    assert look(moving(caches)) == Look(7, 1000, 1, 2, 3, lag=0, cached=(42, 68))
    assert next(caches, None) is None


def test_a_look_is_taken_again_if_much_moved_meanwhile() -> None:
    """Q4: else pages that went from one cache to another count twice, and the truth is above npages."""
    caches = iter([(0, 100), (0, 100 - MOVED_PAGES - 1), (5, 35), (5, 35)])
    assert look(moving(caches)) == Look(7, 1001, 1, 2, 3, lag=1, cached=(5, 35))
    assert list(caches) == [(5, 35)]


def test_a_look_at_a_system_that_never_rests_ends() -> None:
    caches = iter([(1000 * step,) for step in range(TRIES + 2)])
    assert look(moving(caches)).cached == (1000 * TRIES,)


def test_without_rows_the_columns_are_empty() -> None:
    assert Sampler(0, 3).samples().cached == ((), (), ())


@pytest.mark.parametrize("looks", [7, 8, 9, 100, 1000])
def test_rows_are_bounded_and_evenly_spaced(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    monkeypatch.setattr(samples, "ROWS_MAX", 8)
    sampler = Sampler(0, 1)
    for now in range(1, looks + 1):
        sampler.add(seen_at(now, (0,)))
    times = sampler.samples().t_ns
    assert 3 <= len(times) < 8
    assert len({later - earlier for earlier, later in itertools.pairwise(times)}) == 1
    assert times[-1] > looks / 2


def test_the_truth_can_be_had_from_a_row() -> None:
    """Q4: free - lag + cached is what stands on all free lists."""
    with uvmfree.boot(npages=256, ncpus=2, redistribute_interval_s=3600) as uvm:
        with watch(uvm) as observation:
            pages = [uvm.cpus[0].pagealloc() for _ in range(10)]
            for pg in pages[:7]:
                assert pg is not None
                uvm.cpus[0].pagefree(pg)
        seen = observation.samples.samples()
        assert seen.free[-1] - seen.lag[-1] + sum(column[-1] for column in seen.cached) == 256 - 3
