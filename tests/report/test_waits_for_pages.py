"""How long threads slept for pages: told where they ran at once, not with the GIL; how often is always told."""

import pytest

from tests.report.made import record
from uvmfree.analyse.compare import compare
from uvmfree.measure.record import Record
from uvmfree.report.comparison import sleeps, table
from uvmfree.report.page.heatmap import heatmap
from uvmfree.report.page.settings import points_of
from uvmfree.report.page.waits import waits

TIMES = {"wait_total_ms", "wait_longest_ms", "beside_free_longest_ms"}


def rows(one: Record) -> list[str]:
    return [line.partition("  ")[0] for line in table(one, 80)]


@pytest.mark.parametrize("gil", [True, False])
def test_the_table_of_a_bench(gil: bool) -> None:
    one = record(gil=gil)
    assert "waits for pages" in rows(one)
    assert ("... all together, ms" in rows(one)) != gil
    assert ("... longest, ms" in rows(one)) != gil
    assert bool(list(sleeps(one, "percpu"))) != gil


@pytest.mark.parametrize("gil", [True, False])
def test_a_comparison_and_what_other_programs_are_told(gil: bool) -> None:
    one = record(gil=gil)
    figures = {change.figure for change in compare(one, one, 0.05)}
    assert "waits" in figures
    assert figures & TIMES == (set() if gil else TIMES)
    assert set(one.document()["not_measurable"]) & TIMES == (TIMES if gil else set())


@pytest.mark.parametrize("gil", [True, False])
def test_the_page(gil: bool) -> None:
    section = waits(points_of([record(gil=gil)]), ["percpu"])
    titles = [plot.title for group in section.groups for plot in group.plots]
    assert ("Sleeps in uvm_wait" in titles) != gil
    assert not [words for words in section.words if "Nobody slept" in words]


@pytest.mark.parametrize("gil", [True, False])
def test_the_heat_map(gil: bool) -> None:
    grid = [
        record(gil=gil, designs=("percpu",), redistribute_interval_s=interval, redistribute_min_gap_s=gap)
        for interval in (0.1, 1.0)
        for gap in (0.01, 0.1)
    ]
    titles = [plot.title for group in heatmap(points_of(grid), ["percpu"]).groups for plot in group.plots]
    assert ("Longest wait for pages, ms" in titles) != gil
