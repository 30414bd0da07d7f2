"""What `uvmfree top` makes of two readings of a run's counters, by hand."""

from dataclasses import replace

import pytest

from uvmfree.layouts.top import HEADER, top
from uvmfree.measure.counterfile import Reading

SYSTEM = {"waiters": 3, "lag": -2, "pdfreed": 5, "pdscans": 8, "pdwoke": 1, "redistributions": 4}
IDLE = {"cached": 10, "allocs": 7, "cpuhit": 6, "frees": 9, "filled": 1, "drained": 2}
BUSY = {"cached": 30, "allocs": 100, "cpuhit": 20, "frees": 100, "filled": 80, "drained": 60}
BEFORE = Reading(
    run=1,
    pid=1,
    design="percpu",
    npages=1000,
    counts={"free": 500, "paging": 0, "zeropages": 11},
    system={**dict.fromkeys(SYSTEM, 0), "clock_ns": 1_000_000_000},
    cpus=(IDLE, dict.fromkeys(BUSY, 0)),
    ended=False,
)
NOW = replace(
    BEFORE,
    counts={"free": 400, "paging": 60, "zeropages": 12},
    system={**SYSTEM, "clock_ns": 3_000_000_000},
    cpus=(IDLE, BUSY),
)


def test_pages_are_free_cached_on_their_way_out_or_in_use_and_rates_are_by_the_second() -> None:
    seen = top(BEFORE, NOW)
    assert (seen.free, seen.cached, seen.paging, seen.used) == (400, 40, 60, 500)
    assert (seen.t_s, seen.zeropages, seen.waiters, seen.lag) == (3, 12, 3, -2)
    assert (seen.allocs_per_s, seen.frees_per_s, seen.hit_percent) == (50, 50, 20)
    rates = (seen.pdfreed_per_s, seen.pdscans_per_s, seen.pdwoke_per_s, seen.redistributions_per_s)
    assert rates == (2.5, 4, 0.5, 2)
    idle, busy = seen.cpus
    assert (idle.cached, idle.allocs_per_s, idle.hit_percent) == (10, 0, 0)
    assert (busy.filled_per_s, busy.drained_per_s, busy.hit_percent) == (40, 30, 20)


def test_each_number_of_the_line_stands_under_its_letter() -> None:
    letters, numbers = HEADER.split(), top(BEFORE, NOW).line().split()
    found = dict(zip(letters, map(float, numbers), strict=True))
    assert found == {
        "r": 1, "b": 1, "w": 3, "avm": 500, "fre": 400, "cac": 40, "gap": -2, "flt": 50, "fre/s": 50,
        "hit%": 20, "po": 60, "fr": 2, "sr": 4, "rd": 2,
    }  # fmt: skip


@pytest.mark.parametrize("now", [replace(NOW, run=2), replace(NOW, system=NOW.system | {"clock_ns": 1_000_000_000})])
def test_of_another_run_and_of_no_time_there_are_no_rates(now: Reading) -> None:
    seen = top(BEFORE, now)
    assert (seen.allocs_per_s, seen.pdscans_per_s, seen.redistributions_per_s) == (0, 0, 0)
    assert seen.used == 500


def test_rates_are_those_of_all_cpus_together() -> None:
    both = top(BEFORE, replace(NOW, cpus=({**IDLE, "allocs": 47, "cpuhit": 36, "frees": 19}, BUSY)))
    assert (both.allocs_per_s, both.frees_per_s) == (70, 55)
    assert both.hit_percent == 100 * (30 + 20) / (40 + 100)


def test_a_cpu_that_only_frees_is_at_work() -> None:
    freeing = replace(NOW, cpus=({**IDLE, "frees": IDLE["frees"] + 1}, dict.fromkeys(BUSY, 0)))
    assert top(BEFORE, freeing).line().split()[0] == "1"


def test_pages_that_were_counted_twice_while_they_moved_are_not_fewer_than_none_in_use() -> None:
    assert top(BEFORE, replace(NOW, counts=NOW.counts | {"free": 970})).used == 0
