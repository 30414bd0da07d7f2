"""What plots consist of: axes, colours, symbols, labels that are no markup, and JSON that ends no script."""

import json

import pytest

from uvmfree.report.page.content import Plot
from uvmfree.report.page.plot import COLOURS, SYMBOLS, as_json, colour, decades, pages_axis, plain, symbol

DESIGNS = [f"d{at}" for at in range(12)]


def test_ten_designs_have_ten_colours_and_symbols_and_the_eleventh_has_the_first() -> None:
    assert COLOURS == len(SYMBOLS) == len(set(SYMBOLS)) == 10
    assert [colour(DESIGNS, design) for design in DESIGNS[8:]] == [f"var(--design-{at})" for at in (8, 9, 0, 1)]
    assert [symbol(DESIGNS, design) for design in DESIGNS[8:]] == [*SYMBOLS[8:], *SYMBOLS[:2]]


def test_a_label_is_no_markup_and_names_no_figure_of_the_plot() -> None:
    assert plain("""<b>&"%{x}""") == """&lt;b&gt;&amp;"%&#123;x}"""


@pytest.mark.parametrize(
    ("shown", "high", "step"),
    [([], 1.05, 1), ([0], 1.05, 1), ([2, 4, 1], 4.2, 1), ([5], 5.25, None), ([1000, 7], 1050, None)],
)
def test_an_axis_of_pages_is_of_whole_ones(shown: list[int], high: float, step: int | None) -> None:
    made = pages_axis("t", shown)
    assert (made["range"], made.get("dtick")) == ([0, pytest.approx(high)], step)


@pytest.mark.parametrize(
    ("low", "high", "ends", "powers"),
    [
        (0, 0, (0, 1), [0, 1]),
        (1, 10, (0, 1), [0, 1]),
        (20, 30, (1, 2), [1, 2]),
        (100, 100, (2, 3), [2]),
        (99, 1001, (1, 4), [1, 2, 3, 4]),
    ],
)
def test_an_axis_of_times_goes_from_a_power_of_ten_to_another_one(
    low: float, high: float, ends: tuple[int, int], powers: list[int]
) -> None:
    made = decades(low, high)
    assert made["range"] == [ends[0] - 0.1, ends[1] + 0.1]
    assert made["tickvals"] == [10**power for power in powers]


def test_powers_of_ten_are_called_by_their_unit() -> None:
    made = decades(1, 10**9)
    assert made["tickvals"] == [10**power for power in range(10)]
    assert made["ticktext"] == [
        "1 ns",
        "10 ns",
        "100 ns",
        "1 µs",
        "10 µs",
        "100 µs",
        "1 ms",
        "10 ms",
        "100 ms",
        "1 s",
    ]


def test_what_a_plot_says_ends_no_script() -> None:
    pytest.importorskip("plotly", reason="the extra `report` is not installed")
    name = "</script>&amp;"
    made = as_json(Plot("", "", [{"type": "scatter", "x": [1], "y": [2], "name": name}], {"title": name}, 77, []))
    assert "<" not in made
    assert "&" not in made
    found = json.loads(made)
    assert found["data"][0]["name"] == name
    assert found["layout"]["height"] == 77
