"""The section of what was counted of each operation: the curve of parked pages, and tables with all figures."""

from dataclasses import replace

from tests.measure.tallies import NONE, TALLY
from tests.report.made import record
from uvmfree.measure.record import Record
from uvmfree.measure.tally import Tally
from uvmfree.report.page.content import Plot
from uvmfree.report.page.parked import parked
from uvmfree.report.page.settings import Source


def tallied(**tallies: Tally) -> Record:
    one = record(designs=("fpageqlock", "percpu"))
    runs = [replace(run, tally=tallies.get(run.design) if run.lockstat else None) for run in one.runs]
    return replace(one, runs=runs)


def plots(*records: Record) -> list[Plot]:
    sources = [Source(number, f"{number}.json", one) for number, one in enumerate(records, 1)]
    return [plot for group in parked(sources, ("fpageqlock", "percpu")).groups for plot in group.plots]


def test_the_curve_has_a_point_for_so_many_operations() -> None:
    (plot,) = plots(tallied(percpu=TALLY))
    (trace,) = plot.traces
    assert (trace["name"], trace["x"], trace["y"]) == ("percpu", [0, 256, 512], [100, 1234, 500])
    assert plot.says == "At most so many of 65,536 pages were parked: percpu 1,234."


def test_the_tables_have_every_figure() -> None:
    (plot,) = plots(tallied(percpu=TALLY, fpageqlock=NONE))
    figures, left = plot.tables
    assert figures.rows == [
        ("fpageqlock", "0", "0", "0", "0", "0", "-", "-", "-"),
        ("percpu", "1,234", "617", "1", "32", "32", "20.0", "3", "75.0"),
    ]
    assert left.rows == [
        ("fpageqlock", "101", "101", "0", "0", "0", "0"),
        ("percpu", "101", "77", "4", "600", "50", "0"),
    ]


def test_a_record_without_tallies_is_left_out_and_where_none_has_any_that_is_said() -> None:
    old, new = record(), tallied(percpu=TALLY)
    assert len(plots(old, new, new)) == 2
    section = parked([Source(1, "old.json", old)], ("fpageqlock", "percpu"))
    assert (section.groups, section.words) == ((), ["No record has counts of each operation."])


def test_of_several_tallies_of_a_design_the_first_is_drawn() -> None:
    one = tallied(percpu=TALLY)
    runs = [
        replace(run, tally=replace(run.tally, parked_pages_max=1 + run.repetition)) if run.tally else run
        for run in one.runs
    ]
    (plot,) = plots(replace(one, runs=runs))
    assert plot.says == "At most so many of 65,536 pages were parked: percpu 1."
    assert plot.tables[0].rows[0][1] == "1"
