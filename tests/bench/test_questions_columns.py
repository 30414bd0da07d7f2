"""Columns of bench/questions.py: each has the figure that its heading names, of a run made by hand."""

from dataclasses import replace

import pytest

from bench.questions import QUESTIONS
from tests.measure.test_figures import EXPECTED, RUN

FOUND = replace(EXPECTED, faults_per_s=77.0)

HEADINGS = {
    "global lock/op": FOUND.shared_locks_per_op,
    "pages moved/op": FOUND.moved_per_op,
    "local hit %": FOUND.local_hit_percent,
    "ms": FOUND.wall_ms,
    "stranded, peak": FOUND.stranded_pages_max,
    "free off by": FOUND.gap_pages_max,
    "from the list": FOUND.lag_pages_max,
    "kicks": RUN.waits.kicks,
    "daemon woken": FOUND.daemon_wakeups,
    "drains, pressure": FOUND.redistributed_pressure,
    "rate limited": FOUND.redistributions_rate_limited,
    "drains, retry": FOUND.redistributed_retry,
    "drains, timer": FOUND.redistributed_timer,
    "found no page": FOUND.failed_allocs,
    "waits": FOUND.waits,
    "waited, ms": FOUND.wait_total_ms,
    "longest, ms": FOUND.wait_longest_ms,
    "beside free, ms": FOUND.beside_free_longest_ms,
    "faults/s": 77.0,
}
BY_HAND = {"mean", "longest above 1%, ms", "wrong colour %"}
"""Those of samples, and of colours: tests/bench/test_figures.py."""


def test_each_has_what_it_is_called_by() -> None:
    columns = {column.name: column for question in QUESTIONS for column in question.columns}
    assert set(columns) == {*HEADINGS, *BY_HAND}
    assert {name: columns[name].of(RUN, FOUND) for name in HEADINGS} == pytest.approx(HEADINGS)
