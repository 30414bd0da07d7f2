"""What the page says of where records are from: each fact in its row, and each thing to bear in mind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.report.made import record
from uvmfree.measure.record import Record
from uvmfree.report.page.content import Table
from uvmfree.report.page.measured import caveats, measured
from uvmfree.report.page.settings import Source


def sources(records: Sequence[Record]) -> list[Source]:
    return [Source(number, f"{number}.json", one) for number, one in enumerate(records, 1)]


def tables(*records: Record) -> list[Table]:
    """The overview, then what all records have in common, if they are several, and each of them."""
    return [table for group in measured(sources(records)).groups for table in group.tables]


def by_name(facts: Table) -> dict[str, str]:
    return {row[0]: row[1] for row in facts.rows}


def here(**given: object) -> Record:
    """A record of a known host; `given` are facts of it."""
    one = record(designs=("percpu",))
    known = {"python": "3.13.5", "kernel": "Linux 6", "uvmfree": "0.1", "atomics": "1.0", "cpus": 8}
    return replace(one, host=replace(one.host, **(known | given)))  # type: ignore[arg-type]


def virtual(one: Record) -> Record:
    return replace(one, machine=replace(one.machine, kind="virtual", costs="xeon-2s", lock="ttas"))


def test_every_fact_of_one_record_is_listed() -> None:
    overview, facts = tables(here())
    (row,) = overview.rows
    assert overview.columns[:5] == ("", "record", "workload", "CPUs", "interpreter")
    assert overview.columns[5:] == ("GIL", "processors", "repetitions", "date", "state")
    assert row[:5] == ("1", "1.json", "pingpong", "2", "CPython 3.13.5, free-threaded")
    assert row[5:] == ("off", "2", "3", "2026-11-23", "whole")
    assert list(facts.rows) == [
        ("file", "1.json"),
        ("kind", "bench"),
        ("command", "uvmfree bench --workload pingpong --cpus 2"),
        ("seed", "none"),
        ("date", "2026-11-23T13:28:01+00:00"),
        ("workload", "pingpong"),
        ("CPUs", "2, one thread each"),
        ("machine", "real threads"),
        ("RAM", "65,536 pages of 4,096 bytes"),
        ("designs", "percpu"),
        ("runs", "percpu: 3 with lockstat, 3 without"),
        ("tunables not at their defaults", "none"),
        ("interpreter", "CPython 3.13.5, free-threaded"),
        ("processors", "a processor; 2 of 8 to use"),
        ("kernel", "Linux 6"),
        ("uvmfree, atomics", "0.1, 1.0"),
    ]


def test_all_facts_of_a_single_record_are_unfolded() -> None:
    folded = [measured(sources([here()] * number)).groups[-1].unfolded for number in (1, 2)]
    assert folded == [True, False]


def test_facts_that_differ_say_so() -> None:
    one = replace(here(), seed=7, command=(), interrupted=True)
    one = replace(one, workload=replace(one.workload, skipped="2 frees"))
    _, facts = tables(one)
    assert facts.rows[0] == (
        "interrupted",
        "this record is not whole: it was broken off, and has what was measured before",
    )
    told = by_name(facts)
    assert (told["seed"], told["command"], told["workload"]) == ("7", "not recorded", "pingpong; skipped: 2 frees")
    _, facts = tables(replace(here(gil=True), kind="stress", seconds=2.5, faults=("storm", "xcall")))
    told = by_name(facts)
    assert told["interpreter"] == "CPython 3.13.5, with the GIL; a thread keeps the GIL for 5 ms"
    assert told["runs"] == "2.5 s of each design, faults: storm, xcall"
    _, facts = tables(replace(here(), kind="stress", seconds=1.0, faults=()))
    assert by_name(facts)["runs"] == "1 s of each design, faults: none"


def test_a_virtual_record_says_so_in_each_row_that_speaks_of_the_machine() -> None:
    overview, facts = tables(virtual(here()))
    assert overview.rows[0][6] == "virtual"
    told = by_name(facts)
    assert (told["CPUs"], told["runs"]) == ("2, virtual", "percpu: 3 in virtual time")


def test_what_records_have_in_common_is_said_once() -> None:
    titles = [(table.caption, len(table.rows)) for table in tables(here(), here(cpus=16))]
    assert titles == [("The records", 2), ("All records", 14), ("Record 1", 2), ("Record 2", 2)]
    *_, first, second = tables(here(), here(cpus=16))
    assert list(first.rows) == [("file", "1.json"), ("processors", "a processor; 2 of 8 to use")]
    assert list(second.rows) == [("file", "2.json"), ("processors", "a processor; 2 of 16 to use")]


SAMPLED = (
    "Gaps, stranded pages and everything over time are samples, some milliseconds apart: what happened between two "
    "of them was not seen."
)
SLOWED = " All but throughput was measured with lockstat on, which slows every lock down."


def said(*records: Record) -> list[str]:
    """The beginning of each caveat, up to its first full stop."""
    return [each.partition(".")[0] for each in caveats(sources(records))]


def test_five_repetitions_on_threads_that_ran_at_once_have_one_thing_to_bear_in_mind() -> None:
    whole = record(repetitions=5)
    assert list(caveats(sources([whole]))) == [SAMPLED + SLOWED]
    assert list(caveats(sources([virtual(whole)])))[-1] == SAMPLED


def test_each_thing_to_bear_in_mind_names_its_records() -> None:
    whole, few = record(repetitions=5), record(repetitions=4)
    gil, crowded = record(repetitions=5, gil=True), record(repetitions=5, ncpus=3)
    of_all = SAMPLED.partition(".")[0]
    assert said(whole, virtual(whole)) == ["Record 2: times are virtual", of_all]
    assert said(gil, whole) == ["Record 1: the GIL is on, so one thread runs at a time", of_all]
    assert said(whole, crowded) == ["Record 2: more threads than processors", of_all]
    assert said(record(repetitions=5, gil=True, ncpus=3))[0].startswith("This record: the GIL is on")
    assert said(whole, replace(whole, interrupted=True)) == ["Record 2: interrupted", of_all]
    assert said(few) == ["This record: fewer than 5 repetitions; spreads mean little", of_all]
    assert said(replace(few, kind="stress", runs=[])) == [of_all]  # nothing is repeated there
    assert said(whole, record(repetitions=5, processors=3)) == [
        "The records come from different hosts: times compare only within one host",
        of_all,
    ]
    assert said(virtual(whole), virtual(record(repetitions=5, processors=3))) == [
        "All records: times are virtual",
        of_all,
    ]
