"""What the pagedaemon counts, over several passes, and what it writes into the event log."""

from tests.anon.test_pageout import MARKS
from tests.anon.test_pdaemon import Pages, Stock


def test_passes_that_scanned_and_pages_looked_at_are_counted_over_all_passes() -> None:
    """R20: pdrevs and pdscans go up; a pass that finds enough counts in neither."""
    stock = Stock(0)
    pages = Pages(stock, 1000)
    stock.daemon_itself.add_reclaimer(pages)
    for passes in (1, 2, 3):
        stock.free = MARKS.freetarg - 1
        stock.daemon_itself.one_pass()
        assert stock.daemon_itself.pdrevs == passes
        assert stock.daemon_itself.pdscans == passes * (3 * MARKS.freetarg + 1)
    stock.daemon_itself.one_pass()
    assert (stock.daemon_itself.pdrevs, stock.daemon_itself.pdwoke) == (3, 0)
