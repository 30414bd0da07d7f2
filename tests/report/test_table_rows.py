"""Each row of a benchmark's table has the figure that its label names; sleeps stand beside how long they were."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tests.report.made import record
from uvmfree.measure.record import Spread
from uvmfree.report.comparison import sleeps, table

FIGURES = {
    # name: (what its row is labelled, its value, as it is printed)
    "page_operations": ("page operations asked for", 1001, "1,001"),
    "page_operations_done": ("page operations done", 1002, "1,002"),
    "runs_asked": ("requests of order > 0", 1003, "1,003"),
    "runs_met": ("... met", 1004, "1,004"),
    "runs_failed": ("... failed", 1005, "1,005"),
    "runs_pages": ("... pages of those met", 1006, "1,006"),
    "failed_allocs": ("one-page allocations failed", 1007, "1,007"),
    "faults_per_s": ("faults per second", 1008, "1,008"),
    "pageins": ("pages read back from swap", 1009, "1,009"),
    "pageouts": ("pages written to swap", 1010, "1,010"),
    "local_hit_percent": ("local hit %", 10.111, "10.11"),
    "shared_locks_per_op": ("shared lock taken per op", 0.12344, "0.1234"),
    "held_items_p50": ("... items in a hold, median", 1011, "1,011"),
    "held_items_p99": ("... items in a hold, 99 %", 1012, "1,012"),
    "held_items_max": ("... items in a hold, most", 1013, "1,013"),
    "held_pages_max": ("... pages moved singly, most", 1014, "1,014"),
    "atomics_per_op": ("atomic updates per op", 0.22344, "0.2234"),
    "moved_per_op": ("pages on or off the list per op", 0.32344, "0.3234"),
    "wait_share_percent": ("wait share %", 12.344, "12.34"),
    "contended_percent": ("contended %", 13.3444, "13.344"),
    "longest_wait_us": ("longest wait, us", 1015, "1,015"),
    "parked_pages_max": ("pages parked in caches, peak", 1016, "1,016"),
    "parked_pages_mean": ("... mean", 1017, "1,017"),
    "stranded_pages_max": ("pages parked out of reach, peak", 1018, "1,018"),
    "stranded_1s_pages": ("... 1 s after the end", 1019, "1,019"),
    "stranded_5s_pages": ("... 5 s after the end", 1020, "1,020"),
    "stranded_20s_pages": ("... 20 s after the end", 1021, "1,021"),
    "failed_while_free_elsewhere": ("failed beside cached pages", 1022, "1,022"),
    "warm_percent": ("warm pages %", 14.344, "14.34"),
    "reuse_pages_median": ("pages until reuse, median", 1023, "1,023"),
    "color_right_percent": ("colour right %", 15.344, "15.34"),
    "free_512_blocks": ("512-page blocks free at the end", 1024, "1,024"),
    "store_512_blocks": ("... with none of it cached", 1025, "1,025"),
    "lag_pages_max": ("uvmexp.free off the list, peak", 1026, "1,026"),
    "gap_pages_max": ("uvmexp.free off all free, peak", 1027, "1,027"),
    "redistributed_timer": ("redistributed: by the timer", 1028, "1,028"),
    "redistributed_pressure": ("redistributed: under pressure", 1029, "1,029"),
    "redistributed_retry": ("redistributed: page not found", 1030, "1,030"),
    "redistributed_pglistalloc": ("redistributed: for order > 0", 1031, "1,031"),
    "redistributions_rate_limited": ("redistributed: not, too soon", 1032, "1,032"),
    "daemon_wakeups": ("daemon wakeups", 1033, "1,033"),
    "waits": ("waits for pages", 1034, "1,034"),
    "wait_timeouts": ("... timed out", 1035, "1,035"),
    "wait_total_ms": ("... all together, ms", 1036, "1,036"),
    "wait_longest_ms": ("... longest, ms", 16.34, "16.3"),
    "beside_free_longest_ms": ("waits beside free, longest, ms", 17.34, "17.3"),
    "false_oom": ("false out-of-memory", 1037, "1,037"),
    "wall_ms": ("wall time, ms", 1038, "1,038"),
    "wall_lockstat_ms": ("wall time with lockstat, ms", 1039, "1,039"),
    "stall_percent": ("stall, %", 18.34, "18.3"),
}


def record_of(figures: dict[str, float], **kinds: Any) -> Any:
    """What the table asks a record for: two designs with these figures, the other one's with a range."""
    summaries = {
        "percpu": {name: Spread(value, value, value) for name, value in figures.items()},
        "depot": {name: Spread(value, value / 2, value * 2) for name, value in figures.items()},
    }
    return SimpleNamespace(
        designs=("percpu", "depot"),
        summary=summaries.__getitem__,
        workload=SimpleNamespace(timed=kinds.get("timed", True)),
        machine=SimpleNamespace(virtual=kinds.get("virtual", False)),
        threads_run_at_once=kinds.get("at_once", True),
    )


def rows(made: Any) -> list[tuple[str, str]]:
    """The labels in order, each with the cell of the first design."""
    return [(label, cell) for label, cell, *_ in (re.split(r"\s{2,}", line) for line in list(table(made, 200))[2:])]


def test_each_row_has_the_figure_that_its_label_names() -> None:
    made = record_of({name: value for name, (_, value, _) in FIGURES.items()})
    assert rows(made) == [(label, text) for label, _, text in FIGURES.values()]
    head, _, first, *_ = table(made, 200)
    assert head.split() == ["percpu", "depot"]
    assert first.split()[-2:] == ["1,001", "[500-2,002]"]


def test_rows_that_say_nothing_are_left_out() -> None:
    """Of 0 in all designs, of the same as another figure, and with the GIL of threads beside each other."""
    same = {"page_operations": 5, "page_operations_done": 5, "held_items_p50": 3, "held_items_p99": 3}
    none = {"runs_asked": 0, "runs_met": 0, "waits": 0, "wait_total_ms": 0.0, "daemon_wakeups": 0, "pageins": 0}
    labels = [label for label, _ in rows(record_of({**same, **none}, timed=False))]
    assert labels == ["page operations done", "pages read back from swap", "... items in a hold, median"]
    times = {"wait_share_percent": 1.0, "wall_ms": 2.0, "lag_pages_max": 3.0}
    assert [label for label, _ in rows(record_of(times, at_once=False))] == ["uvmexp.free off the list, peak"]
    virtual = [label for label, _ in rows(record_of(times, virtual=True))]
    assert virtual == ["wait share %", "uvmexp.free off the list, peak", "virtual time, ms"]


def test_sleeps_are_counted_by_the_milliseconds_that_they_took_at_most() -> None:
    """Those of all repetitions with lockstat; buckets between used ones are shown."""
    one = record(designs=("percpu",), repetitions=2, rows=0)
    slept = tuple({20: 3, 22: 5}.get(bucket, 0) for bucket in range(40))
    beside = [{21: 7}.get(bucket, 0) for bucket in range(40)]
    runs = [
        replace(run, waits=replace(run.waits, sleep_hist=slept), seen=replace(run.seen, beside_free_hist=beside))
        for run in one.runs
    ]
    one = replace(one, runs=runs)
    assert [line.split() for line in sleeps(one, "percpu")][1:] == [
        ["1.049", "6", "0"],
        ["2.097", "0", "14"],
        ["4.194", "10", "0"],
    ]
