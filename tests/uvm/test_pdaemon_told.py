"""What a design is told of a pass of the pagedaemon: that it begins and that it ends, whatever it found."""

import pytest

from tests.anon.test_pdaemon import Stock


@pytest.mark.parametrize("cached", [0, 100])
def test_a_pass_that_begins_ends(cached: int) -> None:
    stock = Stock(free=0, cached=cached)
    stock.daemon_itself.one_pass()
    assert (stock.did, stock.told) == (["redistribute"], [True, False])


def test_one_that_has_nothing_to_do_is_not_told() -> None:
    stock = Stock(free=100)
    stock.daemon_itself.one_pass()
    assert stock.told == []
