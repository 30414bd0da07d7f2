"""A row that adds to the one above is shown where a design has another figure there, against that very row."""

from itertools import pairwise

import pytest

from tests.report.test_table_rows import FIGURES, record_of, rows
from uvmfree.report.comparison import ROWS

AGAINST = {
    "page_operations_done": "page_operations",
    "held_items_p99": "held_items_p50",
    "held_items_max": "held_items_p99",
    "held_pages_max": "held_items_max",
    "store_512_blocks": "free_512_blocks",
}


@pytest.mark.parametrize(("name", "other"), AGAINST.items())
def test_it_is_shown_only_where_it_differs(name: str, other: str) -> None:
    label = FIGURES[name][0]
    of_all = {each: float(number) for number, each in enumerate(dict.fromkeys((*AGAINST, *AGAINST.values())))}
    assert label in [shown for shown, _ in rows(record_of(of_all))]
    assert label not in [shown for shown, _ in rows(record_of(of_all | {name: of_all[other]}))]


def test_what_it_is_held_against_stands_above_it() -> None:
    order = [name for _, name, _ in ROWS]
    assert all(order.index(other) < order.index(name) for name, other in AGAINST.items())
    of_holds = [name for name in order if name.startswith("held_")]
    assert all(AGAINST[lower] == upper for upper, lower in pairwise(of_holds))
