"""The page in a real browser, from a file: it draws its plots, asks for nothing, and has nothing to complain of.

=> One visit, in light, in dark, on paper, on a telephone and by keyboard; the tests look at what was seen.
"""

import asyncio
import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.measure.curves import saturating
from tests.report.chromium import Tab, installed, tab
from tests.report.made import record
from uvmfree.measure.scale import Traffic
from uvmfree.report.page.whole_page import build

pytest.importorskip("plotly", reason="the extra `report` is not installed")
pytest.importorskip("choreographer", reason="choreographer, which drives a browser, is not installed")
pytestmark = [
    pytest.mark.skipif(installed() is None, reason="no Chromium is installed: apt-get install chromium"),
    pytest.mark.rotated(3, together="one visit"),
    pytest.mark.timeout(300),  # the visit takes 5 s on a machine that has nothing else to do
]

PAPER_PX = 660

OVERVIEW = """
[...document.querySelectorAll(".plot")].map((plot) => {
  const box = (one) => { const at = one.getBoundingClientRect(); return [at.left, at.top, at.right, at.bottom]; };
  const legend = plot.querySelector(".legend");
  return {
    title: plot.closest("figure").querySelector("h3").textContent,
    folded: plot.closest("details:not([open])") !== null,
    drawn: plot.classList.contains("js-plotly-plot"),
    place: box(plot),
    parent: box(plot.parentElement),
    svg: plot.querySelector("svg.main-svg") && box(plot.querySelector("svg.main-svg")),
    legend: legend && box(legend),
    entries: [...plot.querySelectorAll(".legendtext")].map((text) => text.textContent),
    panels: [...plot.querySelectorAll(".nsewdrag")].map(box),
    texts: [...plot.querySelectorAll("svg text")].filter((text) => text.textContent).map(box),
    fills: plot.querySelectorAll(".js-fill").length,
    marks: plot.querySelectorAll(".point, .js-line, .hm image, .hm g, .heatmaplayer image").length,
  };
})
"""
COLOURS = """
[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector(".xtick text")).fill]
"""
STOPS = """
[...document.querySelectorAll(".scroll")].map((one) => [one.tabIndex === 0, one.scrollWidth > one.clientWidth])
"""
UNFOLD = """
new Promise((done, failed) => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
  const give_up = Date.now() + 40000;
  const look = () => {
    if (document.querySelectorAll(".plot:not(.js-plotly-plot)").length === 0) done(true);
    else if (Date.now() > give_up) failed(new Error("plots are not drawn"));
    else requestAnimationFrame(look);
  };
  look();
})
"""
WATCH_PRINT = """
addEventListener("beforeprint", () => {
  window.onPaper = [
    [...document.querySelectorAll(".js-plotly-plot svg.main-svg")].map((svg) => svg.getBoundingClientRect().width),
    getComputedStyle(document.querySelector(".xtick text")).fill,
    document.querySelectorAll("#measured details:not([open])").length,
  ];
})
"""


@dataclass
class Visit:
    """What was seen."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    light: list[dict[str, Any]] = field(default_factory=list)
    unfolded: list[dict[str, Any]] = field(default_factory=list)
    colours: dict[str, list[str]] = field(default_factory=dict)
    on_paper: list[Any] = field(default_factory=list)
    pdf: bytes = b""
    after_paper: list[dict[str, Any]] = field(default_factory=list)
    telephone_px: int = 0
    telephone: list[dict[str, Any]] = field(default_factory=list)
    focused: list[str] = field(default_factory=list)
    stops: list[list[bool]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """Build a page with every kind of plot, and visit it."""
    records = [
        *(record(ncpus=ncpus, gil=gil) for ncpus in (1, 2, 4, 6, 8) for gil in (False, True)),
        *(
            record(workload="pressure", redistribute_interval_s=interval, redistribute_min_gap_s=gap)
            for interval in (0.1, 1.0)
            for gap in (0.01, 0.1)
        ),
    ]
    file = tmp_path_factory.mktemp("report") / "report.html"
    curves = [saturating("ttas", band=True), saturating("mcs", seed=7), saturating(traffic=Traffic("forkexit"))]
    named = [(f"{number}.json", each) for number, each in enumerate(records)]
    page = build(named, [(f"scale-{number}.json", each) for number, each in enumerate(curves)])
    file.write_text(page, encoding="utf-8")
    return asyncio.run(_visit(file))


async def _visit(file: Path) -> Visit:
    seen = Visit(url=file.as_uri())
    async with tab() as opened:
        await opened.show()
        await opened.open(seen.url)
        seen.light = await opened.run(OVERVIEW)
        seen.colours["light"] = await opened.run(COLOURS)
        seen.focused = await _by_keyboard(opened)
        await opened.show(scheme="dark")
        seen.colours["dark"] = await opened.run(COLOURS)
        await opened.run(WATCH_PRINT)
        seen.pdf = base64.b64decode((await opened.send("Page.printToPDF", printBackground=True))["data"])
        seen.on_paper = await opened.run("window.onPaper")
        seen.after_paper = await opened.run(OVERVIEW)
        await opened.run(UNFOLD)
        seen.unfolded = await opened.run(OVERVIEW)
        nodes = (await opened.send("Accessibility.getFullAXTree"))["nodes"]
        heard = [node for node in nodes if not node["ignored"]]
        seen.stops = await opened.run(STOPS)
        seen.images = [node["name"]["value"] for node in heard if node["role"]["value"] == "image"]
        await opened.show(width=390)
        await opened.open(seen.url)
        seen.telephone_px = await opened.run("document.documentElement.scrollWidth")
        seen.telephone = await opened.run(OVERVIEW)
        seen.requests, seen.complaints = opened.requests, opened.complaints
    return seen


async def _by_keyboard(opened: Tab) -> list[str]:
    """Tab to the first thing, follow it, and tab on: say where that leads."""
    where = "document.activeElement.className || document.activeElement.id || document.activeElement.tagName"
    focused = []
    for key, code in (("Tab", 9), ("Enter", 13), ("Tab", 9), ("Enter", 13)):
        await opened.press(key, code)
        focused.append(await opened.run(where))
    focused.append(await opened.run("String(document.activeElement.parentElement.open)"))
    await opened.press("Enter", 13)
    return focused


@pytest.mark.rotated(2)
def test_it_asks_for_nothing_but_itself(visit: Visit) -> None:
    assert [url for url in visit.requests if not url.startswith("data:")] == [visit.url, visit.url]  # opened twice


def test_it_complains_of_nothing(visit: Visit) -> None:
    assert visit.complaints == []


def test_every_plot_that_is_not_folded_away_is_drawn(visit: Visit) -> None:
    titles = [plot["title"] for plot in visit.light]
    for title in ("Wait share", "Throughput of pingpong", "Waits for page locks", "Sleeps in uvm_wait"):
        assert title in titles
    for title in (
        "percpu, repetition 3",
        "Stranded pages",
        "Pages moved on or off the global list per page operation",
    ):
        assert title in titles
    for plot in visit.light:
        assert plot["drawn"] != plot["folded"], plot["title"]
    assert sum(plot["drawn"] for plot in visit.light) >= 10


def test_the_law_is_in_the_legend(visit: Visit) -> None:
    pytest.importorskip("scipy", reason="the extra `report` is not installed")
    (entries,) = (plot["entries"] for plot in visit.light if plot["title"] == "Throughput of pingpong")
    assert {"law, fpageqlock", "law, percpu"} < set(entries)


def test_curves_in_virtual_time_are_drawn_with_their_bands(visit: Visit) -> None:
    found = {plot["title"]: plot for plot in visit.light if plot["title"].startswith("Throughput in virtual time")}
    drawn, other = found.values()
    assert {"percpu, ttas locks", "fpageqlock, mcs locks", "linear", "costs halved and doubled"} < set(
        drawn["entries"]
    )
    assert drawn["fills"] == 2
    assert other["fills"] == 0


def test_unfolding_draws_the_rest(visit: Visit) -> None:
    assert len(visit.unfolded) == len(visit.light) > 25
    for plot in visit.unfolded:
        assert plot["drawn"], plot["title"]
        assert plot["marks"] > 0, plot["title"]


@pytest.mark.parametrize("which", ["light", "after_paper", "unfolded", "telephone"])
def test_plots_fill_their_places_and_no_more(visit: Visit, which: str) -> None:
    for plot in getattr(visit, which):
        if plot["drawn"]:
            (left, top, right, bottom), (svg_left, svg_top, svg_right, svg_bottom) = plot["place"], plot["svg"]
            assert (svg_left, svg_top) == pytest.approx((left, top), abs=1)
            assert (svg_right, svg_bottom) == pytest.approx((right, bottom), abs=2), plot["title"]
            assert right <= plot["parent"][2] + 1


@pytest.mark.parametrize("which", ["light", "unfolded"])
def test_no_legend_covers_a_plot_and_no_label_is_cut(visit: Visit, which: str) -> None:
    for plot in getattr(visit, which):
        if not plot["drawn"]:
            continue
        assert plot["panels"], plot["title"]
        if plot["legend"]:
            assert plot["legend"][3] <= min(panel[1] for panel in plot["panels"]) + 2, plot["title"]
        left, top, right, bottom = plot["place"]
        for text in plot["texts"]:
            assert text[0] >= left - 2, plot["title"]
            assert text[1] >= top - 2, plot["title"]
            assert text[2] <= right + 2, plot["title"]
            assert text[3] <= bottom + 2, plot["title"]


def test_colours_follow_the_reader(visit: Visit) -> None:
    assert visit.colours["light"] == ["rgb(255, 255, 255)", "rgb(28, 33, 40)"]
    assert visit.colours["dark"] == ["rgb(15, 20, 25)", "rgb(226, 232, 238)"]


def test_paper_is_light_narrow_and_has_the_facts(visit: Visit) -> None:
    """Printed out of the dark; afterwards all is as it was."""
    widths, text, folded = visit.on_paper
    assert len(widths) >= 10
    assert set(widths) == {PAPER_PX}
    assert text == visit.colours["light"][1]
    assert folded == 0
    assert visit.pdf.startswith(b"%PDF-")
    assert visit.pdf.count(b"/Type /Page\n") >= 5


def test_a_keyboard_is_enough(visit: Visit) -> None:
    """The first stop leads past the facts; from there on, tables and folds are stops."""
    assert visit.focused == ["skip", "answer", "SUMMARY", "SUMMARY", "false"]


def test_tables_that_scroll_are_stops_for_the_keyboard(visit: Visit) -> None:
    assert len(visit.stops) > len(visit.images)
    for is_stop, scrolls in visit.stops:
        assert is_stop == scrolls


def test_it_fits_a_telephone(visit: Visit) -> None:
    assert visit.telephone_px <= 390


def test_every_plot_is_an_image_that_says_what_it_shows(visit: Visit) -> None:
    assert len(visit.images) == len(visit.unfolded)
    for said in visit.images:
        assert any(character.isdigit() for character in said), said
        assert said.endswith("The table below has all figures.")
