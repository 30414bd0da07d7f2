"""The plot with a row for each setting and number of CPUs, from values made up by hand: places, marks and words."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.report.made import record
from uvmfree.report.page.numbers import number
from uvmfree.report.page.plot import SYMBOLS
from uvmfree.report.page.rows import (
    HEADING_CHARACTERS,
    HEADING_LEFT_PX,
    LANE_PX,
    Rows,
    marks,
    repetitions,
    rows_plot,
    table,
    told,
)
from uvmfree.report.page.settings import Point, points_of

DESIGNS = ("a<b", "c")
ROW_PX = 2 * LANE_PX + 12
"""Height of a row of two designs."""

Values = Callable[[Point, str], Sequence[float]]


def points(*labels: str) -> list[Point]:
    """A point for each label, with one more CPU than the one before."""
    (one,) = points_of([record(rows=0, repetitions=1)])
    return [replace(one, label=label, ncpus=ncpus) for ncpus, label in enumerate(labels, 1)]


def of(*columns: tuple[Sequence[float], Sequence[float]]) -> Values:
    """What both designs measured at each of the points, by their CPUs."""
    return lambda point, design: columns[point.ncpus - 1][DESIGNS.index(design)]


def test_each_heading_stands_in_the_middle_of_its_place_above_its_rows() -> None:
    rows = Rows(points("one", "one", "two"), DESIGNS)
    drawn = rows.layout({})
    assert [(each["text"], each["y"]) for each in drawn["annotations"]] == [
        ("<b>one</b>", 24 / 2 + 1),
        ("<b>two</b>", 24 + 2 * ROW_PX + 24 / 2 + 1),
    ]
    middles = [24 + ROW_PX / 2, 24 + ROW_PX * 3 / 2, 48 + ROW_PX * 5 / 2]
    assert drawn["yaxis"]["tickvals"] == middles
    assert drawn["yaxis"]["ticktext"] == ["1 CPU", "2 CPUs", "3 CPUs"]
    assert drawn["yaxis"]["range"] == [48 + 3 * ROW_PX, 0]  # the first row at the top
    assert rows.height == 48 + 3 * ROW_PX + 96
    assert {each["xshift"] for each in drawn["annotations"]} == {-HEADING_LEFT_PX}


def test_a_long_heading_has_several_lines_and_a_hyphen_is_no_place_to_break() -> None:
    first, second = "x" * 30, "percpu.at-long-last=" + "1" * 10
    assert len(first) + len(second) > HEADING_CHARACTERS
    (drawn,) = Rows(points(f"{first} {second}"), DESIGNS).layout({})["annotations"]
    assert (drawn["text"], drawn["y"]) == (f"<b>{first}<br>{second}</b>", (8 + 2 * 16) / 2 + 1)


def test_without_a_heading_rows_begin_at_the_top() -> None:
    rows = Rows(points(""), DESIGNS)
    assert rows.layout({}, [{"text": "more"}])["annotations"] == [{"text": "more"}]
    assert rows.height == ROW_PX + 96


def test_a_mark_is_a_median_with_lines_to_the_least_and_the_most() -> None:
    here = points("", "")
    rows = Rows(here, DESIGNS)
    first, second = marks(rows, here, of(([1, 2, 9], [5]), ([4], [])), number)
    assert (first["x"], second["x"]) == ([2, 4], [5])
    assert (first["error_x"]["array"], first["error_x"]["arrayminus"]) == ([7, 0], [1, 0])
    assert first["y"] == [ROW_PX / 2 - LANE_PX / 2, ROW_PX * 3 / 2 - LANE_PX / 2]
    assert second["y"] == [ROW_PX / 2 + LANE_PX / 2]
    assert first["text"] == ["a&lt;b, 1 CPU: 2 [1 - 9]", "a&lt;b, 2 CPUs: 4"]
    assert (first["name"], second["name"]) == ("a&lt;b", "c")
    assert [each["marker"]["symbol"] for each in (first, second)] == [*SYMBOLS[:2]]


@pytest.mark.parametrize(("most", "high"), [(50.0, 50.0), (0.0, 1.0)])
def test_the_axis_reaches_a_little_over_the_most_and_there_is_one_for_nothing(most: float, high: float) -> None:
    _, drawn, height = rows_plot(points(""), DESIGNS, of(([0, most], [])), number, "t")
    assert drawn["xaxis"]["range"] == [pytest.approx(-0.02 * high), pytest.approx(1.06 * high)]
    assert (drawn["xaxis"]["title"]["text"], height) == ("t", ROW_PX + 96)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((([1], [1]), ([1], [])), "1 repetition"),
        ((([1, 1], [1, 1]), ([], [])), "2 repetitions"),
        ((([1], [1, 1, 1]), ([], [])), "1 to 3 repetitions"),
        ((([], []), ([], [])), "no repetitions"),
    ],
)
def test_repetitions_are_counted(columns: tuple[tuple[list[float], list[float]], ...], said: str) -> None:
    assert repetitions(points("", ""), DESIGNS, of(*columns)) == said


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((([1, 2, 9], [3]), ([5], [3])), "a<b 2 to 5, c 3"),
        ((([1.0], []), ([1.001], [])), "a<b 1 to 1.00"),
        ((([1.0012], []), ([1.0011], [])), "a<b 1.00"),
        ((([], []), ([], [])), "nothing was measured"),
    ],
)
def test_what_marks_show_is_told_in_words(columns: tuple[tuple[list[float], list[float]], ...], said: str) -> None:
    assert told(points("", ""), DESIGNS, of(*columns), number) == said


def test_a_heading_of_a_table_stands_over_rows_and_once() -> None:
    values = of(([], []), ([1], [2]), ([], [3]), ([4], []), ([], []))
    made = table(
        "t",
        points("one", "one", "one", "two", "three"),
        DESIGNS,
        ("figure",),
        lambda point, design: [str(value) for value in values(point, design)],
    )
    assert made.columns == ("CPUs", "design", "figure")
    assert made.names == 2
    assert made.rows == [
        ("one",),
        ("2", "a<b", "1"),
        ("2", "c", "2"),
        ("3", "c", "3"),
        ("two",),
        ("4", "a<b", "4"),
    ]
