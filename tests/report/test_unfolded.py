"""How many plots over time are shown to begin with: of three records all, of four the first one's."""

import pytest

from uvmfree.report.page.timeline import is_unfolded


@pytest.mark.parametrize(("records", "shown"), [(1, 1), (2, 2), (3, 3), (4, 1), (9, 1)])
def test_records_whose_plots_are_shown(records: int, shown: int) -> None:
    assert [is_unfolded(index, range(records)) for index in range(records)] == [
        index < shown for index in range(records)
    ]
