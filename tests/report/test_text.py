"""Text that fits a width: what stands where in a table, when ranges go below values, and columns below others."""

import pytest

from uvmfree.report.text import Cell, Row, number, paragraph, per_op, table

ROWS = [
    Row("time, ms", [Cell("12", "[10-14]"), Cell("7")]),
    Row("pages", [Cell("1,024"), Cell("9", "[8-9]")]),
]


def test_where_there_is_room_ranges_stand_beside_their_values() -> None:
    assert list(table(["old", "new"], ROWS, 29)) == [
        "                 old      new",
        "-----------------------------",
        "time, ms  12 [10-14]        7",
        "pages          1,024  9 [8-9]",
    ]


def test_where_there_is_less_they_stand_below() -> None:
    assert list(table(["old", "new"], ROWS, 28)) == [
        "              old    new",
        "------------------------",
        "time, ms       12      7",
        "          [10-14]",
        "pages       1,024      9",
        "                   [8-9]",
    ]


def test_where_there_is_less_still_columns_stand_below_others() -> None:
    assert list(table(["old", "new"], ROWS, 20)) == [
        "              old",
        "-----------------",
        "time, ms       12",
        "          [10-14]",
        "pages       1,024",
        "",
        "            new",
        "---------------",
        "time, ms      7",
        "pages         9",
        "          [8-9]",
    ]


def test_a_width_that_holds_no_column_gets_one_at_a_time() -> None:
    assert len([line for line in table(["old", "new"], ROWS, 3) if line.startswith("-")]) == 2


def test_a_paragraph_is_broken_between_words_only() -> None:
    assert list(paragraph("one two-three four", 9, "  ")) == ["one", "  two-three", "  four"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.00002, "0.00002"),
        (0.000012345, "0.00001234"),
        (0.35521, "0.3552"),
        (7.0, "7"),
        (100, "100"),
        (123.45, "123.5"),
        (999.96, "1,000"),
        (1000, "1,000"),
        (27530.4, "27,530"),
        (-1234567.8, "-1,234,568"),
        (-0.5, "-0.5"),
    ],
)
def test_a_number_has_four_digits_that_count_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_rate_of_less_than_a_thousandth_has_six_decimals_and_those_beside_it_too() -> None:
    """The first one decides."""
    assert per_op(0.001, 0.0005, 2.0) == ("0.0010", "0.0005", "2.0000")
    assert per_op(0.000999, 0.5) == ("0.000999", "0.500000")
    assert per_op(0.0, 0.00001) == ("0.0000", "0.0000")
