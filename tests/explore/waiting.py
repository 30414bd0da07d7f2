"""Scenes of waiting: kick, uvm_wait, pageouts that arrive, and the daemon between them; no wakeup may be lost.

Timed waits run out whenever a part of the program says `tick`, whoever else could run. When no thread can run, a
pageout arrives, if one is in flight; a waiter that sleeps then although nothing is in flight, or although there are
pages for it, was forgotten (R18, R19, R21, R22).
"""

from contextlib import suppress
from typing import Any, ClassVar

import uvmfree
from tests.explore.machine import NS, ExploreMachine, Unlocked
from tests.explore.pages import PATIENCE_S, WORDS, Spoken
from tests.explore.scene import Scene
from tests.model.operations import do
from tests.model.page_operations import Free, Run
from tests.model.ranged import scattered
from tests.model.rest import check_at_rest
from tests.model.system_operations import PageoutDone, PageoutStart
from uvmfree.kern.eventlog import EventLog
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.pdaemon import Pagedaemon
from uvmfree.uvm.uvmexp import COUNTERS, Watermarks


class Waiting(Scene):
    """The state of pageout and the daemon, with a number in place of memory."""

    PARTS = (("wait", "waitfor"), ("wait", "waitfor", "kick"), ("arrive", "free", "tick", "close"))
    marks = Watermarks(reserve_pagedaemon=1, reserve_kernel=2, freemin=3, freetarg=4)

    def __init__(self) -> None:
        self.machine = machine = ExploreMachine()
        self.counters = machine.counters(COUNTERS)
        self.pages = self.counters.adder("free")
        self.stock = 3
        self.in_flight = 0
        self.waits = self.gave_up = 0
        self.closed = False
        self.daemon_thread: int | None = None
        events = EventLog(Unlocked, machine.clock_ns)  # type: ignore[arg-type]
        self.pageout = Pageout(
            machine, self.counters, lambda: self.marks, self.nfree, self.is_daemon, self.needs_scan
        )
        self.daemon = Pagedaemon(machine, self.pageout, lambda: False, events, lambda active: None, lambda: False)
        self.daemon.add_reclaimer(self)

    def nfree(self) -> int:
        return int(self.counters.load("free"))

    def is_daemon(self) -> bool:
        return self.machine.me() == self.daemon_thread

    def needs_scan(self) -> bool:
        return False

    def reclaim_one(self) -> bool:
        if self.stock == 0:
            return False
        self.stock -= 1
        self.pageout.start(1)
        self.in_flight += 1
        return True

    def begin(self) -> None:
        def body() -> None:
            self.daemon_thread = self.machine.me()
            self.daemon.run()

        self.task = self.machine.spawn("pagedaemon", body)

    def wait(self, thread: int, timeout_s: float | None = None) -> None:
        began_ns = self.machine.now_ns
        self.waits += 1
        try:
            woken = self.pageout.wait(timeout_s)
        except uvmfree.ClosedError:
            assert self.closed
            return
        if not woken:
            self.gave_up += 1
            assert timeout_s is not None
            assert self.machine.now_ns - began_ns >= timeout_s * NS
        elif self.counters.words[0] > self.marks.reserve_kernel:
            self.pages.add(-1)

    def waitfor(self, thread: int) -> None:
        self.wait(thread, PATIENCE_S)

    def kick(self, thread: int) -> None:
        self.pageout.kick()

    def arrive(self, thread: int) -> None:
        """Let one pageout arrive, if one is in flight."""
        if self.in_flight:
            self.in_flight -= 1
            self.pages.add(1)
            self.pageout.done(1)

    def free(self, thread: int) -> None:
        """Hand pages back, as a redistribution does."""
        self.pages.add(3)
        self.pageout.wake_waiters()

    def tick(self, thread: int) -> None:
        self.machine.advance(PATIENCE_S)

    def close(self, thread: int) -> None:
        self.closed = True
        self.pageout.close()

    def idle(self) -> bool:
        self.nobody_forgotten()
        in_flight = self.in_flight
        self.arrive(0)
        return in_flight > 0

    def nobody_forgotten(self) -> None:
        free, reserve, paging = self.counters.words[0], self.marks.reserve_kernel, self.pageout.paging
        if self.pageout.waiters:
            assert free <= reserve, f"a waiter sleeps, and nobody will wake it, with {free} pages free"
            assert paging > 0, "a waiter sleeps, and nobody will wake it, with nothing being paged out"

    def end(self) -> None:
        self.at_rest()
        while self.idle():
            self.at_rest()
        assert self.closed or self.pageout.daemon_rests, "the daemon sleeps over a kick"
        self.closed = True
        self.pageout.close()
        assert self.task.join(1.0)
        assert self.task.error is None

    def check(self) -> None:
        pageout = self.pageout
        assert pageout.waiters == 0
        assert (pageout.paging, pageout.pdpending) == (0, 0)
        assert pageout.timeouts == self.gave_up
        assert pageout.sleeps <= self.waits
        assert self.daemon.pdwoke <= pageout.kicks + pageout.sleeps + pageout.sleeps * 3 + 4


class WaitingSystem(Spoken):
    """A whole system that runs, all its pages in hand: waiters, xc threads, the daemon that drains the caches."""

    PARTS = (
        ("wait", "free", "alloc"),
        ("waitfor", "free", "alloc"),
        ("redistribute", "start", "done", "give", "tick"),
    )
    tunables: ClassVar[dict[str, Any]] = {"design": "percpu"}
    words = WORDS | {
        "free": Free(3, at=-1),
        "give": Free(3, at=-1, by="system"),
        "done": PageoutDone(free=True),
    }

    def __init__(self) -> None:
        self.machine = ExploreMachine()
        sizes: dict[str, Any] = {"npages": 18, "ncpus": 2, "ncolors": 1, "pagesize": 1 << 15}
        self.uvm = uvmfree.boot(self.machine, **sizes | self.tunables)  # type: ignore[arg-type]
        self.seat()
        for hands in self.table.hands:
            do(Run(scattered(6)), hands)

    def begin(self) -> None:
        self.uvm.__enter__()

    def start(self, thread: int) -> None:
        """Begin to page one of the pages in hand out."""
        if self.table.hands[thread].held:
            do(PageoutStart(), self.table.hands[thread])

    def idle(self) -> bool:
        uvm = self.uvm
        if uvm.pageout.waiters:
            assert uvm.uvmexp.free <= uvm.uvmexp.reserve_kernel, "a waiter sleeps beside pages on the global list"
            assert uvm.pageout.paging > 0, "a waiter sleeps, and nobody will wake it"
        return bool(do(self.words["done"], self.table.hands[2]))

    def end(self) -> None:
        self.at_rest()
        while self.idle():
            self.at_rest()
        uvm = self.uvm
        assert uvm.pageout.daemon_rests, "the daemon sleeps over a kick"
        assert uvm.pageout.waiters == 0
        check_at_rest(uvm, self.table.books())
        uvm.close()

    def check(self) -> None:
        for call in (lambda: self.uvm.wait(), self.uvm.kick_pdaemon):
            with suppress(uvmfree.ClosedError):
                call()
                raise AssertionError("a closed system answered")
