"""The first lines of a benchmark: three sentences made from figures, and what cannot be measured, above the table."""

from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import record
from uvmfree.measure.record import THREAD_TIMES, Record
from uvmfree.measure.run import Run
from uvmfree.report.comparison import ROWS, notes, setting, table
from uvmfree.report.verdict import limits, verdict


def made(gil: bool = False, rates: tuple[float, ...] = (2.0, 0.5), **how: Any) -> Record:
    """Make a record in which each design takes the shared lock so often per page operation; a run has 120 of them."""
    rate_of = dict(zip(("fpageqlock", "percpu", "third", "fourth"), rates, strict=False))
    one = record(gil=gil, designs=tuple(rate_of), **how)
    return replace(one, runs=[_with_rate(run, rate_of[run.design]) for run in one.runs])


def _with_rate(run: Run, rate: float) -> Run:
    """Return the run with that rate, one second long; of the time of its two threads a quarter went in waiting."""
    acquired, wait_ns = round(rate * 120), 500_000_000
    locks = tuple(
        replace(lock, name="uvm_fpageqlock", acquired=acquired, wait_ns_total=wait_ns) for lock in run.locks[:1]
    )
    seen = replace(run.seen, stranded_pages_max=0 if run.design == "fpageqlock" else 16_384)
    drive = replace(run.drive, wall_ns=1_000_000_000, stall_ns=(0, 0))
    return replace(run, locks=locks, seen=seen, drive=drive)


def counted(one: Record, **counts: int) -> Record:
    """Return the record with these counts in percpu's runs, and no failed request in the others'."""
    runs = [
        replace(run, counts=counts if run.design == "percpu" else counts | {"runs_failed": 0, "runs_met": 7})
        for run in one.runs
    ]
    return replace(one, runs=runs)


FIRST = "fpageqlock takes the shared lock 2.0000 times per page operation"


def test_a_design_has_a_sentence_of_what_the_lock_is_and_costs_and_what_is_parked() -> None:
    assert list(verdict(made(rates=(2.0, 0.5, 0.05)))) == [
        f"{FIRST}; threads wait for page locks 25.0 % of the time.",
        "percpu takes it 0.5000 times, a factor of 4.0 less; threads wait for page locks 25.0 % of the time; "
        "up to 16,384 free pages (25 % of RAM) are out of some CPU's reach.",
        "third takes it 0.0500 times, a factor of 40 less; threads wait for page locks 25.0 % of the time; "
        "up to 16,384 free pages (25 % of RAM) are out of some CPU's reach.",
    ]


def test_with_the_gil_waiting_is_left_out() -> None:
    """What cannot be measured is said by limits(), above the table."""
    first, second = verdict(made(gil=True))
    assert first == f"{FIRST}."
    assert second.startswith("percpu takes it 0.5000 times, a factor of 4.0 less; up to 16,384 free pages ")


def test_a_factor_is_of_two_rates_that_differ_and_are_not_nothing() -> None:
    assert list(verdict(made(gil=True, rates=(2.0,)))) == [f"{FIRST}."]
    more = list(verdict(made(gil=True, rates=(1.0, 1.0, 4.0))))
    assert more[1].startswith("percpu takes it 1.0000 times; up to ")
    assert more[2].startswith("third takes it 4.0000 times, a factor of 4.0 more; up to ")
    assert list(verdict(made(gil=True, rates=(1.0, 0.0))))[1].startswith("percpu takes it 0.0000 times; up to ")


def test_what_is_seldom_is_not_told_as_never() -> None:
    """512 pages by pointer, in a run of 200,000 operations: once is not 0.0000 times."""
    *_, sentence = verdict(counted(made(gil=True, rates=(1.0, 1 / 120)), page_operations=200_000))
    assert sentence.startswith("percpu takes it 0.000005 times, a factor of 120 less; up to ")
    *_, sentence = verdict(counted(made(gil=True, rates=(1.0, 1 / 120)), page_operations=4_000_000))
    assert sentence.startswith("percpu takes it less than 0.000001 times; up to ")


def test_requests_that_failed_are_told_of_the_design_that_failed_them() -> None:
    failing = counted(made(gil=True), runs_asked=7, runs_met=1, runs_failed=6, runs_pages=512)
    first, second = verdict(failing)
    assert second.endswith("; 6 of 7 requests of order > 0 fail.")
    assert "order" not in first
    assert "order" not in list(verdict(counted(made(), runs_asked=7, runs_met=7, runs_failed=0, runs_pages=512)))[1]


def test_of_many_designs_the_extremes_are_told() -> None:
    assert list(verdict(made(rates=(2.0, 0.5, 4.0, 0.05)))) == [
        f"{FIRST}; threads wait for page locks 25.0 % of the time.",
        "The other 3 take it 0.0500 (fourth) to 4.0000 (third) times; threads wait 25.0 % of the time.",
        "At the peak 16,384 free pages are out of some CPU's reach, at most 25 % of RAM.",
    ]


def test_the_most_out_of_reach_of_all_is_a_share_of_memory() -> None:
    one = made(rates=(2.0, 0.5, 4.0, 0.05))
    runs = [
        replace(run, seen=replace(run.seen, stranded_pages_max=655)) if run.design == "third" else run
        for run in one.runs
    ]
    assert list(verdict(replace(one, runs=runs)))[-1] == (
        "At the peak 655 (third) to 16,384 (fourth) free pages are out of some CPU's reach, at most 25 % of RAM."
    )


def test_a_request_that_failed_in_one_repetition_is_told_though_the_median_is_none() -> None:
    well = {"runs_asked": 7, "runs_met": 7, "runs_failed": 0, "runs_pages": 512}
    one = counted(made(), **well)
    runs = [
        replace(run, counts=well | {"runs_met": 6, "runs_failed": 1}) if run.repetition == 2 else run
        for run in one.runs
    ]
    told = list(verdict(replace(one, runs=runs)))
    assert [sentence.endswith("; 0 of 7 requests of order > 0 fail.") for sentence in told] == [True, True]


def test_an_interrupted_benchmark_tells_of_the_designs_that_it_has() -> None:
    one = made()
    assert list(verdict(replace(one, runs=[]))) == ["No run was completed, so there is nothing to tell."]
    some = replace(one, runs=[run for run in one.runs if run.design == "fpageqlock" or not run.repetition])
    first = replace(some, runs=[run for run in some.runs if run.design == "fpageqlock"])
    assert [said.partition(";")[0] for said in verdict(first)] == [FIRST]
    assert next(notes(some)) == "Medians [min-max] of 3 repetitions of fpageqlock, 1 repetition of percpu."
    (cells,) = [line for line in table(first, 80) if line.startswith("local hit %")]
    assert cells.split()[-1] == "-"


def test_what_cannot_be_measured_is_said_once_and_only_where_it_is_so() -> None:
    (gil,) = limits(made(gil=True))
    assert gil.startswith("Not measurable with the GIL, ")
    assert list(limits(made())) == []
    (crowded,) = limits(made(ncpus=4))
    assert crowded.startswith("4 CPUs shared 2 processors: ")
    assert next(limits(made(ncpus=2, processors=1))).startswith("2 CPUs shared 1 processor: ")
    noted = made()
    assert list(limits(replace(noted, workload=replace(noted.workload, note="Unkind.")))) == ["Unkind."]


@pytest.mark.parametrize("gil", [True, False])
def test_with_the_gil_no_figure_of_threads_beside_each_other_is_a_row(gil: bool) -> None:
    """All others are the same rows."""
    hidden = {label for label, name, _ in ROWS if name in THREAD_TIMES}
    one = made(gil=gil)
    labels = {label for label, _, _ in ROWS if any(line.startswith(f"{label} ") for line in table(one, 80))}
    assert "shared lock taken per op" in labels
    if gil:
        assert not labels & hidden
        assert not any("wall" in note or "Wait share" in note for note in notes(one))
    else:
        assert {"wait share %", "contended %", "longest wait, us", "wall time, ms", "stall, %"} <= labels


def test_the_setting_is_named() -> None:
    lines = dict(setting(made(ncpus=4, refill=8, drain_retry=True), "pingpong"))
    assert lines["workload"] == "pingpong, 4 CPUs"
    assert lines["tunables"] == "npages=65536, drain_retry=True, percpu.refill=8"
    assert lines["machine"].startswith("real threads on 2 of 2 processors; Linux ")
    assert lines["interpreter"].startswith("CPython 3.13.5, free-threaded; 20")
    assert dict(setting(made(ncpus=1), "x"))["workload"] == "x, 1 CPU"
    assert dict(setting(made(), "x"))["tunables"] == "npages=65536, others at their defaults"


def test_requests_and_what_is_missing_have_rows_where_there_are_any() -> None:
    """A design that did less says so; its rates are of what was asked for."""
    asked = {"page_operations": 200, "allocations": 100}
    failing = counted(made(), runs_asked=7, runs_met=1, runs_failed=6, runs_pages=512, **asked)
    rows = {line[:34].strip(): line[34:].split() for line in table(failing, 80)}
    assert rows["page operations asked for"] == ["200", "200"]
    assert rows["page operations done"] == ["120", "120"]
    assert rows["requests of order > 0"] == ["7", "7"]
    assert rows["... met"] == ["7", "1"]
    assert rows["... failed"] == ["0", "6"]
    assert rows["... pages of those met"] == ["512", "512"]
    assert rows["shared lock taken per op"] == ["1.2000", "0.3000"]  # 240 and 60 acquisitions in 200
    plain = {line[:34].strip() for line in table(made(), 80)}
    assert plain.isdisjoint({"page operations done", "requests of order > 0", "... met"})


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_keeps_to_its_width(width: int) -> None:
    for one in (made(), made(rates=(1.0, 2.0, 3.0)), made(rates=(1.0,))):
        lines = list(table(one, width))
        assert max(map(len, lines)) <= width
        assert all(line == line.rstrip() for line in lines)
