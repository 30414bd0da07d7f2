"""The Universal Scalability Law on the page: curve and table where it can be fitted, a sentence where it cannot."""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import lawful, record
from uvmfree.analyse.usl import Fitted, Usl, law
from uvmfree.measure.record import Record
from uvmfree.report.page.content import Plot, Section
from uvmfree.report.page.law import Law, table
from uvmfree.report.page.scaling import scaling
from uvmfree.report.page.settings import designs_of, points_of

COUNTS = (1, 2, 4, 8, 16)
LAWS = {"fpageqlock": (2e6, 0.3, 0.02), "percpu": (1.9e6, 0.03, 0.001)}
REFUSED = "the Universal Scalability Law has three parameters, and is not fitted to fewer than 5."


@pytest.fixture
def _scipy() -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")


def section(records: Sequence[Record]) -> Section:
    return scaling(points_of(records), designs_of(records))


def plot(records: Sequence[Record]) -> Plot:
    (group,) = section(records).groups
    (only,) = group.plots
    return only


def measured(counts: Sequence[int] = COUNTS, laws: Any = LAWS, **more: Any) -> list[Record]:
    return [lawful(laws, ncpus, rows=3, **more) for ncpus in counts]


def names(drawn: Plot) -> list[str]:
    return [trace["name"] for trace in drawn.traces]


def rows(drawn: Plot) -> dict[str, list[str]]:
    """The row of each design in the table of the law."""
    table = drawn.tables[1]
    assert all(len(row) in (1, len(table.columns)) for row in table.rows)
    return {row[0]: list(row[1:]) for row in table.rows}


@pytest.mark.usefixtures("_scipy")
def test_the_curve_is_drawn_and_its_parameters_are_listed() -> None:
    drawn = plot(measured(processors=4))
    for design, (lam, sigma, kappa) in LAWS.items():
        curve, line = (drawn.traces[names(drawn).index(name)] for name in (f"law, {design}", design))
        assert (curve["x"][0], curve["x"][-1]) == (1, 16)
        assert curve["y"] == pytest.approx([law(n, lam, sigma, kappa) for n in curve["x"]], rel=1e-3)
        assert [curve["y"][0], curve["y"][-1]] == pytest.approx([line["y"][0], line["y"][-1]], rel=1e-3)
        assert curve["line"]["dash"] not in (trace["line"].get("dash") for trace in drawn.traces[:2])
        found = rows(drawn)[design]
        for cell, value in zip(found, (lam, sigma, kappa), strict=False):
            middle, low, high = (
                float(part) for part in cell.replace(",", "").strip("]").replace(" [", " - ").split(" - ")
            )
            assert middle == pytest.approx(value, rel=1e-2)
            assert low <= middle <= high
        peak = math.sqrt((1 - sigma) / kappa)
        assert float(found[3].partition(",")[0]) == pytest.approx(peak, rel=1e-2)
        assert float(found[4].replace(",", "")) == pytest.approx(law(peak, lam, sigma, kappa), rel=1e-3)
        assert found[5:] == ["1.000", "8, 16"]
    assert [row[3].endswith("extrapolated") for row in rows(drawn).values()] == [False, True]
    assert "fpageqlock: sigma 0.3000, kappa 0.020000, peak at 5.9 CPUs; percpu: sigma 0.0300, kappa" in drawn.says


@pytest.mark.usefixtures("_scipy")
def test_it_is_fitted_to_what_is_plotted() -> None:
    """A workload of fixed length runs with lockstat, and page operations are plotted, not faults."""
    timeless = [
        replace(one, workload=replace(one.workload, page_operations=None), runs=[r for r in one.runs if r.lockstat])
        for one in measured(laws={"percpu": LAWS["percpu"]})
    ]
    line, _, curve, _ = plot(timeless).traces
    assert [curve["y"][0], curve["y"][-1]] == pytest.approx([line["y"][0], line["y"][-1]], rel=1e-3)


def test_with_the_gil_there_is_none() -> None:
    alone = section(measured(gil=True))
    assert not alone.groups
    assert not [line for line in alone.words if "fitted" in line or "linear" in line]
    assert alone.words[0].startswith("These records were measured with the GIL: threads took turns")


@pytest.mark.usefixtures("_scipy")
def test_beside_lines_without_the_gil_those_with_it_have_none() -> None:
    both, free = [*measured(), *measured(gil=True)], measured()
    assert len(section(both).groups) == 1
    assert [len(trace["x"]) for trace in plot(both).traces] == [len(trace["x"]) for trace in plot(free).traces]
    assert [row for row in plot(both).tables[1].rows if len(row) > 1] == [
        row for row in plot(free).tables[1].rows if len(row) > 1
    ]
    assert "Some of these records were measured with the GIL" in " ".join(section(both).words)
    assert "GIL" not in " ".join(section(free).words)


@pytest.mark.usefixtures("_scipy")
def test_what_grows_for_ever_has_no_peak() -> None:
    drawn = plot(measured(laws={"percpu": (1e6, 0.05, 0.0)}))
    assert rows(drawn)["percpu"][3:5] == ["none", "none"]
    assert drawn.says.endswith("kappa 0.000000, no peak.")


@pytest.mark.usefixtures("_scipy")
def test_many_settings_share_an_entry_in_the_legend() -> None:
    drawn = plot([one for refill in (1, 8, 32) for one in measured(refill=refill)])
    entries = [trace["name"] for trace in drawn.traces if trace["showlegend"]]
    assert len(entries) == len(set(entries)) == 2 * (3 + 1 + 1) + 1
    assert names(drawn).count("law, percpu") == 3
    assert drawn.says.endswith("6 laws are drawn.")
    assert len(drawn.tables[1].rows) == 3 * (1 + 2)


@pytest.mark.parametrize("counts", [(1, 2), (1, 2, 4, 8)])
def test_fewer_than_five_cpu_counts_are_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, ...]
) -> None:
    """And scipy, which takes a second to import, is not asked for."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    records = measured(counts)
    listed = ", ".join(map(str, counts))
    words = section(records).words
    assert (
        f"No law is fitted to fpageqlock and percpu of pingpong, with {len(counts)} CPU counts ({listed}): {REFUSED}"
        in words
    )
    drawn = plot(records)
    assert len(drawn.tables) == 1
    assert not [name for name in names(drawn) if name.startswith("law")]
    assert "law" not in drawn.says


def test_many_refusals_are_counted() -> None:
    words = section([one for refill in range(1, 7) for one in measured((1, 2), refill=refill)]).words
    assert [line for line in words if "law" in line] == [
        f"No law is fitted to 12 lines, with 2 CPU counts (1, 2): {REFUSED}"
    ]


def test_a_line_on_which_nothing_was_done_is_refused() -> None:
    idle = [
        replace(one, runs=[replace(run, cpus=()) for run in one.runs]) if one.workload.ncpus == 4 else one
        for one in measured()
    ]
    (said,) = (line for line in section(idle).words if line.startswith("No law"))
    assert said.startswith("No law is fitted to fpageqlock and percpu of pingpong, with no throughput on 4 CPUs: ")


def test_without_scipy_the_page_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    records = measured()
    (said,) = (line for line in section(records).words if line.startswith("No law"))
    assert (
        said == "No law is fitted: the Universal Scalability Law needs scipy.optimize: pip install 'uvmfree[report]'."
    )
    assert len(plot(records).tables) == 1


def test_one_repetition_is_one() -> None:
    assert plot(measured((1, 2), repetitions=1)).tables[0].caption.endswith("of 1 repetition")
    assert plot(measured((1, 2), repetitions=2)).tables[0].caption.endswith("of 2 repetitions")


def test_one_cpu_count_has_no_line_and_no_law() -> None:
    assert "Universal Scalability Law with 5 or more:" in section([record()]).words[-1]


def test_a_peak_outside_of_what_was_measured_is_said_to_be_extrapolated() -> None:
    """On either side; at its ends it is not."""

    def peak(ncpus: float) -> str:
        some = Fitted(1.0, 0.9, 1.1)
        one = Law("percpu", "", 4, 32, Usl(some, some, some, ncpus, 1234.0, (), 1.0))
        return table([one]).rows[-1][4]

    said = [peak(ncpus) for ncpus in (3.9, 4.0, 32.0, 32.1, math.inf)]
    assert said == ["3.9, extrapolated", "4.0", "32.0", "32.1, extrapolated", "none"]
