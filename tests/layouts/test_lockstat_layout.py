"""Lock statistics in four layouts: every column where the tool that it comes from has it, and what is selected.

=> The expected lines were compared with what the tools print: lockstat(8) of NetBSD 9, lockdep_proc.c of Linux 6,
   `perf lock contention` 6.1.
"""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from uvmfree.errors import ArgumentError
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.kern.lockstat import HOLD_SAMPLE, WAIT_BUCKETS, LockStat, summed
from uvmfree.kern.mutex import Mutex
from uvmfree.layouts.lockstat_layout import FORMATS, LAYOUTS, Selection, document, render
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.designs import SHOWN


def record(name: str, caller: str, *waits_ns: int, acquired: int = 100, hold_ns: int = 2_000) -> LockStat:
    """Make a record of waits of these lengths; every hold took `hold_ns`."""
    hist = [0] * WAIT_BUCKETS
    for ns in waits_ns:
        hist[min(ns.bit_length(), WAIT_BUCKETS - 1)] += 1
    return LockStat(
        name=name,
        caller=caller,
        acquired=acquired,
        contended=len(waits_ns),
        wait_ns_total=sum(waits_ns),
        wait_ns_max=max(waits_ns, default=0),
        hold_ns_total=hold_ns * acquired,
        hold_ns_max=hold_ns,
        hold_samples=1,
        wait_hist=tuple(hist),
        wait_ns_min=min(waits_ns, default=0),
        hold_ns_min=hold_ns,
    )


RECORDS = (
    record("uvm_cpu[0]", "uvm_pagealloc"),
    record("uvm_cpu[0]", "uvm_pglistalloc", 1_000_000),
    record("uvm_fpageqlock", "uvm_pagefree", 400, 600, acquired=1_000),
    record("uvm_fpageqlock", "uvm_pagealloc", 2_000_000, 5_000_000, 1_999_000, acquired=3_000),
    record("uvm_pageout_lock", "uvm_wait"),
)
NOBODY_WAITED = (record("uvm_fpageqlock", "uvm_pagealloc"),)


def lines(layout: str, selection: Selection, records: tuple[LockStat, ...] = RECORDS) -> list[str]:
    return list(render(layout, records, 5.014, selection))


def test_netbsd_has_the_columns_of_lockstat() -> None:
    """Locks by time waited, all callers first, then each; who never waited is left out."""
    assert lines("netbsd", Selection()) == [
        "Elapsed time: 5.01 seconds.",
        "",
        "-- Spin mutex spin",
        "",
        "Total%  Count   Time/ms          Lock                       Caller",
        "------ ------- --------- ---------------------- ------------------------------",
        " 90.00       5      9.00 uvm_fpageqlock         <all>",
        " 89.99       3      9.00 uvm_fpageqlock         uvm_pagealloc",
        "  0.01       2      0.00 uvm_fpageqlock         uvm_pagefree",
        " 10.00       1      1.00 uvm_cpu[0]             <all>",
        " 10.00       1      1.00 uvm_cpu[0]             uvm_pglistalloc",
    ]


def test_netbsd_says_as_lockstat_does_that_there_is_nothing() -> None:
    assert lines("netbsd", Selection(), NOBODY_WAITED)[1:] == ["None of the selected events were recorded."]


def test_netbsd_by_lock_by_caller_and_by_neither() -> None:
    """lockstat(8): -l does not report on calling functions, -f does not report on individual locks."""
    head = 6
    assert lines("netbsd", Selection(only_locks=True))[head:] == [
        " 90.00       5      9.00 uvm_fpageqlock         <all>",
        " 10.00       1      1.00 uvm_cpu[0]             <all>",
    ]
    assert lines("netbsd", Selection(only_callers=True))[head:] == [
        "100.00       6     10.00 <all>                  <all>",
        " 89.99       3      9.00 <all>                  uvm_pagealloc",
        " 10.00       1      1.00 <all>                  uvm_pglistalloc",
        "  0.01       2      0.00 <all>                  uvm_pagefree",
    ]
    assert lines("netbsd", Selection(only_locks=True, only_callers=True))[head:] == [
        "100.00       6     10.00 <all>                  <all>"
    ]


@pytest.mark.parametrize(
    ("selection", "shown"),
    [
        (Selection(locks=("uvm_cpu[0]",)), {"uvm_pagealloc", "uvm_pglistalloc"}),
        (Selection(locks=("uvm_cpu*",)), {"uvm_pagealloc", "uvm_pglistalloc"}),
        (Selection(locks=("uvm_cpu[?]",)), {"uvm_pagealloc", "uvm_pglistalloc"}),
        (Selection(locks=("uvm_pageout_lock", "uvm_cpu[0]")), {"uvm_pagealloc", "uvm_pglistalloc", "uvm_wait"}),
        (Selection(locks=("uvm_cpu",)), set()),
        (Selection(callers=("uvm_page*",)), {"uvm_pagealloc", "uvm_pagefree"}),
        (Selection(callers=("uvm_page*",), locks=("uvm_fpageqlock",)), {"uvm_pagealloc", "uvm_pagefree"}),
        (Selection(callers=("uvm_wait",), locks=("uvm_fpageqlock",)), set()),
    ],
)
def test_locks_and_callers_may_be_limited_by_name_or_pattern(selection: Selection, shown: set[str]) -> None:
    """The brackets of a lock's name are no pattern."""
    assert {one.caller for one in selection.select(RECORDS)} == shown


def test_a_lock_that_cannot_be_is_refused() -> None:
    for pattern in ("uvm_cpu[1]", "uvm_cpu[*]", "*", "uvm_fpageqlock", "xcall"):
        Selection(locks=(pattern,)).check(2, SHOWN)
    with pytest.raises(ArgumentError, match=r"-L uvm_cpu\[2\]: no lock is called so; there are .*uvm_fpageqlock"):
        Selection(locks=("uvm_fpageqlock", "uvm_cpu[2]")).check(2, SHOWN)


@pytest.mark.parametrize(
    ("design", "has", "lacks"),
    [
        ("freebsd_pgcache", ("splvm[1]", "uma_zdom", "uma_zdom[7]", "uvm_fpageqlock"), ("uvm_cpu[0]", "splvm")),
        ("netbsd10", ("uvm_freelist_lock", "uvm_freelist_lock[1]"), ("uvm_fpageqlock", "uvm_fpageqlock[1]")),
        ("llfree", ("splvm[0]", "uvm_pageout_lock"), ("uvm_fpageqlock",)),
        ("fpageqlock", ("uvm_fpageqlock",), ("uvm_fpageqlock[0]", "uvm_cpu[0]", "splvm[0]")),
    ],
)
def test_the_locks_that_there_are_are_those_of_the_designs(
    design: str, has: tuple[str, ...], lacks: tuple[str, ...]
) -> None:
    """A lock of a design's own is known by its name, and by a number if there are several."""
    Selection(locks=has).check(2, [design])
    for name in lacks:
        with pytest.raises(ArgumentError, match="no lock is called so; there are "):
            Selection(locks=(name,)).check(2, [design])


def test_a_shared_lock_of_a_design_may_be_one_for_each_cpu_or_each_freelist() -> None:
    """Whichever are more: of freelists there may be 8 on a single CPU."""
    for ncpus, last in ((1, 7), (8, 7), (12, 11)):
        Selection(locks=("uvm_freelist_lock", f"uvm_freelist_lock[{last}]")).check(ncpus, ["netbsd10"])
        with pytest.raises(ArgumentError, match="no lock is called so"):
            Selection(locks=(f"uvm_freelist_lock[{last + 1}]",)).check(ncpus, ["netbsd10"])


def test_of_waits_that_took_no_time_none_has_a_share() -> None:
    lines = list(render("netbsd", [record("uvm_fpageqlock", "uvm_pagefree", 0)], 1.0))
    assert lines[-1] == "  0.00       1      0.00 uvm_fpageqlock         uvm_pagefree"


def test_linux_has_the_columns_of_proc_lock_stat() -> None:
    """The columns of version 0.4 at their places, in microseconds; bounces are not made up."""
    version, note, rule, head, again, blank, fpageq, *rest = lines("linux", Selection())
    assert version == "lock_stat version 0.4"
    assert note.startswith("*NOTE* bounces are not measured (-)")
    assert rule == again == "-" * (40 + 1 + 12 * (14 + 1))
    assert head.split() == [
        *("class", "name", "con-bounces", "contentions", "waittime-min", "waittime-max", "waittime-total"),
        *("waittime-avg", "acq-bounces", "acquisitions", "holdtime-min", "holdtime-max", "holdtime-total"),
        "holdtime-avg",
    ]
    assert blank == ""
    assert len(fpageq) == len(head) == len(rule) - 1
    assert fpageq.split() == [
        *("uvm_fpageqlock:", "-", "5", "0.40", "5000.00", "9000.00", "1800.00"),
        *("-", "4000", "2.00", "2.00", "8000.00", "2.00"),
    ]
    for column in ("contentions", "waittime-max", "acquisitions", "holdtime-avg"):
        end = head.index(column) + len(column)
        assert fpageq[end - 1] != " "
        assert (fpageq + " ")[end] == " "
    assert rest == [
        " " * 26 + "-" * 14,
        f"{'uvm_fpageqlock':>40} {3:>14} {'-':>29} uvm_pagealloc",
        f"{'uvm_fpageqlock':>40} {2:>14} {'-':>29} uvm_pagefree",
        "",
        "." * 221,
        "",
        rest[6],
        " " * 30 + "-" * 10,
        f"{'uvm_cpu[0]':>40} {1:>14} {'-':>29} uvm_pglistalloc",
        "",
        "." * 221,
        "",
        rest[12],
    ]
    assert rest[6].split()[:3] == ["uvm_cpu[0]:", "-", "1"]
    assert rest[12].split()[:7] == ["uvm_pageout_lock:", "-", "0", "0.00", "0.00", "0.00", "0.00"]


def test_linux_says_how_many_holds_were_timed() -> None:
    """The note is about the records that are shown: of a lock that was counted, and of one that was traced."""
    counted, traced = (
        ThreadsMachine(lockstat=True, locktrace=locktrace).mutex(UVM_FPAGEQLOCK) for locktrace in (False, True)
    )
    for mutex in (counted, traced):
        for handle in (mutex.handle("uvm_pagealloc"), mutex.handle("uvm_pagefree")):
            for _ in range(HOLD_SAMPLE + 1):
                with handle:
                    pass

    def note(mutex: Mutex, *callers: str) -> str:
        return lines("linux", Selection(callers=callers), mutex.snapshot(by_caller=True))[1]

    assert note(counted).endswith("; hold times are those of 4 of 258 acquisitions, their total is scaled up")
    assert note(counted, "uvm_pagefree").endswith(" are those of 2 of 129 acquisitions, their total is scaled up")
    assert note(traced).endswith("; every hold was timed")
    with traced.handle("uvm_pagefree"):
        assert " 258 of 259 acquisitions" in note(traced)


def test_linux_times_are_rounded_as_there() -> None:
    """snprint_time(): half of the last digit is added, the rest cut off."""
    (line,) = lines("linux", Selection(only_locks=True), (record("l", "c", 1_234, 99_995, hold_ns=5),))[6:]
    assert line.split()[3:6] == ["1.23", "100.00", "101.23"]
    assert line.split()[9] == "0.01"


def test_linux_by_lock_has_no_contention_points_and_by_caller_has_functions_for_classes() -> None:
    by_lock = [line for line in lines("linux", Selection(only_locks=True))[6:] if line]
    assert [line.split()[0] for line in by_lock] == ["uvm_fpageqlock:", "uvm_cpu[0]:", "uvm_pageout_lock:"]
    by_caller = [line.split() for line in lines("linux", Selection(only_callers=True))[6:] if line]
    assert [(line[0], line[2], line[8]) for line in by_caller] == [
        ("uvm_pagealloc:", "3", "3100"),
        ("uvm_pagefree:", "2", "1000"),
        ("uvm_pglistalloc:", "1", "100"),
        ("uvm_wait:", "0", "100"),
    ]


def test_perf_has_the_columns_of_perf_lock_contention() -> None:
    assert lines("perf", Selection()) == [
        " contended   total wait     max wait     avg wait         type   caller",
        "",
        "         3      9.00 ms      5.00 ms      3.00 ms        mutex   uvm_pagealloc (uvm_fpageqlock)",
        "         1      1.00 ms      1.00 ms      1.00 ms        mutex   uvm_pglistalloc (uvm_cpu[0])",
        "         2      1.00 us       600 ns       500 ns        mutex   uvm_pagefree (uvm_fpageqlock)",
    ]
    assert lines("perf", Selection(only_callers=True))[2].endswith("        mutex   uvm_pagealloc")
    assert lines("perf", Selection(only_locks=True)) == [
        " contended   total wait     max wait     avg wait            address   symbol",
        "",
        "         5      9.00 ms      5.00 ms      1.80 ms                  -   uvm_fpageqlock (mutex)",
        "         1      1.00 ms      1.00 ms      1.00 ms                  -   uvm_cpu[0] (mutex)",
    ]
    assert len(lines("perf", Selection(), NOBODY_WAITED)) == 2


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (999, "999 ns"),
        (1_000, "1.00 us"),
        (59_000_000_000, "59.00 s "),
        (90_000_000_000, "1.50 m "),
        (7200 * 10**9, "2.00 h "),
    ],
)
def test_perf_times_are_in_the_unit_that_suits_them(ns: int, text: str) -> None:
    assert lines("perf", Selection(), (record("l", "c", ns),))[2][11:23] == f"{text:>12}"


def test_json_has_every_field_of_the_records_that_were_selected() -> None:
    selection = Selection(locks=("uvm_fpageqlock",), only_locks=True)
    made: dict[str, Any] = json.loads(json.dumps(document({"percpu": (RECORDS, 1.5)}, selection)))
    assert (made["schema"], made["version"], made["by"]) == ("uvmfree.lockstat", 1, "lock")
    (design,) = made["designs"]
    assert (design["design"], design["elapsed_s"]) == ("percpu", 1.5)
    (lock,) = design["locks"]
    (expected,) = summed(RECORDS[2:4], by_caller=False)
    assert lock == asdict(expected) | {"wait_hist": list(expected.wait_hist)}
    assert (lock["wait_ns_min"], lock["contended"]) == (400, 5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_adds_up_the_records_of_several_runs(layout: str) -> None:
    doubled = [
        replace(
            one,
            acquired=2 * one.acquired,
            contended=2 * one.contended,
            wait_ns_total=2 * one.wait_ns_total,
            hold_ns_total=2 * one.hold_ns_total,
            hold_samples=2 * one.hold_samples,
        )
        for one in RECORDS
    ]
    assert list(render(layout, [*RECORDS, *RECORDS], 1.0)) == list(render(layout, doubled, 1.0))


def test_the_command_line_knows_the_layouts_there_are() -> None:
    from uvmfree.cli.lockstat import FORMATS as OFFERED

    assert OFFERED == FORMATS
