"""Who waits until nothing is on its way to swap is told of each pageout that ends, however short memory is."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.anon.test_pageout import Parts


@pytest.mark.parametrize("free", [0, 100])
def test_each_end_of_a_pageout_is_told(free: int) -> None:
    parts = Parts(free=free)
    left: list[int] = []
    pageout: Any = parts.pageout
    pageout.arrived = SimpleNamespace(notify=lambda: left.append(pageout.paging))
    for _ in range(3):
        pageout.start(2)
    for _ in range(3):
        pageout.done(2)
    assert left == [4, 2, 0]
