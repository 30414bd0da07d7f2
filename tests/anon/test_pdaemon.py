"""The pagedaemon's passes, and its thread: what it does first, when it stops, and that its death is heard of."""

from collections.abc import Callable

import pytest

import uvmfree
from tests.anon.test_pageout import Parts
from tests.kern.tasks import WAIT_S, begin, finish
from uvmfree.errors import ClosedError, HangError
from uvmfree.kern.eventlog import EventLog
from uvmfree.uvm.pdaemon import Pagedaemon


class Stock(Parts):
    """Pages to reclaim, and a daemon; what the daemon does is written down in `did`, what it tells in `told`."""

    def __init__(self, free: int, cached: int = 0) -> None:
        super().__init__(free)
        self.cached = cached
        self.did: list[str] = []
        self.events = EventLog(self.machine.raw_lock, self.machine.clock_ns)
        self.told: list[bool] = []
        self.closing = False
        self.daemon_itself = Pagedaemon(
            self.machine, self.pageout, self.redistribute, self.events, self.told.append, lambda: self.closing
        )

    def needs_scan(self) -> bool:
        return self.daemon_itself.needs_scan()

    def redistribute(self) -> int:
        moved, self.cached = self.cached, 0
        self.free += moved
        self.did.append("redistribute")
        return moved


class Pages:
    """A Reclaimer that has so many pages, each clean, or dirty and then written for ever."""

    def __init__(self, stock: Stock, pages: int, *, dirty: bool = False, wish: bool = False) -> None:
        self.stock, self.pages, self.dirty, self.wish = stock, pages, dirty, wish

    def needs_scan(self) -> bool:
        return self.wish

    def reclaim_one(self) -> bool:
        if not self.pages:
            return False
        self.pages -= 1
        if self.dirty:
            self.stock.pageout.start(1)
        else:
            self.stock.free += 1
        self.stock.did.append("reclaim")
        return True


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize(("free", "taken"), [(0, 56), (13, 43), (14, 0), (100, 0)])
def test_r20_a_scan_stops_at_four_times_the_target(free: int, taken: int, dirty: bool) -> None:
    """R20: it begins below freetarg and stops at free + paging >= 4 * freetarg."""
    stock = Stock(free)
    stock.daemon_itself.add_reclaimer(Pages(stock, 1000, dirty=dirty))
    stock.daemon_itself.one_pass()
    assert stock.did.count("reclaim") == taken
    assert stock.free + stock.pageout.paging == free + taken
    assert (stock.daemon_itself.pdrevs, stock.daemon_itself.pdscans) == (taken > 0, taken)


def test_r20_a_scan_stops_with_no_victim_left_and_goes_on_to_the_next_reclaimer() -> None:
    """R20: or with no victim left."""
    stock = Stock(0)
    for pages in (3, 4):
        stock.daemon_itself.add_reclaimer(Pages(stock, pages))
    stock.daemon_itself.one_pass()
    assert stock.free == 7
    assert stock.daemon_itself.pdscans == 7 + 2  # the two that were asked in vain count as looks


def test_r20_pages_on_their_way_out_count_before_the_scan() -> None:
    """R20: needsfree is free + paging < freetarg."""
    stock = Stock(0)
    stock.daemon_itself.add_reclaimer(Pages(stock, 5))
    stock.pageout.start(14)
    stock.daemon_itself.one_pass()
    assert stock.did == []


def test_p10_the_caches_are_handed_back_before_the_scan_and_may_make_it_needless() -> None:
    """P10 and R20."""
    stock = Stock(free=5, cached=20)
    stock.daemon_itself.add_reclaimer(Pages(stock, 100))
    stock.daemon_itself.one_pass()
    assert stock.did == ["redistribute"]
    stock.free = 13
    stock.daemon_itself.one_pass()
    assert stock.did == ["redistribute", "redistribute"] + ["reclaim"] * 43


def test_a_pass_says_how_many_pages_it_looked_at() -> None:
    """The events have a row for each pass, with its own scans; those of all passes are counted in `pdscans`."""
    stock = Stock(free=13)
    stock.daemon_itself.add_reclaimer(Pages(stock, 100))
    stock.daemon_itself.one_pass()
    stock.free = 10
    stock.daemon_itself.one_pass()
    assert [event.pages for event in stock.events.snapshot()] == [43, 46]
    assert stock.daemon_itself.pdscans == 89


def test_r17_a_policy_that_wishes_a_scan_gets_one_without_a_redistribution() -> None:
    """R17 and R20: up to four times the target all the same."""
    stock = Stock(free=54)
    pages = Pages(stock, 100, wish=True)
    stock.daemon_itself.add_reclaimer(Pages(stock, 0))
    stock.daemon_itself.add_reclaimer(pages)
    assert stock.pageout.is_short(12)
    stock.daemon_itself.one_pass()
    assert stock.did == ["reclaim", "reclaim"]
    pages.wish = False
    assert not stock.pageout.is_short(12)


@pytest.mark.parametrize(("pages", "dirty", "woken"), [(100, False, True), (0, False, True), (100, True, False)])
def test_r21_after_the_scan_the_waiters_are_woken(pages: int, dirty: bool, woken: bool) -> None:
    """R21: with memory; or without, if nothing is on its way either."""
    stock = Stock(0)
    waiters = stock.waiting(2)
    stock.daemon_itself.add_reclaimer(Pages(stock, pages, dirty=dirty))
    stock.daemon_itself.one_pass()
    assert stock.pageout.waiters == (0 if woken else 2)
    stock.free = 100
    stock.daemon_itself.one_pass()
    finish(*waiters)


def test_r19_the_thread_serves_waiters_until_the_system_closes() -> None:
    """R18, R19 and R21: each finds memory; the daemon is woken for each."""
    stock = Stock(0)
    stock.daemon_itself.add_reclaimer(Pages(stock, 10_000))
    task = begin(stock.daemon_itself.run)
    for _ in range(20):
        stock.free = 0
        assert stock.pageout.wait(WAIT_S)
    stock.pageout.close()
    finish(task)
    assert stock.daemon_itself.pdwoke >= 20


@pytest.mark.parametrize("closing", [True, False])
def test_a_call_that_is_refused_as_the_system_closes_ends_the_daemon_and_any_other_kills_it(closing: bool) -> None:
    """R19: it ends when the system closes, also from within a pass."""

    class Refused(Pages):
        def reclaim_one(self) -> bool:
            raise ClosedError("refused")

    stock = Stock(0)
    stock.closing = closing
    stock.daemon_itself.add_reclaimer(Refused(stock, 1))
    (waiter,) = stock.waiting(1)
    if closing:
        finish(begin(stock.daemon_itself.run))
        stock.pageout.close()
        waiter.join(WAIT_S)
        assert isinstance(waiter.error, ClosedError)
    else:
        with pytest.raises(ClosedError, match="refused"):
            finish(begin(stock.daemon_itself.run))
        waiter.join(WAIT_S)
        assert isinstance(waiter.error, HangError)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_system_closes_under_a_pass_of_the_daemon(design: str) -> None:
    """What the daemon reclaims from calls the system, which refuses it from some moment on: nobody's error."""
    entered, refused = [], []

    class Freeing:
        def needs_scan(self) -> bool:
            return True

        def reclaim_one(self) -> bool:
            entered.append(True)
            try:
                while True:
                    uvm.redistribute(0)
            except ClosedError as error:
                refused.append(error)
                raise

    uvm = uvmfree.boot(npages=64, ncpus=1, design=design)
    uvm.pagedaemon.add_reclaimer(Freeing())
    with uvm, uvm.run_on(0) as cpu:
        while cpu.pagealloc() is not None:
            pass
        while not entered:
            uvm.wait(timeout_s=0.01)
    assert len(refused) == 1


@pytest.mark.parametrize("culprit", ["reclaim_one", "redistribute"])
def test_a_daemon_that_dies_is_heard_of(culprit: str) -> None:
    """R18: by its waiters, and by whoever joins it."""

    def broken(*_: object) -> bool:
        raise LookupError("broken")

    stock = Stock(0)
    pages = Pages(stock, 1)
    where: dict[str, Callable[[], object]] = {"reclaim_one": lambda: setattr(pages, "reclaim_one", broken)}
    where["redistribute"] = lambda: setattr(stock.daemon_itself, "_redistribute", broken)
    where[culprit]()
    stock.daemon_itself.add_reclaimer(pages)
    waiters = stock.waiting(2)
    stock.pageout.kick()
    task = begin(stock.daemon_itself.run)
    for waiter in waiters:
        with pytest.raises(HangError, match="the pagedaemon died of LookupError"):
            finish(waiter)
    with pytest.raises(LookupError, match="broken"):
        finish(task)
