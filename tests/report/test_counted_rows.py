"""What is counted at each operation, and requests of order > 0: in the text table, and in a comparison of records."""

from dataclasses import replace

import pytest

from tests.measure.tallies import NONE, TALLY
from tests.report.made import record
from uvmfree.analyse.compare import compare
from uvmfree.measure.record import Record
from uvmfree.measure.tally import Held, Tally
from uvmfree.report.comparison import ROWS, table

WIDE = 120


def counted(*tallies: Tally, **counts: int) -> Record:
    """Make a record of fpageqlock and percpu with a tally each."""
    one = record(repetitions=3)
    of = dict(zip(one.designs, tallies, strict=True))
    return replace(one, runs=[replace(run, tally=of[run.design], counts=counts) for run in one.runs])


def rows(one: Record) -> dict[str, list[str]]:
    """The cells of each figure in the table; rows of one label stand in the order of ROWS."""
    lines = list(table(one, WIDE))
    found = {}
    for label, name, _ in ROWS:
        if (at := next((at for at, line in enumerate(lines) if line.startswith(f"{label} ")), None)) is not None:
            found[name] = lines[at].removeprefix(label).split()
            lines = lines[at + 1 :]
    return found


def test_a_row_has_the_figure_of_each_design() -> None:
    found = rows(counted(NONE, TALLY))
    assert {name: found[name] for name in found if name.startswith(PREFIXES)} == {
        "held_items_p50": ["0", "1"],
        "held_items_p99": ["0", "32"],
        "parked_pages_max": ["0", "1,234"],
        "parked_pages_mean": ["0", "617"],
        "warm_percent": ["-", "20.00"],
        "reuse_pages_median": ["-", "3"],
        "color_right_percent": ["-", "75.00"],
    }


PREFIXES = ("held_", "parked_", "warm_", "reuse_", "color_")


def test_the_most_in_a_hold_has_a_row_where_it_is_another_than_at_99_percent() -> None:
    """And pages moved singly, where they are not what was touched: a run moved by pointer is one item."""
    long = (Held("uvm_fpageqlock", "uvm_pagefree", ((1, 999), (40, 1)), ((1, 999), (7, 1))),)
    found = rows(counted(NONE, replace(TALLY, held=long)))
    assert [found[f"held_{name}"][-1] for name in ("items_p50", "items_max", "pages_max")] == ["1", "40", "7"]
    assert "held_items_p99" not in found  # 1, as the median


def test_requests_of_order_above_0_have_rows_where_there_were_any() -> None:
    found = rows(counted(NONE, TALLY, runs_asked=9, runs_met=7, runs_failed=2, runs_pages=56))
    assert [found[f"runs_{what}"] for what in ("asked", "met", "failed", "pages")] == [
        ["9", "9"],
        ["7", "7"],
        ["2", "2"],
        ["56", "56"],
    ]
    assert not [name for name in rows(counted(NONE, TALLY)) if name.startswith("runs_")]


@pytest.mark.parametrize(
    ("figure", "changed", "verdict"),
    [
        ("parked_pages_mean", {"parked_pages_total": 800 * 700}, "worse"),
        ("parked_pages_mean", {"parked_pages_total": 800 * 500}, "better"),
        ("warm_percent", {"reuse_pages": ((3, 90), (9000, 10))}, "better"),
        ("warm_percent", {"reuse_pages": ((3, 40), (9000, 60))}, "worse"),
        ("color_right_percent", {"color_right": 200}, "worse"),
        ("failed_while_free_elsewhere", {"failed_beside": 8}, "worse"),
        ("parked_pages_max", {"parked_pages_max": 4000}, ""),
        ("held_items_p99", {"held": ()}, ""),
    ],
)
def test_a_comparison_judges_what_more_or_less_of_is_better(
    figure: str, changed: dict[str, object], verdict: str
) -> None:
    """A peak and a hold are shown, and not judged."""
    before, after = counted(NONE, TALLY), counted(NONE, replace(TALLY, **changed))  # type: ignore[arg-type]
    found = {one.figure: one for one in compare(before, after, 0.05) if one.design == "percpu"}
    assert found[figure].verdict == verdict
    assert found[figure].before != found[figure].after
    assert {one.verdict for name, one in found.items() if name.startswith(PREFIXES) and name != figure} <= {
        "same",
        "",
    }
