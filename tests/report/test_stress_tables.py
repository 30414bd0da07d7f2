"""The tables of stress runs, whole rows of them, of two made-up runs that differ in all they can."""

from dataclasses import replace

import pytest

from tests.report.test_stress_section import stressed
from uvmfree.measure.record import Record
from uvmfree.report.page.content import Table
from uvmfree.report.page.settings import Source
from uvmfree.report.page.stress_runs import stressed as section_of


def two(gil: tuple[bool, bool]) -> list[Source]:
    """Make two records; the second has other kinds, no maxima, two errors, and half of a MiB."""
    first, second = stressed(), stressed(("one", "two"))
    assert first.stress[0].seen is not None
    seen = replace(
        first.stress[0].seen, gap_pages_max=1001, lag_pages_max=1002, stranded_pages_max=1003, cached_pages_max=1004
    )
    first.stress[0] = replace(first.stress[0], wall_s=2.5, seen=seen, rss_kib_end=3 * 1024 * 1024)
    second.stress[0] = replace(
        second.stress[0],
        design="depot",
        wall_s=0.5,
        operations={"free": 4000, "recolour": 1},
        faults={"stall": {"injected": 3000, "survived": 2000}},
        seen=None,
        rss_kib_end=1536,
    )
    records: list[Record] = [first, second]
    for record, has in zip(records, gil, strict=True):
        record.host = replace(record.host, gil=has)
    return [Source(number, f"{number}.json", record) for number, record in enumerate(records, 1)]


def tables(sources: list[Source]) -> dict[str, Table]:
    (section,) = section_of(sources)
    return {table.caption: table for group in section.groups for table in group.tables}


def test_maxima_are_in_their_columns_and_memory_in_mib() -> None:
    maxima = tables(two((False, False)))["Maxima and memory"]
    assert maxima.columns == (
        "record, design",
        "gap to all free pages",
        "gap to the global list",
        "stranded pages",
        "pages cached",
        "memory at the end, MiB",
        "errors",
    )
    assert list(maxima.rows) == [
        ("1, percpu", "1,001", "1,002", "1,003", "1,004", "3,072", "0"),
        ("2, depot", "-", "-", "-", "-", "2", "2"),
    ]


@pytest.mark.parametrize(
    ("gil", "rates"), [((False, False), ("1,200", "8,002")), ((False, True), ("1,200", "-")), ((True, True), None)]
)
def test_operations_by_kind_and_a_second(gil: tuple[bool, bool], rates: tuple[str, str] | None) -> None:
    """A kind that a run did not have counts 0; with the GIL a rate says nothing."""
    operations = tables(two(gil))["Operations"]
    head: tuple[str, ...] = ("record, design", "seconds", "alloc", "free", "recolour", "all")
    rows: list[tuple[str, ...]] = [
        ("1, percpu", "2.5", "2,000", "1,000", "0", "3,000"),
        ("2, depot", "0.5", "0", "4,000", "1", "4,001"),
    ]
    if rates is not None:
        head, rows = (*head, "per second"), [(*row, rate) for row, rate in zip(rows, rates, strict=True)]
    assert operations.columns == head
    assert list(operations.rows) == rows


def test_a_fault_that_a_run_did_not_have_is_an_empty_cell() -> None:
    faults = tables(two((False, False)))["Faults: injected, survived"]
    assert faults.columns == ("record, design", "storm", "stall")
    assert list(faults.rows) == [("1, percpu", "5, 4", ""), ("2, depot", "", "3,000, 2,000")]


def test_all_is_added_up_in_words() -> None:
    (section,) = section_of(two((False, False)))
    assert "7,001 random operations on all CPUs at once, 3,005 faults of which 2,004 were survived, 2 errors." in (
        " ".join(section.words)
    )
    assert [tuple(row) for row in tables(two((False, False)))["Errors"].rows] == [
        ("2, depot", "one"),
        ("2, depot", "two"),
    ]
