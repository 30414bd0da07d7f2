"""The page as a document: every figure is in a table, every plot says what it shows, every text is only text."""

import json
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.made import MS, record
from tests.report.reader import Element, plotted, read
from uvmfree.measure.record import Record
from uvmfree.measure.run import figures
from uvmfree.report.page import whole_page
from uvmfree.report.page.numbers import number
from uvmfree.report.page.whole_page import build

pytest.importorskip("plotly", reason="the extra `report` is not installed")

Page = Callable[..., Element]
SECTIONS = ("answer", "measured", "locks", "scaling", "waits", "timeline", "stranded", "parked", "redistribution")


@pytest.fixture(autouse=True)
def _without_plotly_js(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes that say nothing about the rest."""
    monkeypatch.setattr(whole_page, "library", lambda: "")


def page(*records: Record, names: Sequence[str] = ()) -> Element:
    """Build a page and check what every page has to have."""
    named = names or [f"{index}.json" for index in range(len(records))]
    top = read(build(list(zip(named, records, strict=True))))
    ids = [element.attributes["id"] for element in everything(top) if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for element in everything(top):
        assert element.attributes.get("aria-labelledby", ids[0]) in ids
        assert not {"src", "onclick", "onload"} & element.attributes.keys()
        if "href" in element.attributes:
            assert str(element.attributes["href"])[1:] in ids
    assert tuple(section.attributes["id"] for section in top.all("section")) == SECTIONS
    for figure in top.all("figure"):
        drawing = figure.one("div", class_="plot")
        assert drawing.attributes["role"] == "img"
        assert figure.one("figcaption").text in str(drawing.attributes["aria-label"])
        assert figure.all("table")
        assert plotted(figure)["data"]
    for table in top.all("table"):
        assert table.one("caption").text
        assert {len(row) for row in table.rows()} <= {1, max(len(row) for row in table.rows())}
    return top


def everything(top: Element) -> list[Element]:
    return [element for child in top.inner if isinstance(child, Element) for element in (child, *everything(child))]


def section(top: Element, name: str) -> Element:
    return top.one("section", id=name)


def trace(figure: Element, name: str) -> dict[str, Any]:
    (found,) = (each for each in plotted(figure)["data"] if each.get("name") == name)
    return dict(found)


def test_wait_share_and_acquisitions_are_drawn_and_listed() -> None:
    one = record(ncpus=4)
    wait, shared = section(page(one), "locks").all("figure")
    for figure, name in ((wait, "wait_share_percent"), (shared, "shared_locks_per_op")):
        for design in one.designs:
            values = one.values(design)[name]
            drawn = trace(figure, design)
            assert drawn["x"] == [statistics.median(values)]
            assert drawn["error_x"]["array"] == [pytest.approx(max(values) - statistics.median(values))]
            assert drawn["error_x"]["arrayminus"] == [pytest.approx(statistics.median(values) - min(values))]
            (row,) = (row for row in figure.one("table").rows() if row[:2] == ["4", design])
            if name == "shared_locks_per_op":
                assert row[2].startswith(number(statistics.median(values)))


def test_throughput_stands_beside_the_ideal() -> None:
    """Linear, as will-it-scale has it: what one CPU did, times the CPUs."""
    records = [record(ncpus=ncpus) for ncpus in (4, 1, 2)]
    (figure,) = section(page(*records), "scaling").all("figure")
    for design in ("fpageqlock", "percpu"):
        medians = []
        for one in sorted(records, key=lambda each: each.workload.ncpus):
            values = [figures(run).page_operations / run.drive.wall_ns * 1e9 for run in one.timed(design)]
            medians.append(statistics.median(values))
        measured, linear = trace(figure, design), trace(figure, f"linear, {design}")
        assert measured["x"] == linear["x"] == [1, 2, 4]
        assert measured["y"] == pytest.approx(medians)
        assert linear["y"] == pytest.approx([medians[0], 2 * medians[0], 4 * medians[0]])
    rows = figure.one("table").rows()
    assert len(rows) == 1 + 6
    assert {row[-1] for row in rows[1:]} == {"2"}
    assert "more threads than the 2 processors of the host" in json.dumps(plotted(figure))
    assert len(plotted(figure)["layout"]["shapes"]) == 1


def test_with_the_gil_times_of_threads_are_left_out_and_it_is_said() -> None:
    """No empty plot, and no number of what threads that took turns waited or did; counts stay."""
    top = page(*(record(ncpus=ncpus, gil=True) for ncpus in (1, 2)))
    titles = [figure.one("h3").text for name in SECTIONS[2:5] for figure in section(top, name).all("figure")]
    assert titles == ["Shared-lock acquisitions per page operation"]
    for name, what in (("locks", "time that they waited for"), ("scaling", "throughput"), ("waits", "how long")):
        (said,) = (p.text for p in section(top, name).all("p") if "with the GIL" in p.text)
        assert said.startswith("These records were measured with the GIL: threads took turns, so ")
        assert what in said
        assert "free-threaded Python" in said
        assert not re.search("Wait share is|linear line", section(top, name).text)
    calm = record(gil=True)
    calm = replace(calm, runs=[replace(run, waits=replace(run.waits, sleep_hist=(0,) * 40)) for run in calm.runs])
    bare = section(page(calm), "waits")
    assert not bare.all("figure")
    assert "bucket" not in bare.text
    (titles_of_grid,) = (
        [figure.one("h3").text for figure in group.all("figure")]
        for group in section(page(*grid((0.1, 1.0), (0.01, 0.1), gil=True)), "redistribution").all("details")[:1]
    )
    assert "Pages moved on or off the global list per page operation" in titles_of_grid
    assert "Page operations per second" not in titles_of_grid


def test_beside_records_with_the_gil_the_others_are_shown_whole() -> None:
    free = [record(ncpus=ncpus) for ncpus in (1, 2)]
    alone, both = page(*free), page(*free, *(record(ncpus=ncpus, gil=True) for ncpus in (1, 2)))
    for name, at in (("locks", 0), ("scaling", 0), ("waits", 0)):
        one, other = (section(top, name).all("figure")[at] for top in (alone, both))
        rows = [[row for row in figure.all("table")[0].rows() if len(row) > 1] for figure in (one, other)]
        assert rows[0] == rows[1]
        assert "Some of these records were measured with the GIL" in section(both, name).text
        assert "GIL" not in section(alone, name).text


def test_one_number_of_cpus_is_no_line() -> None:
    only = section(page(record(), record(workload="handoff")), "scaling")
    assert "for n in 1 2 4" in only.one("pre").text
    assert only.one("figure").one("h3").text == "Throughput, on one number of CPUs each"


def test_quantiles_are_bounds_and_said_to_be() -> None:
    one = record()
    top = section(page(one), "waits")
    assert "upper end of its bucket" in top.all("p")[0].text
    locks, sleeps = top.all("figure")
    rows = {row[1]: row for row in locks.one("table").rows()[1:]}
    waited = sum(
        lock.contended
        for run in one.counted("percpu")
        for lock in run.locks
        if lock.name.startswith(("uvm_fpageqlock", "uvm_cpu"))
    )
    assert rows["percpu"][2] == f"{waited:,}"
    assert rows["percpu"][3].startswith("≤ ")
    assert rows["percpu"][-1] == "8.39 ms"
    assert {row[1] for row in sleeps.one("table").rows()[1:]} == {"fpageqlock", "percpu"}


def test_without_a_wait_the_page_says_so() -> None:
    one = record()
    calm = [replace(run, waits=replace(run.waits, sleep_hist=(0,) * 40)) for run in one.runs]
    top = section(page(replace(one, runs=calm)), "waits")
    assert len(top.all("figure")) == 1
    assert "Nobody slept in uvm_wait" in top.text
    calmer = [replace(run, locks=tuple(replace(lock, wait_hist=(0,) * 40) for lock in run.locks)) for run in calm]
    top = section(page(replace(one, runs=calmer)), "waits")
    assert "nobody waited" in top.one("figcaption").text
    assert [note["text"] for note in plotted(top.one("figure"))["layout"]["annotations"]] == ["none", "none"]


def test_a_timeline_has_the_reading_and_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """P1: the unlocked reading is what a reader sees; the truth is the global list and the caches (R3)."""
    one = record(ncpus=3)
    shown, other = section(page(one), "timeline").all("figure")[::-1]
    samples = one.counted("percpu")[-1].samples
    assert samples is not None
    truth = [
        free - lag + sum(held) for free, lag, *held in zip(samples.free, samples.lag, *samples.cached, strict=True)
    ]
    assert trace(shown, "unlocked reading")["y"] == list(samples.free)
    assert trace(shown, "truth: all free pages")["y"] == truth
    assert trace(shown, "cached on CPU 2")["y"] == list(samples.cached[2])
    assert trace(shown, "unlocked reading")["x"] == [round(ns / MS, 2) for ns in samples.t_ns]
    cells = {row[0]: row[1:] for row in shown.all("table")[0].rows()}
    assert cells["truth: all free pages"] == [
        number(value) for value in (min(truth), statistics.median(truth), max(truth), truth[-1])
    ]
    assert not [each for each in plotted(other)["data"] if str(each["name"]).startswith("cached")]


def test_a_timeline_marks_redistributions_and_the_daemon() -> None:
    one = record(events=40)
    figure = section(page(one), "timeline").all("figure")[1]
    run = one.counted("percpu")[-1]
    assert run.samples is not None
    end_ns = run.samples.began_ns + run.samples.t_ns[-1]
    within = [event for event in run.events if event.began_ns <= end_ns]
    for lane, what, cause in (("daemon pass", "daemon", ""), ("drain: timer", "redistribute", "timer")):
        here = [event for event in within if (event.what, event.cause) == (what, cause)]
        marks = trace(figure, lane)["customdata"]
        assert sum(times for times, _ in marks) == len(here)
        assert sum(pages for _, pages in marks) == sum(event.pages for event in here)
        rows = {row[0]: row[1:] for row in figure.all("table")[1].rows()}
        assert rows[lane][0] == str(len(here))


def test_long_timelines_are_thinned_but_keep_their_extremes() -> None:
    records = [record(rows=1000, events=3000, seed=seed, ncpus=8) for seed in range(6)]
    drawn = section(page(*records), "timeline").all("figure")
    assert len(drawn) == 12
    for figure, one, design in zip(
        drawn, (r for r in records for _ in "ab"), ("fpageqlock", "percpu") * 6, strict=True
    ):
        samples = one.counted(design)[-1].samples
        assert samples is not None
        reading = trace(figure, "unlocked reading")["y"]
        assert len(reading) < 1000
        assert min(reading) == min(samples.free)
        assert reading[-1] == samples.free[-1]


def test_stranded_pages_are_those_that_the_emptiest_cpu_misses() -> None:
    one = record(ncpus=3)
    figure = section(page(one), "stranded").one("figure")
    samples = one.counted("percpu")[-1].samples
    assert samples is not None
    wanted = [sum(held) - min(held) for held in zip(*samples.cached, strict=True)]
    assert trace(figure, "percpu")["y"] == wanted
    rows = {row[0]: row[1:] for row in figure.one("table").rows()}
    assert rows["percpu"][0] == f"{max(wanted):,}"
    assert rows["fpageqlock"][0] == "0"


def grid(intervals: Sequence[float], gaps: Sequence[float], **more: Any) -> list[Record]:
    return [
        record(redistribute_interval_s=interval, redistribute_min_gap_s=gap, seed=index, **more)
        for index, (interval, gap) in enumerate((interval, gap) for interval in intervals for gap in gaps)
    ]


def test_a_grid_is_a_heat_map() -> None:
    """Q10, Q11: interval x rate limit. A field that was not measured stays empty; fpageqlock has no caches."""
    records = grid((0.1, 1.0), (0.01, 0.1, 1.0))[:-1]
    top = section(page(*records), "redistribution")
    assert top.one("details", class_="record").all("summary")[0].text == "percpu, 2 CPUs"
    titles = [figure.one("h3").text for figure in top.all("figure")]
    assert titles[0] == "Page operations per second"
    moved = top.all("figure")[titles.index("Pages moved on or off the global list per page operation")]
    (drawn,) = plotted(moved)["data"]
    wanted = [statistics.median(each.values("percpu")["moved_per_op"]) for each in records]
    assert [value for row in drawn["z"] for value in row] == pytest.approx([*wanted, None])
    assert (drawn["x"], drawn["y"]) == (["0.01", "0.1", "1"], ["0.1", "1"])
    assert moved.one("table").rows()[-1][-1] == "-"


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([record()], "the interval 1 s and the gap 0.01 s. To make"),
        (grid((0.1, 1.0), (0.01,)), "the interval 0.1 and 1 s and the gap 0.01 s. To make"),
        (
            [*grid((0.1,), (0.01,)), *grid((1.0,), (0.1,), ncpus=4)],
            "the interval 0.1 and 1 s and the gap 0.01 and 0.1 s, but not in one grid. To make",
        ),
    ],
)
def test_without_a_grid_the_page_says_what_would_make_one(records: list[Record], said: str) -> None:
    top = section(page(*records), "redistribution")
    assert not top.all("figure")
    assert said in top.text
    assert "--set redistribute_min_gap_s=$g" in top.one("pre").text


def test_the_facts_of_each_record_are_there() -> None:
    one = record(gil=True, refill=32, hoard_max=64)
    top = page(one, replace(record(seed=2), interrupted=True), names=["a.json", "b.json"])
    measured = section(top, "measured")
    rows = measured.all("table")[0].rows()
    assert [row[1] for row in rows[1:]] == ["a.json", "b.json"]
    assert [(row[5], row[-1]) for row in rows[1:]] == [("on", "whole"), ("off", "interrupted")]
    facts = dict(measured.all("table")[2].rows())
    assert facts["tunables not at their defaults"] == "percpu.refill=32, percpu.hoard_max=64"
    common = dict(measured.all("table")[1].rows())
    assert common["command"] == "uvmfree bench --workload pingpong --cpus 2"
    assert "not whole" in measured.all("table")[3].text
    assert common["kernel"] == one.host.kernel
    assert "kernel" not in facts


def test_what_to_bear_in_mind_is_said() -> None:
    def said(*records: Record) -> str:
        return page(*records).one("aside").text

    assert "the GIL is on" not in said(record())
    assert "This record: the GIL is on" in said(record(gil=True))
    assert "Record 2: the GIL is on" in said(record(), record(gil=True))
    many = [record(ncpus=4, seed=seed) for seed in range(4)]
    assert "Records 1 to 4: more threads than processors" in said(*many, record())
    assert "Record 1: interrupted" in said(replace(record(), interrupted=True), record())
    assert "fewer than 5 repetitions" not in said(record(repetitions=5))
    assert "different hosts" in said(record(), record(processors=4))
    assert "some milliseconds apart" in said(record())


HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(1)</script>&amp;\"'%{x}{{1}}"


def test_what_a_record_says_is_only_text() -> None:
    clean = page(*(record(ncpus=ncpus) for ncpus in (1, 2)))
    records = [record(ncpus=ncpus, workload=HOSTILE, designs=("fpageqlock", HOSTILE)) for ncpus in (1, 2)]
    hostile = [
        replace(
            each,
            host=replace(each.host, python=HOSTILE, cpu_model=HOSTILE, kernel=HOSTILE, date=HOSTILE),
            workload=replace(each.workload, skipped=HOSTILE),
            command=(HOSTILE, HOSTILE),
            runs=[
                replace(run, events=tuple(replace(event, cause=HOSTILE) for event in run.events)) for run in each.runs
            ],
        )
        for each in records
    ]
    top = page(*hostile, names=[HOSTILE, HOSTILE + "2"])
    assert {element.tag for element in everything(top)} == {element.tag for element in everything(clean)}
    assert len(top.all("script")) == len(clean.all("script"))
    assert HOSTILE in section(top, "measured").text
    for figure in top.all("figure"):
        assert "<img" not in json.dumps(plotted(figure))


def test_colours_are_there_for_light_and_dark() -> None:
    top = page(*grid((0.1, 1.0), (0.01, 0.1)), *(record(ncpus=ncpus, gil=True, rows=3) for ncpus in (1, 2, 8)))
    style = top.one("style").text
    light, dark = style.split("prefers-color-scheme: dark", 1)
    used = set(re.findall(r"var\((--[\w-]+)\)", style + "".join(script.text for script in top.all("script"))))
    assert {"--page", "--text", "--grid", "--design-0", "--design-1", "--cpu-1", "--truth", "--daemon"} <= used
    for name in used:
        assert f"{name}: " in light
        assert f"{name}: " in dark


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_stand_out_from_the_page() -> None:
    """WCAG 2.1: 4.5 for text, 3 for what is drawn."""
    for scheme in page(record()).one("style").text.split("prefers-color-scheme: dark", 1):
        colours = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", scheme))
        for name, wanted in (
            *((name, 4.5) for name in ("--text", "--muted", "--link", "--warning")),
            *((name, 3.0) for name in colours if re.match("--(design|truth|listed|reading|daemon|drain)", name)),
        ):
            lighter, darker = sorted((luminance(colours[name]), luminance(colours["--page"])))[::-1]
            assert (lighter + 0.05) / (darker + 0.05) >= wanted, (name, colours[name])


def test_a_record_that_has_next_to_nothing_is_reported_all_the_same() -> None:
    """Of version 1, broken off at once, or without lockstat."""
    one = record()
    page(record(rows=0, events=0))
    empty = page(replace(one, runs=[], interrupted=True))
    assert not empty.all("figure")
    assert "Nothing was measured with lockstat." in section(empty, "locks").text
    page(replace(one, runs=[], interrupted=True), one)
    page(replace(one, runs=one.runs[:1], interrupted=True))
    timed = page(replace(one, runs=[run for run in one.runs if not run.lockstat]))
    assert [figure.one("h3").text for figure in timed.all("figure")] == ["Throughput, on one number of CPUs each"]
    page(record(rows=1, ncpus=1))
    page(record(ncpus=16, rows=5))
    top = page(record(rows=0), record(seed=2))
    assert "No samples in record 1." in section(top, "timeline").text


RECORDS = st.builds(
    record,
    ncpus=st.sampled_from([1, 2, 9]),
    workload=st.sampled_from(["pingpong", "a b, c"]),
    gil=st.booleans(),
    designs=st.sampled_from([("percpu",), ("fpageqlock", "percpu"), ("percpu", "other", "fpageqlock")]),
    repetitions=st.integers(1, 2),
    rows=st.sampled_from([0, 1, 7]),
    events=st.integers(0, 3),
    redistribute_interval_s=st.sampled_from([0.1, 1]),
    redistribute_min_gap_s=st.sampled_from([0.01, 0.1]),
)


@given(st.lists(RECORDS, min_size=1, max_size=5))
@settings(max_examples=settings().max_examples // 4)
def test_whatever_the_records_are_the_page_is_whole(records: list[Record]) -> None:
    page(*records)
