"""A scan that one of several replacement policies wishes: whichever it is, the daemon hears it."""

import pytest

from tests.anon.test_pdaemon import Pages, Stock


@pytest.mark.parametrize("which", range(3))
def test_each_reclaimer_is_asked_whether_it_wants_a_scan(which: int) -> None:
    """R17: 12 pages are below the target, and above the least."""
    stock = Stock(free=54)
    reclaimers = [Pages(stock, 0) for _ in range(3)]
    for one in reclaimers:
        stock.daemon_itself.add_reclaimer(one)
    assert not stock.pageout.is_short(12)
    reclaimers[which].wish = True
    assert stock.pageout.is_short(12)
    stock.daemon_itself.one_pass()
    assert stock.daemon_itself.pdrevs == 1
