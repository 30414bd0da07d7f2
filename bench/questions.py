"""The open questions that a run can answer: each option, and each kind of traffic, against the proposal's letter.

Q1 and Q4 (what strands, how far uvmexp.free is off), Q2 (a bound on caches), Q3 (whether cached pages count as free),
Q5 (drain and retry), Q6 and Q14 (sleeping beside free pages; remote drain), Q9 (search order), Q10 (interval), Q11
(rate limit), Q15 (refill); docs/questions.md has them in words. bench/probes.py has those that want a single call.

How: percpu with one tunable changed at a time, the settings of a question in turn (A B C A B C), each run on a
freshly booted system with lockstat and the observer on, audited at its end. Nothing is judged: a question has no
bound. A smoke run takes the last setting of each question, once.

What could fool it: the trace lasts 1.7 s, so that an interval of 1 s passes once or twice; shorter ones tell more.
Samples are 4 ms apart, with the GIL 20 ms, so peaks and shares are of what was sampled. With the GIL times are
those of threads that take turns; counts are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from bench.harness import TRACES, Claim, Record, main, no_gc, spread
from uvmfree.measure.run import Figures, Run, figures, run
from uvmfree.measure.workloads import Workload, by_name
from uvmfree.param import Param

REPETITIONS: Final = 5

FEW_PAGES: Final = 8192
"""RAM where pages are to be short: less than `handoff` passes on, more than it has in hand."""

STRANDED_SHARE: Final = 0.01
"""Of RAM: stranded pages that are worth a word."""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a run, the unit in its name."""

    name: str
    of: Callable[[Run, Figures], float]
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """Settings to run a workload with.

    => `settings`: tunables, by the name of the row. The first column is what records keep.
    """

    id: str
    asks: str
    workload: Callable[[bool], Workload]
    columns: Sequence[Column]
    settings: Mapping[str, Mapping[str, object]]


@cache
def trace(smoke: bool) -> Workload:
    """The compiler run, whole; in a smoke run the part of it that is in the package."""
    return by_name("trace", None if smoke else str(TRACES / "cc-j4.perf.xz"))


def named(kind: str, ncpus: int) -> Callable[[bool], Workload]:
    """A workload by name, on so many CPUs."""
    return lambda smoke: by_name(kind, ncpus=ncpus)


def pressure(smoke: bool) -> Workload:
    """An anon map of 1.5 times RAM on 4 CPUs."""
    return by_name("pressure", ncpus=4, seconds=0.1 if smoke else 2.0)


def _stranded(done: Run) -> list[tuple[int, int]]:
    """Return spells between two samples: how long, in ns, and the pages that were stranded at their beginning."""
    samples = done.samples
    assert samples is not None
    pages = [sum(row) - min(row) for row in zip(*samples.cached, strict=True)]
    return [(until - since, held) for (since, until), held in zip(pairwise(samples.t_ns), pages, strict=False)]


def stranded_mean(done: Run, _: Figures) -> float:
    """Pages stranded, over the time of the run."""
    spells = _stranded(done)
    return sum(ns * pages for ns, pages in spells) / max(1, sum(ns for ns, _ in spells))


def stranded_long_ms(done: Run, _: Figures) -> float:
    """The longest time on end that more than STRANDED_SHARE of RAM was stranded."""
    longest = now = 0
    for ns, pages in _stranded(done):
        now = now + ns if pages > STRANDED_SHARE * done.uvmexp.npages else 0
        longest = max(longest, now)
    return longest / 1e6


def colormiss_percent(done: Run, _: Figures) -> float:
    """Allocations that got a page of another colour than the one that was due."""
    exp = done.uvmexp
    return 100 * exp.colormiss / max(1, exp.colorhit + exp.colormiss)


SHARED = Column("global lock/op", lambda _, found: found.shared_locks_per_op, 4)
MOVED = Column("pages moved/op", lambda _, found: found.moved_per_op, 4)
HITS = Column("local hit %", lambda _, found: found.local_hit_percent, 1)
WALL = Column("ms", lambda _, found: found.wall_ms)
STRANDED = Column("stranded, peak", lambda _, found: found.stranded_pages_max)
STRANDED_MEAN = Column("mean", stranded_mean)
STRANDED_LONG = Column(f"longest above {STRANDED_SHARE:.0%}, ms", stranded_long_ms)
GAP = Column("free off by", lambda _, found: found.gap_pages_max)
LAG = Column("from the list", lambda _, found: found.lag_pages_max)
KICKS = Column("kicks", lambda done, _: done.waits.kicks)
WOKEN = Column("daemon woken", lambda _, found: found.daemon_wakeups)
DRAINS = Column("drains, pressure", lambda _, found: found.redistributed_pressure)
LIMITED = Column("rate limited", lambda _, found: found.redistributions_rate_limited)
RETRIED = Column("drains, retry", lambda _, found: found.redistributed_retry)
TIMED = Column("drains, timer", lambda _, found: found.redistributed_timer)
FAILED = Column("found no page", lambda _, found: found.failed_allocs)
WAITS = Column("waits", lambda _, found: found.waits)
WAITED = Column("waited, ms", lambda _, found: found.wait_total_ms)
LONGEST = Column("longest, ms", lambda _, found: found.wait_longest_ms, 1)
BESIDE = Column("beside free, ms", lambda _, found: found.beside_free_longest_ms, 1)
FAULTS = Column("faults/s", lambda _, found: found.faults_per_s or 0.0)
COLORMISS = Column("wrong colour %", colormiss_percent, 2)

BOUNDS = {"no bound": {}, **{f"hoard_max={pages}": {"hoard_max": pages} for pages in (4096, 512, 64)}}
COUNTED = {"free alone": {}, "count_cached": {"count_cached": True}}
STRANDING = (STRANDED, STRANDED_MEAN, STRANDED_LONG, GAP, LAG)

QUESTIONS: Final = (
    *(
        Question(
            f"q1-{name}",
            f"Q1, Q4: what strands in {name}, and by how much uvmexp.free is off",
            of,
            STRANDING,
            {"": {}},
        )
        for name, of in (
            ("cc-j4", trace),
            ("pingpong", named("pingpong", 2)),
            ("handoff", named("handoff", 2)),
            ("forkexit", named("forkexit", 4)),
        )
    ),
    Question(
        "q2-forkexit",
        "Q2: a bound on each cache, forkexit",
        named("forkexit", 4),
        (STRANDED, SHARED, MOVED, WALL),
        BOUNDS,
    ),
    Question("q2-cc-j4", "Q2: a bound on each cache, cc-j4", trace, (STRANDED, SHARED, MOVED, HITS, WALL), BOUNDS),
    Question(
        "q3-handoff",
        f"Q3: whether cached pages count as free, handoff in {FEW_PAGES:,} pages",
        named("handoff", 2),
        (KICKS, WOKEN, DRAINS, FAILED, WALL),
        {name: {**chosen, "npages": FEW_PAGES} for name, chosen in COUNTED.items()},
    ),
    Question(
        "q3-pressure",
        "Q3: the same, pressure",
        pressure,
        (KICKS, WOKEN, DRAINS, WAITS, WAITED, LONGEST, FAULTS),
        COUNTED,
    ),
    Question(
        "q5-handoff",
        f"Q5: drain once and retry before an allocation fails, handoff in {FEW_PAGES:,} pages",
        named("handoff", 2),
        (FAILED, RETRIED, DRAINS, LIMITED, WALL),
        {"fail": {"npages": FEW_PAGES}, "drain_retry": {"npages": FEW_PAGES, "drain_retry": True}},
    ),
    Question(
        "q6-pressure",
        "Q6, Q14: how long a waiter sleeps beside free pages, pressure",
        pressure,
        (BESIDE, WAITS, LONGEST, FAULTS),
        {
            "fpageqlock": {"design": "fpageqlock"},
            "percpu": {},
            "percpu, remote_drain": {"remote_drain": True},
        },
    ),
    Question(
        "q9-cc-j4",
        "Q9: the whole cache first, or cache and global list colour by colour, cc-j4",
        trace,
        (COLORMISS, SHARED, MOVED, WALL),
        {f"search={order}": {"search": order} for order in ("local", "colour")},
    ),
    Question(
        "q10-cc-j4",
        "Q10: how often caches are handed back, cc-j4",
        trace,
        (HITS, STRANDED, STRANDED_MEAN, TIMED, SHARED, MOVED, WALL),
        {f"every {seconds:g} s": {"redistribute_interval_s": seconds} for seconds in (0.01, 0.1, 1.0, 3600.0)},
    ),
    Question(
        "q11-pressure",
        "Q11: the least time between two redistributions under pressure, pressure",
        pressure,
        (FAULTS, DRAINS, LIMITED, WAITS, LONGEST, BESIDE),
        {f"gap {seconds:g} s": {"redistribute_min_gap_s": seconds} for seconds in (0.001, 0.01, 0.1, 1.0)},
    ),
    Question(
        "q15-cc-j4",
        "Q15: pages that a miss takes from the global list, cc-j4",
        trace,
        (SHARED, MOVED, HITS, STRANDED, WALL),
        {f"refill={pages}": {"refill": pages} for pages in (1, 4, 16, 64)},
    ),
)


def ask(question: Question, smoke: bool) -> list[Record]:
    """Run every setting in turn, print their rows, return the records of the first column."""
    workload = question.workload(smoke)
    settings = dict(list(question.settings.items())[-1:]) if smoke else question.settings
    rows: dict[str, list[list[float]]] = {name: [] for name in settings}
    for _ in range(1 if smoke else REPETITIONS):
        for name, chosen in settings.items():
            tunables = {"npages": workload.npages or Param().npages, **chosen}
            param = Param.of({**tunables, "ncpus": workload.ncpus})
            with no_gc():
                done = run(workload, param, param.design, 0, lockstat=True, stop=lambda: False)
            if done is None:
                raise KeyboardInterrupt
            found = figures(done)
            rows[name].append([column.of(done, found) for column in question.columns])
    print(f"\n  {question.asks}")
    _print_rows(question.columns, rows)
    first = question.columns[0].name
    return [
        Claim(question.id, f"{question.asks}{name and ': '}{name}", first, None).record(
            [values[0] for values in row], judged=False
        )
        for name, row in rows.items()
    ]


def _print_rows(columns: Sequence[Column], rows: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Print medians and extremes, a line for each setting, as narrow as it goes."""
    lines = [["", *(column.name for column in columns)]]
    for name, row in rows.items():
        cells = (
            spread(values, column.digits) for column, values in zip(columns, zip(*row, strict=True), strict=True)
        )
        lines.append([name, *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for head, *rest in lines:
        aligned = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        print("    " + "  ".join([f"{head:<{widths[0]}}", *aligned]))


def bench(smoke: bool) -> list[Record]:
    """Ask one question after the other."""
    return [record for question in QUESTIONS for record in ask(question, smoke)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
