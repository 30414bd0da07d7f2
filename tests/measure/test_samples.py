"""Samples: rows become columns, and a long run costs no more than a short one."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.measure import samples
from uvmfree.measure.observer import watch
from uvmfree.measure.samples import Sampler


def system(now: int) -> Any:
    return SimpleNamespace(
        machine=SimpleNamespace(clock_ns=lambda: now),
        pageout=SimpleNamespace(waiters=3),
        uvmexp=SimpleNamespace(free=now, zeropages=1, paging=2),
    )


def test_rows_become_columns() -> None:
    sampler = Sampler(100, 2)
    for now in (110, 120):
        sampler.add(system(now), (5, 6), -4)
    seen = sampler.samples()
    assert (seen.began_ns, seen.t_ns, seen.free) == (100, (10, 20), (110, 120))
    assert (seen.zeropages, seen.paging, seen.waiters, seen.lag) == ((1, 1), (2, 2), (3, 3), (-4, -4))
    assert seen.cached == ((5, 5), (6, 6))


def test_without_rows_the_columns_are_empty() -> None:
    assert Sampler(0, 3).samples().cached == ((), (), ())


@pytest.mark.parametrize("looks", [7, 8, 9, 100, 1000])
def test_rows_are_bounded_and_evenly_spaced(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    monkeypatch.setattr(samples, "ROWS_MAX", 8)
    sampler = Sampler(0, 1)
    for now in range(1, looks + 1):
        sampler.add(system(now), (0,), 0)
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
