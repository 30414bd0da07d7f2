"""The parts that a page is made of: escaping, numbers, quantile bounds, thinning, and what belongs together."""

import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.made import record
from tests.texts import characters, texts
from uvmfree.report.page.histogram import quantile_bound, summed
from uvmfree.report.page.markup import Html, joined, tag
from uvmfree.report.page.numbers import duration, listed, number, percent, reach, spread
from uvmfree.report.page.settings import Setting, label, points_of
from uvmfree.report.page.thin import NUMBERS_MAX, ROWS_LEAST, ROWS_MOST, binned, rows_for, thinned

TEXTS = texts(characters().filter(lambda char: unicodedata.category(char) != "Cc"))


@given(TEXTS, TEXTS)
def test_whatever_stands_in_a_text_comes_out_as_text(said: str, named: str) -> None:
    seen: list[object] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, attrs))

        def handle_data(self, data: str) -> None:
            seen.append(data)

    reader = Reader()
    reader.feed(tag("p", said, aria_label=named))
    reader.close()
    assert seen[0] == ("p", [("aria-label", named)])
    assert "".join(str(each) for each in seen[1:]) == said


def test_control_characters_are_no_part_of_a_document() -> None:
    """And a page on stdout may be a terminal's."""
    made = tag("p", "a\x1b[2J\x9b\tb\nc\r\x00", aria_label="\x07")
    assert made == '<p aria-label="\ufffd">a\ufffd[2J\ufffd\tb\nc\ufffd\ufffd</p>'


def test_html_is_not_escaped_twice() -> None:
    inner = tag("b", "a < b", class_="x", open=True, hidden=False)
    assert inner == '<b class="x" open>a &lt; b</b>'
    assert joined(inner, "&", Html("&")) == inner + "&amp;&"
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1.0, "1"),
        (12345.6, "12,346"),
        (0.000081234, "0.0000812"),
        (0.5, "0.500"),
        (38.57, "38.6"),
        (-2.5, "-2.50"),
    ],
)
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e15, 1e15))
def test_a_number_is_right_to_a_hundredth(value: float) -> None:
    shown = number(value)
    assert "e" not in shown
    assert float(shown.replace(",", "")) == pytest.approx(value, rel=0.01, abs=0)


def test_times_have_the_unit_that_suits_them() -> None:
    assert [duration(ns) for ns in (0, 999, 1000, 1_234_567, 2.5e9)] == ["0 ns", "999 ns", "1 µs", "1.23 ms", "2.5 s"]


def test_spreads_say_what_differs() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2 [1 - 3]"
    assert spread([2.0, 2.0]) == "2"
    assert reach([3, 1]) == "1 to 3"
    assert percent(0.001) == "0.00 %"
    assert (percent(9.994), percent(10.0)) == ("9.99 %", "10.0 %")
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


@given(st.lists(st.integers(0, 1 << 45), min_size=1, max_size=200), st.sampled_from([0.5, 0.99, 0.999]))
def test_a_quantile_lies_under_its_bound_and_over_half_of_it(times_ns: list[int], part: float) -> None:
    histogram = [0] * 40
    for ns in times_ns:
        histogram[min(ns.bit_length(), 39)] += 1
    exact = next(ns for n, ns in enumerate(sorted(times_ns), 1) if n >= part * len(times_ns))
    bound = quantile_bound(histogram, part, max(times_ns))
    assert bound is not None
    assert exact <= bound
    if exact < 1 << 38:
        assert bound <= 2 * exact
    assert bound <= max(times_ns)


def test_without_times_there_is_no_quantile() -> None:
    assert quantile_bound([0, 0], 0.5, 0) is None
    assert quantile_bound([], 0.5, 0) is None
    assert summed([]) == []
    assert summed([(1, 2), (3, 4)]) == [4, 6]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=300), st.integers(2, 50))
def test_thinning_keeps_the_ends_and_the_extremes(column: list[int], limit: int) -> None:
    kept = thinned(len(column), limit, [column, [-value for value in column]])
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, len(column) - 1)
    assert len(kept) <= max(limit, 4)
    assert max(column[row] for row in kept) == max(column)
    assert min(column[row] for row in kept) == min(column)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_more_columns_keep_no_more_rows(columns: int) -> None:
    """Each has its extremes at rows of its own."""
    peaks = [[(row * 7919 + at * 613) % 1000 for row in range(1000)] for at in range(columns)]
    assert 40 <= len(thinned(1000, 50, peaks)) <= 50


@given(st.integers(1, 10_000))
def test_all_timelines_together_stay_within_bounds(numbers: int) -> None:
    rows = rows_for(numbers)
    assert ROWS_LEAST <= rows <= ROWS_MOST
    assert rows * numbers <= NUMBERS_MAX or rows == ROWS_LEAST


@given(st.lists(st.integers(0, 1000)), st.integers(1, 20))
def test_bins_lose_nothing(items: list[int], bins: int) -> None:
    groups = binned(items, float, 1000.0, bins)
    assert sorted(item for group in groups for item in group) == sorted(items)
    assert len(groups) <= bins + 1


def test_records_of_one_setting_are_one_point() -> None:
    records = [record(ncpus=4), record(ncpus=2), record(ncpus=2, seed=2, repetitions=4)]
    points = points_of(records)
    assert [(point.ncpus, point.label) for point in points] == [(2, ""), (4, "")]
    assert len(points[0].values("percpu", "wait_share_percent")) == 3 + 4
    assert points[0].values("nothing", "wait_share_percent") == []


def test_settings_are_called_by_what_differs() -> None:
    """A tunable tells apart only records of the same workload: pressure has its own size of RAM."""
    records = [
        record(),
        record(gil=True),
        record(gil=True, refill=32),
        record(workload="pressure", npages=4096),
    ]
    labels = [point.label for point in points_of(records)]
    assert labels == [
        "pingpong, CPython 3.13.5, free-threaded, percpu.refill=1",
        "pingpong, CPython 3.11.7, with the GIL, percpu.refill=1",
        "pingpong, CPython 3.11.7, with the GIL, percpu.refill=32",
        "pressure, CPython 3.13.5, free-threaded",
    ]
    settings = [Setting.of(each) for each in (record(), record(npages=4096))]
    assert [label(each, settings) for each in settings] == ["65,536 pages", "4,096 pages"]
    assert label(settings[0], settings[:1]) == ""


def test_a_record_without_runs_is_no_point() -> None:
    assert points_of([replace(record(), runs=[], interrupted=True)]) == []


def test_what_lies_in_one_part_of_the_time_is_one_group() -> None:
    times = [0.0, 0.9, 1.0, 7.5, 7.99]
    assert binned(times, float, 10.0, 10) == [[0.0, 0.9], [1.0], [7.5, 7.99]]
    assert binned(times, float, 0.0, 10) == [times]
