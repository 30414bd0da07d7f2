"""CPUs beyond the processors: flagged from the first one on, wherever throughput or waits are shown, and no sooner.

=> Processors are those that the process could use, however many the host has.
"""

from dataclasses import replace

import pytest

from tests.report.made import lawful, record
from uvmfree.analyse import usl
from uvmfree.measure.record import Record
from uvmfree.report.page.content import Plot
from uvmfree.report.page.measured import caveats
from uvmfree.report.page.scaling import scaling
from uvmfree.report.page.settings import Source, designs_of, points_of
from uvmfree.workload.plural import plural

COUNTS = (1, 2, 3, 4, 8)
LAWS = {"percpu": (1e6, 0.1, 0.001)}


def on(processors: int, ncpus: int) -> Record:
    """A record of so many CPUs, from a host of 64 processors of which the process could use a few, not the first."""
    one = lawful(LAWS, ncpus, rows=1)
    return replace(one, host=replace(one.host, cpus=64, affinity=tuple(range(10, 10 + processors))))


@pytest.mark.parametrize(("processors", "beyond"), [(1, (2, 3, 4, 8)), (3, (4, 8)), (4, (8,)), (7, (8,)), (8, ())])
def test_points_and_the_fitted_law_flag_them(processors: int, beyond: tuple[int, ...]) -> None:
    records = [on(processors, ncpus) for ncpus in COUNTS]
    points = usl.points(records, "percpu")
    assert tuple(sorted({point.ncpus for point in points if point.beyond})) == beyond
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    assert usl.fit(points).beyond == beyond
    (plot,) = scaling(points_of(records), designs_of(records)).groups[0].plots
    table = plot.tables[1]
    assert table.rows[0][table.columns.index("flagged")] == (", ".join(map(str, beyond)) or "none")


@pytest.mark.parametrize(
    ("processors", "edge"), [(1, 1.5), (2, 2.5), (3, 3.5), (4, 6.0), (7, 7.5), (8, None), (16, None)]
)
def test_the_plot_is_shaded_from_between_the_last_that_fits_and_the_first_that_does_not(
    processors: int, edge: float | None
) -> None:
    records = [on(processors, ncpus) for ncpus in COUNTS]
    (plot,) = scaling(points_of(records), designs_of(records)).groups[0].plots
    shapes = [(shape["x0"], shape["x1"]) for shape in plot.layout.get("shapes", [])]
    assert shapes == ([] if edge is None else [(edge, 8.4)])
    named = [trace["name"] for trace in plot.traces if trace["name"].startswith("more threads")]
    assert named == ([] if edge is None else [f"more threads than the {plural(processors, 'processor')} of the host"])


@pytest.mark.parametrize(("ncpus", "said"), [(2, False), (3, False), (4, True)])
def test_what_to_bear_in_mind_says_so(ncpus: int, said: bool) -> None:
    one = record(ncpus=ncpus)
    one = replace(one, host=replace(one.host, cpus=64, affinity=(0, 5, 9)))
    assert any("more threads than processors" in words for words in caveats([Source(1, "a.json", one)])) == said


def test_the_table_has_the_processors_of_the_host_and_none_for_a_virtual_machine() -> None:
    """A record of virtual time has the processors of the host that computed it, which decide nothing."""
    real = [on(3, ncpus) for ncpus in COUNTS]
    made = [replace(one, machine=replace(one.machine, kind="virtual", costs="xeon-2s", lock="ttas")) for one in real]
    for records, shown in ((real, "3"), (made, "virtual")):
        (plot,) = scaling(points_of(records), designs_of(records)).groups[0].plots
        at = plot.tables[0].columns.index("processors")
        cells = [row[at] for row in plot.tables[0].rows if len(row) > 1]  # without the headings of settings
        assert cells == [shown] * len(COUNTS)


def test_of_several_hosts_the_one_with_the_fewest_processors_says_what_is_beyond() -> None:
    records = [on(processors, ncpus) for processors in (8, 2) for ncpus in (1, 2, 4)]
    (plot,) = plots_of(records)
    assert plot.layout["shapes"][0]["x0"] == 3.0
    assert any("more threads than the 2 processors of the host" in trace["name"] for trace in plot.traces)


@pytest.mark.parametrize(("hosts", "said"), [(8, "Linear would be 2."), (9, "9 lines.")])
def test_each_of_up_to_eight_lines_is_told_in_words(hosts: int, said: str) -> None:
    (plot,) = plots_of([on(2 + host, ncpus) for host in range(hosts) for ncpus in (1, 2)])
    assert said in plot.says
    assert plot.says.count(" times as much on ") == (8 if hosts == 8 else 0)


def plots_of(records: list[Record]) -> list[Plot]:
    section = scaling(points_of(records), designs_of(records))
    return [plot for group in section.groups for plot in group.plots]
