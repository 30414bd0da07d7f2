"""What the observer makes of its samples: spells in which somebody waits beside free pages (Q6)."""

import threading
import time
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.measure.host import gil_enabled
from uvmfree.measure.observer import Seen, Waiters, interval_s, watch
from uvmfree.uvm.designs import PAIR

RESERVE = 20
HAD, SHORT = RESERVE + 1, RESERVE


@pytest.mark.parametrize(
    ("samples", "spells"),
    [
        ([(0, 1, HAD, 0), (5, 1, HAD, 0), (9, 0, HAD, 1)], [9]),
        ([(0, 1, HAD, 0), (7, 1, SHORT, 0)], [7]),
        ([(0, 1, HAD, 0), (7, 2, HAD, 1), (9, 0, HAD, 2)], [7, 2]),  # woken, and others wait by now
        ([(0, 1, SHORT, 0), (5, 1, SHORT, 0), (6, 0, HAD, 1)], []),
        ([(0, 0, HAD, 0), (5, 0, HAD, 3)], []),
        ([(0, 1, HAD, 0), (5, 1, HAD, 0)], []),  # it has not ended
        ([(0, 1, HAD, 0), (5, 0, HAD, 1), (50, 0, HAD, 1), (60, 1, HAD, 1), (63, 0, HAD, 2)], [5, 3]),
    ],
    ids=[
        "until woken",
        "until the pages are gone",
        "woken in between",
        "no pages",
        "nobody",
        "not over",
        "one, nobody for long, and another",
    ],
)
def test_spells_of_waiting_beside_free_pages(samples: list[tuple[int, int, int, int]], spells: list[int]) -> None:
    """A sample: time, waiters, pages on the global list, wakeups so far."""
    seen = Seen()
    waiters = Waiters(seen)
    for now, waiting, free, wakeups in samples:
        uvm: Any = SimpleNamespace(
            machine=SimpleNamespace(clock_ns=lambda now=now: now),
            pageout=SimpleNamespace(waiters=waiting, wakeups=wakeups),
            uvmexp=SimpleNamespace(free=free, reserve_kernel=RESERVE),
        )
        waiters.sample(uvm)
    assert seen.beside_free_ns_max == max(spells, default=0)
    assert sum(seen.beside_free_hist) == len(spells)
    for spell in spells:
        assert seen.beside_free_hist[spell.bit_length()]


@pytest.mark.parametrize("design", PAIR)
def test_the_gap_is_what_the_caches_hold_whoever_allocated(design: str) -> None:
    """Pages of contiguous runs count as allocated too, though no CPU allocated them (P7)."""
    with uvmfree.boot(npages=1024, ncpus=2, design=design, redistribute_interval_s=3600) as uvm:
        with watch(uvm) as observation:
            held = uvm.pglistalloc(16, alignment=16)
            pages = [uvm.cpus[0].pagealloc() for _ in range(10)]
            for pg in pages:
                assert pg is not None
                uvm.cpus[0].pagefree(pg)
        seen = observation.seen
        assert seen.samples >= 1
        assert seen.lag_pages_max <= 1
        assert seen.gap_pages_max == (10 if design == "percpu" else 0)
        uvm.pglistfree(held)
        uvm.audit()


def test_samples_keep_their_distance_and_more_of_it_with_the_gil() -> None:
    """With the GIL each one stops all threads (decision 26)."""
    assert interval_s(gil=True) > interval_s(gil=False)
    pause, deadline_s = threading.Event(), time.monotonic() + 10
    with uvmfree.boot(npages=1024, ncpus=2, design="percpu") as uvm, watch(uvm) as observation:
        while observation.seen.samples < 4 and time.monotonic() < deadline_s:
            pause.wait(0.001)
    *taken, at_the_end = observation.samples.samples().t_ns
    assert len(taken) >= 4
    assert all(after - before >= 0.9e9 * interval_s(gil=gil_enabled()) for before, after in pairwise(taken))
    assert at_the_end >= taken[-1]
