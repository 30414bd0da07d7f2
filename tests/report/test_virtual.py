"""Scaling in virtual time on the page: what is drawn and listed, what tells curves apart, what is only a sentence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.measure.curves import curve, point, saturating
from tests.report.made import record
from tests.report.reader import Element, plotted, read
from uvmfree.measure.curve import Curve
from uvmfree.measure.scale import Traffic
from uvmfree.report.page import virtual, whole_page
from uvmfree.report.page.answer import answer
from uvmfree.report.page.content import Plot, Section
from uvmfree.report.page.plot import COLOURS
from uvmfree.report.page.virtual_lines import CurveSource, lines_of
from uvmfree.report.page.whole_page import build

pytest.importorskip("plotly", reason="the extra `report` is not installed")


@pytest.fixture(autouse=True)
def _without_plotly_js(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes that say nothing about the rest."""
    monkeypatch.setattr(whole_page, "library", lambda: "")


def sources(*curves: Curve, name: str = "") -> list[CurveSource]:
    return [CurveSource(number, name or f"{number}.json", each) for number, each in enumerate(curves, 1)]


def section(*curves: Curve) -> Section:
    (only,) = virtual.virtual(sources(*curves))
    return only


def plots(*curves: Curve) -> list[Plot]:
    """The plots of the section, and behind them those of waiting, with which the page opens."""
    sections = section(*curves), answer([], sources(*curves), [])
    return [plot for each in sections for group in each.groups for plot in group.plots]


def names(drawn: Plot) -> list[str]:
    """The entries of the legend, from the left."""
    entries = [trace for trace in drawn.traces if trace.get("showlegend", True)]
    return [trace["name"] for trace in sorted(entries, key=lambda trace: trace["legendrank"])]


def line(drawn: Plot, name: str) -> tuple[list[int], Any]:
    (found,) = (trace for trace in drawn.traces if trace.get("name") == name)
    return found["x"], found["y"]


def of_kind(drawn: Plot, kind: str) -> list[dict[str, object]]:
    return [trace for trace in drawn.traces if trace.get("legendgroup") == kind and trace.get("showlegend") is False]


def page(*curves: Curve, beside: Sequence[tuple[str, object]] = ()) -> Element:
    return read(build(beside, [(each.name, each.curve) for each in sources(*curves)]))  # type: ignore[arg-type]


def test_throughput_is_drawn_over_cpus_both_logarithmic() -> None:
    drawn, *_ = plots(saturating())
    assert (drawn.layout["xaxis"]["type"], drawn.layout["yaxis"]["type"]) == ("log", "log")
    assert drawn.layout["xaxis"]["tickvals"] == [1, 2, 4, 8, 16]
    assert line(drawn, "percpu") == ([1, 2, 4, 8, 16], pytest.approx([1e6, 2e6, 4e6, 8e6, 16e6]))
    assert line(drawn, "fpageqlock") == ([1, 2, 4, 8, 16], pytest.approx([1e6, 2e6, 3e6, 3e6, 3e6]))
    for linear in of_kind(drawn, "linear"):
        assert (linear["x"], linear["y"]) == ([1, 2, 4, 8, 16], pytest.approx([1e6, 2e6, 4e6, 8e6, 16e6]))


def test_a_ring_marks_the_first_point_below_half_of_linear() -> None:
    """Three of 4 CPUs are above it, three of 8 below."""
    drawn, *_ = plots(saturating())
    (ring,) = of_kind(drawn, "saturated")
    assert (ring["x"], ring["y"]) == ([8], pytest.approx([3e6]))
    assert "below half of linear" in names(drawn)
    unsaturated, *_ = plots(saturating(counts=(1, 2, 4)))
    assert of_kind(unsaturated, "saturated") == []
    assert "below half of linear" not in names(unsaturated)


def test_the_band_is_shaded_from_least_to_most_there_and_back() -> None:
    drawn, *_ = plots(saturating(band=True, counts=(1, 2, 4)))
    for band, high in zip(of_kind(drawn, "band"), ([1.1e6, 2.2e6, 4.4e6], [1.1e6, 2.2e6, 3.3e6]), strict=True):
        assert band["x"] == [1, 2, 4, 4, 2, 1]
        low = [each * 9 / 11 for each in high]
        assert band["y"] == pytest.approx([*low, *reversed(high)])
        assert (band["fill"], band["mode"]) == ("toself", "none")
    assert [band["fillcolor"] for band in of_kind(drawn, "band")] == ["var(--band-0)", "var(--band-1)"]
    (table, *_) = drawn.tables
    assert table.columns[-1] == "costs halved and doubled"
    assert table.rows[5] == ("4", "fpageqlock", "3", "75.0", "2.70 to 3.30")


def test_every_colour_that_a_plot_names_is_there_for_light_and_dark() -> None:
    style = (Path(whole_page.__file__).parent / "style.css").read_text()
    for index in range(COLOURS):
        assert style.count(f"--band-{index}: rgba(") == 2


def test_without_a_band_nothing_says_that_there_is_one() -> None:
    drawn, *_ = plots(saturating())
    assert names(drawn) in (
        ["percpu", "fpageqlock", "linear", "law (USL)", "below half of linear"],
        ["percpu", "fpageqlock", "linear", "below half of linear"],  # without scipy
    )
    assert "costs halved and doubled" not in drawn.tables[0].columns
    assert "band" not in " ".join(section(saturating()).words)


def test_the_law_is_fitted_to_five_cpu_counts_and_refused_with_four() -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    drawn, *_ = plots(saturating())
    assert [trace["name"] for trace in of_kind(drawn, "law")] == ["law, percpu", "law, fpageqlock"]
    table = drawn.tables[1]
    assert table.caption == "The law in virtual time: values [95 % intervals]"
    assert [(row[0], len(row)) for row in table.rows] == [("percpu", 7), ("fpageqlock", 7)]
    assert "flagged" not in table.columns
    few = section(saturating(counts=(1, 2, 4, 8)))
    assert of_kind(few.groups[0].plots[0], "law") == []
    assert any(
        words.startswith("No law is fitted to percpu and fpageqlock of pingpong, 1000 ns outside between operations")
        and "4 CPU counts (1, 2, 4, 8)" in words
        for words in few.words
    )


def test_waiting_and_shared_locks_have_plots_and_tables() -> None:
    _, busy, waiting = plots(saturating())
    assert line(waiting, "fpageqlock")[1] == pytest.approx([0, 0, 25, 62.5, 81.25])
    assert line(busy, "fpageqlock")[1] == pytest.approx([30, 60, 100, 100, 100])
    assert line(busy, "percpu")[1] == [0] * 5
    assert waiting.layout["xaxis"]["type"] == busy.layout["xaxis"]["type"] == "log"
    assert waiting.tables[0].rows[5] == ("4", "fpageqlock", "25.0", "333.3", "-")  # a CPU's millisecond over 3,000
    assert busy.tables[0].rows[5] == ("4", "fpageqlock", "100.0", "1", "333.3")
    assert busy.tables[0].rows[4] == ("4", "percpu", "0.00", "0", "-")  # never taken, so held for no time
    assert waiting.says.endswith(" On the most CPUs: percpu 0.01 %, fpageqlock 81.2 %.")
    for drawn, most in ((waiting, 81.25), (busy, 100.0)):  # the axis begins at zero, and has all of the line
        low, high = drawn.layout["yaxis"]["range"]
        assert (low, high) == (pytest.approx(-0.02 * most), pytest.approx(1.06 * most))
    _, _, banded = plots(saturating(band=True))
    assert banded.tables[0].rows[5] == ("4", "fpageqlock", "25.0", "25.0", "333.3", "-")  # the waits are as they were


def test_several_seeds_give_medians_and_whiskers() -> None:
    made = curve(*(point("percpu", ncpus, ncpus * done, seed=seed) for ncpus in (1, 2) for seed, done in SEEDS))
    drawn, *_ = plots(made)
    (trace,) = (trace for trace in drawn.traces if trace.get("name") == "percpu")
    assert trace["y"] == pytest.approx([1e6, 2e6])
    assert trace["error_y"]["array"] == pytest.approx([0.5e6, 1e6])
    assert trace["error_y"]["arrayminus"] == pytest.approx([0.2e6, 0.4e6])
    assert drawn.tables[0].caption.startswith(
        "Page operations: medians [least - most] of the seeds. Virtual: ttas locks"
    )
    assert drawn.tables[0].rows[0][2] == "1 [0.800 - 1.50]"
    assert "seeds 1 to 3" in drawn.says


SEEDS = ((1, 800), (2, 1000), (3, 1500))


def test_every_plot_and_table_is_marked_virtual_with_costs_lock_policy_and_seed() -> None:
    made = saturating("mcs", costs="epyc-2s", changed={"line_remote": 90.0}, seed=7)
    for drawn in plots(made):
        for text in (drawn.says, drawn.tables[0].caption):
            assert "Virtual: mcs locks, costs epyc-2s, line_remote=90, seed 7." in text
    top = page(made)
    assert "virtual" in top.one("aside").text
    assert "mcs, for shared locks" in top.one("section", id="virtual").text


def test_curves_of_one_workload_share_a_plot_and_are_told_apart_by_what_differs() -> None:
    drawn, *_ = plots(saturating("ttas"), saturating("mcs"))
    assert names(drawn)[:4] == [
        "percpu, ttas locks",
        "fpageqlock, ttas locks",
        "percpu, mcs locks",
        "fpageqlock, mcs locks",
    ]
    assert [row[0] for row in drawn.tables[0].rows if len(row) == 1] == ["ttas locks", "mcs locks"]
    dashes = {trace["name"]: trace["line"]["dash"] for trace in drawn.traces if "locks" in trace.get("name", "")[:22]}
    assert dashes["percpu, ttas locks"] != dashes["percpu, mcs locks"]
    assert "Virtual: ttas locks, costs xeon-2s, seed 1; mcs locks, costs xeon-2s, seed 1." in drawn.says


COSTS = (("atomic", 9.0), ("line_remote", 90.0))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ([saturating(), saturating(costs="epyc-2s")], ["costs xeon-2s", "costs epyc-2s"]),
        ([saturating(), saturating(changed={"atomic": 9.0})], ["", "atomic=9"]),
        ([saturating(), saturating(seed=2)], ["seed 1", "seed 2"]),
        ([saturating(), saturating("mcs", seed=2)], ["ttas locks", "mcs locks"]),
        ([saturating(), saturating()], ["1.json", "2.json"]),
        ([saturating(changed=dict(costs)) for costs in (COSTS, reversed(COSTS))], ["1.json", "2.json"]),
        ([saturating(), curve(point("percpu", 1, 1, settings=("refill=1",)))], ["", ""]),
        ([saturating(), saturating(), saturating("mcs")], ["ttas locks, 1.json", "ttas locks, 2.json", "mcs locks"]),
    ],
)
def test_lines_are_told_apart_by_no_more_than_is_needed(made: list[Curve], told: list[str]) -> None:
    lines = lines_of(sources(*made))
    assert list({line.index: line.setting for line in lines}.values()) == told
    assert len({line.name for line in lines}) == len(lines)


def test_two_files_of_one_name_are_told_apart_by_their_number() -> None:
    lines = lines_of(sources(saturating(), saturating(), name="scale.json"))
    assert {line.setting for line in lines} == {"curve 1", "curve 2"}


def test_with_recorded_gaps_throughput_is_in_cpus() -> None:
    """How many operations lie between the gaps depends on where in the trace a run was."""
    given = ((1, 90, 1), (2, 10, 2), (4, 70, 3.5), (8, 20, 3))
    made = curve(*(point("percpu", n, done, outside_ns=round(1e6 * work)) for n, done, work in given))
    drawn, *_ = plots(made)
    assert line(drawn, "percpu") == ([1, 2, 4, 8], pytest.approx([1, 2, 3.5, 3]))
    assert of_kind(drawn, "linear")[0]["y"] == [1, 2, 4, 8]
    assert of_kind(drawn, "saturated")[0]["x"] == [8]
    assert drawn.layout["yaxis"]["title"]["text"] == "recorded work, in CPUs"
    assert drawn.tables[0].rows[2:] == [("4", "percpu", "3.50", "87.5"), ("8", "percpu", "3", "37.5")]
    assert "percpu does the work of 3.0 CPUs on 8, and falls below half of linear at 8." in drawn.says


@pytest.mark.parametrize(("given", "share"), [({"outside_ns": 3_500_000}, 0.875), ({}, None)])
def test_one_cpu_count_has_a_share_of_linear_only_with_recorded_gaps(given: Any, share: float | None) -> None:
    (one,) = lines_of(sources(curve(point("percpu", 4, 70, **given))))
    assert one.of_linear(4) == share


def test_work_of_a_trace_is_the_same_in_words_and_in_the_table() -> None:
    """CPUs that wait for each other do less, and are no further from the linear line, which leaves that out."""
    made = curve(*(point("percpu", n, n, outside_ns=800_000 * n, stall_ns=200_000 * n) for n in (1, 2)))
    drawn, *_ = plots(made)
    assert drawn.tables[0].rows[-1] == ("2", "percpu", "1.60", "100.0")
    assert "percpu does the work of 1.6 CPUs on 2." in drawn.says


def test_a_curve_with_gaps_and_one_without_share_no_plot() -> None:
    gaps = curve(*(point("percpu", n, n, outside_ns=n) for n in (1, 2)))
    assert len([drawn for drawn in plots(gaps, saturating()) if drawn.title.startswith("Throughput")]) == 2


def test_two_workloads_have_plots_of_their_own() -> None:
    titles = [drawn.title for drawn in plots(saturating(), saturating(traffic=Traffic("forkexit")))]
    assert [title for title in titles if title.startswith("Throughput")] == [
        "Throughput in virtual time: pingpong, 1000 ns outside between operations",
        "Throughput in virtual time: forkexit, 1000 ns outside between operations",
    ]
    assert len(titles) == 6


def test_an_empty_curve_is_a_sentence_and_a_command() -> None:
    made = section(curve(interrupted=True))
    assert [group.plots for group in made.groups] == [[]]
    assert any(words.startswith("Curve 1, 1.json: no point was measured") for words in made.words)
    assert made.commands[0].startswith("uvmfree scale ")
    text = page(curve(interrupted=True)).text
    assert "Curve 1, 1.json: interrupted." in text
    assert "Report of 1 scaling curve: nothing." in text


def test_a_curve_of_one_cpu_count_is_a_sentence_and_tables() -> None:
    made = section(curve(point("percpu", 4, 1000)))
    assert not [plot for group in made.groups for plot in group.plots]
    workload = "pingpong, 1000 ns outside between operations"
    assert f"{workload}: percpu was run on 4 CPUs only; one point is no curve." in made.words
    assert [table.rows for table in made.groups[0].tables] == [
        [("4", "percpu", "1", "-")],
        [("4", "percpu", "0.00", "0", "-")],
        [("4", "percpu", "0.00", "0", "-")],
    ]


def test_points_with_changed_costs_alone_are_a_sentence() -> None:
    made = section(curve(point("percpu", 4, 1000, varied=True, changed={"atomic": 1.0})))
    assert not [plot for group in made.groups for plot in group.plots]
    assert any("no point was measured with the costs as they are" in words for words in made.words)


def test_a_throughput_of_nothing_is_in_the_table_and_not_on_a_logarithmic_axis() -> None:
    made = curve(point("percpu", 1, 1000), point("percpu", 2, 0), point("percpu", 4, 3000))
    drawn, *_ = plots(made)
    assert line(drawn, "percpu") == ([1, 4], pytest.approx([1e6, 3e6]))
    assert drawn.tables[0].rows[1][2] == "0"
    assert plots(curve(point("percpu", 1, 0), point("percpu", 2, 0)))[0].tables[0].rows[0][3] == "-"


def test_allocations_that_got_no_page_are_said() -> None:
    made = saturating()
    made.points[3] = point("fpageqlock", 2, 2000, failed=3)
    assert "Curve 1, 1.json: 3 allocations got no page." in page(made).one("aside").text


def test_a_page_of_curves_alone_has_one_section_more_than_the_answer() -> None:
    top = page(saturating())
    assert [each.attributes["id"] for each in top.all("section")] == ["answer", "virtual"]
    assert top.one("a", class_="skip").attributes["href"] == "#answer"
    assert "Report of 1 scaling curve: pingpong, 1000 ns outside between operations." in top.text
    for figure in top.all("figure"):
        assert plotted(figure)["data"]


def test_beside_records_it_comes_first_and_they_are_as_they_were() -> None:
    one = [("a.json", record())]
    both, alone = page(saturating(), beside=one), read(build(one))
    assert [each.attributes["id"] for each in both.all("section")][:4] == ["answer", "measured", "virtual", "locks"]
    assert [each.attributes["id"] for each in alone.all("section")][:3] == ["answer", "measured", "locks"]
    assert (
        "Report of 1 record and 1 scaling curve: pingpong; pingpong, 1000 ns outside between operations." in both.text
    )


def test_what_a_document_says_is_only_text() -> None:
    made = saturating(costs="<b>bold</b>", traffic=Traffic("<script>alert(1)</script>"))
    top = page(made, saturating(costs="%{x}", traffic=Traffic("<script>alert(1)</script>")))
    assert not top.all("b")
    assert len(top.all("script")) == 2 + len(top.all("figure"))
    legend = [trace.get("name", "") for trace in plotted(top.all("figure")[0])["data"]]
    assert "percpu, costs &lt;b&gt;bold&lt;/b&gt;" in legend
    assert not [name for name in legend if "%{" in name]
