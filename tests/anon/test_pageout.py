"""Waiters, kicks and pageouts in flight: uvm_pageout_lock, rule by rule, without a pagedaemon."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.anon.rig import until
from tests.kern.tasks import WAIT_S, WORK_S, await_event, begin, finish
from uvmfree.errors import ClosedError, DeadlockError, HangError
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import UVM_PAGEOUT_LOCK
from uvmfree.kern.mutex import Condvar
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.words import CounterPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.uvmexp import Watermarks

MARKS = Watermarks(reserve_pagedaemon=1, reserve_kernel=5, freemin=10, freetarg=14)
NAMES = ("paging", "pdpending")


class Slept(Exception):
    """Somebody went to sleep who must not."""


class Sleepless(ThreadsMachine):
    """A machine on which going to sleep is an error, once that is asked for."""

    forbid = False

    def condvar(self) -> Condvar:
        machine = self

        class Watched(Condvar):
            def wait(self, handle: LockHandle, timeout_s: float | None = None) -> bool:
                if machine.forbid:
                    raise Slept
                return super().wait(handle, timeout_s)

        return Watched(threading.Lock)


class Parts:
    """A Pageout over a count of free pages that the test sets."""

    def __init__(self, free: int = 100, counters: Any = None) -> None:
        self.machine = Sleepless(lockdebug=True)
        self.free = free
        self.daemon: int | None = None
        self.wish = False
        self.pageout = Pageout(
            self.machine,
            counters or CounterPage(NAMES),
            lambda: MARKS,
            lambda: self.free,
            lambda: self.machine.me() == self.daemon,
            self.needs_scan,
        )

    def needs_scan(self) -> bool:
        """Whether the replacement policy wants a scan; what a daemon adds, here a wish that the test sets."""
        return self.wish

    def sleeps(self) -> bool:
        """Whether the daemon would go to sleep now."""
        self.machine.forbid = True
        try:
            self.pageout.daemon_sleep()
        except Slept:
            return True
        finally:
            self.machine.forbid = False
        return False

    def waiting(self, count: int = 1) -> "list[Any]":
        """Start threads that wait for pages; return when all sleep, and the kick of theirs is used up."""
        tasks = [begin(lambda: self.pageout.wait(WAIT_S)) for _ in range(count)]
        until(lambda: self.pageout.sleeps == count)
        with self.pageout.mutex.handle("test"):  # to be had only when the last of them sleeps
            pass
        assert self.sleeps() is (count == 0)
        return tasks


@pytest.mark.parametrize(
    ("free", "paging", "wish", "short"),
    [
        (9, 0, False, True),
        (10, 0, False, False),
        (5, 4, False, True),
        (5, 5, False, False),
        (0, 10, False, False),
        (10, 0, True, True),
        (13, 0, True, True),
        (14, 0, True, False),
        (10, 4, True, False),
        (10, 3, True, True),
    ],
)
def test_r17_thresholds(free: int, paging: int, wish: bool, short: bool) -> None:
    """R17: below freemin, or below freetarg and the policy needs a scan; pages on their way out count as free."""
    parts = Parts(free)
    parts.wish = wish
    if paging:
        parts.pageout.start(paging)
    assert parts.pageout.is_short(free) is short
    parts.pageout.kick_if_short(free)
    assert parts.pageout.kicks == short
    assert parts.sleeps() is not short


def test_r17_a_kick_that_comes_while_the_daemon_is_awake_is_not_lost() -> None:
    """R17 and R19: it counts for one more pass, and only for one."""
    parts = Parts()
    parts.pageout.kick()
    parts.pageout.kick()
    assert not parts.sleeps()
    assert parts.sleeps()


def test_r18_a_waiter_is_counted_wakes_the_daemon_and_is_woken() -> None:
    """R18: True when pages may be had."""
    parts = Parts(free=0)
    got: list[bool] = []
    waiter = begin(lambda: got.append(parts.pageout.wait(WAIT_S)))
    assert parts.pageout.daemon_sleep()  # returns only because it was woken, or the test ends by its time-out
    until(lambda: parts.pageout.waiters == 1)
    parts.free = 6
    parts.pageout.daemon_pass_over()
    finish(waiter)
    assert got == [True]
    assert (parts.pageout.waiters, parts.pageout.sleeps, parts.pageout.wakeups) == (0, 1, 1)
    assert sum(parts.pageout.sleep_hist) == 1
    assert parts.pageout.sleep_ns_max > 0


@pytest.mark.parametrize("timeout_s", [0.0, 0.01])
def test_r18_a_wait_that_runs_out_is_false_and_no_longer_counted(timeout_s: float) -> None:
    """R18: bounded by its own time."""
    parts = Parts(free=0)
    assert parts.pageout.wait(timeout_s) is False
    assert (parts.pageout.waiters, parts.pageout.timeouts) == (0, 1)
    assert not parts.sleeps()  # but the daemon was told


def test_r18_close_wakes_all_with_an_error_and_refuses_the_next() -> None:
    """R18: nobody is left sleeping."""
    parts = Parts(free=0)
    waiters = parts.waiting(3)
    parts.pageout.close()
    for waiter in waiters:
        with pytest.raises(ClosedError):
            finish(waiter)
    with pytest.raises(ClosedError):
        parts.pageout.wait(WAIT_S)
    assert parts.pageout.daemon_sleep() is False
    parts.pageout.close()


def test_r18_the_daemon_may_not_wait_for_itself() -> None:
    """R18: with nothing paging it would wait for ever, so it is told."""
    parts = Parts(free=0)
    parts.daemon = parts.machine.me()
    with pytest.raises(DeadlockError, match="the pagedaemon waits for pages, and nothing is being paged out"):
        parts.pageout.wait(WAIT_S)
    assert parts.pageout.waiters == 0


@pytest.mark.parametrize("free", [0, 100])
def test_r18_the_daemon_may_wait_for_what_is_being_paged_out(free: int) -> None:
    """R18 and R22: when the last of it is done the daemon goes on, with pages or without."""
    parts = Parts(free=0)
    parts.pageout.start(2)
    parts.pageout.start(1)
    got: list[bool] = []

    def daemon() -> None:
        parts.daemon = parts.machine.me()
        got.append(parts.pageout.wait(WAIT_S))

    task = begin(daemon)
    until(lambda: parts.pageout.waiters == 1)
    parts.pageout.done(2)
    parts.free = free
    parts.pageout.done(1)
    finish(task)
    assert got == [True]


def test_r18_when_the_daemon_has_died_waiters_are_told_of_what() -> None:
    """R18: no silent hang."""
    parts = Parts(free=0)
    waiters = parts.waiting(2)
    cause = LookupError("broken")
    parts.pageout.daemon_died(cause)
    for waiter in waiters:
        with pytest.raises(HangError, match="the pagedaemon died of LookupError"):
            finish(waiter)
    with pytest.raises(HangError) as refusal:
        parts.pageout.wait(WAIT_S)
    assert refusal.value.__cause__ is cause


def test_r18_no_wakeup_is_lost_between_a_waiter_and_a_daemon() -> None:
    """R18, R19 and R21: one that takes each page as it comes, one that makes each as it is asked for."""
    parts = Parts(free=0)
    rounds = 300

    def daemon() -> None:
        while parts.pageout.daemon_sleep():
            parts.free = 100
            parts.pageout.daemon_pass_over()

    def taker() -> None:
        for _ in range(rounds):
            parts.free = 0
            assert parts.pageout.wait(WAIT_S)

    tasks = [begin(daemon), begin(taker)]
    finish(tasks[1])
    parts.pageout.close()
    finish(tasks[0])
    assert (parts.pageout.sleeps, parts.pageout.timeouts) == (rounds, 0)


@pytest.mark.parametrize(("waiters", "paging", "sleeps"), [(0, 0, True), (0, 1, True), (1, 0, False), (1, 1, True)])
def test_r19_when_the_daemon_sleeps(waiters: int, paging: int, sleeps: bool) -> None:
    """R19: if there are no waiters, or paging > 0; unless it was kicked."""
    parts = Parts(free=0)
    tasks = parts.waiting(waiters)
    if paging:
        parts.pageout.start(paging)
    assert parts.sleeps() is sleeps
    parts.pageout.kick()
    assert not parts.sleeps()
    parts.pageout.daemon_died(LookupError())
    for task in tasks:
        assert task.join(WAIT_S)


@pytest.mark.parametrize(
    ("free", "paging", "woken"), [(5, 0, True), (6, 0, True), (6, 3, True), (5, 3, False), (0, 1, False)]
)
def test_r21_when_a_pass_wakes_the_waiters(free: int, paging: int, woken: bool) -> None:
    """R21: if free > reserve_kernel or paging == 0, all of them."""
    parts = Parts(free=0)
    waiters = parts.waiting(2)
    if paging:
        parts.pageout.start(paging)
    parts.free = free
    parts.pageout.daemon_pass_over()
    assert parts.pageout.waiters == (0 if woken else 2)
    parts.free = 6
    parts.pageout.daemon_pass_over()
    finish(*waiters)
    assert parts.pageout.wakeups == 1


@pytest.mark.parametrize(("free", "woken"), [(5, False), (6, True)])
def test_r22_what_an_ended_pageout_does(free: int, woken: bool) -> None:
    """R22: paging goes down; then the daemon is woken if free <= reserve_kernel, else the waiters."""
    parts = Parts(free=0)
    waiters = parts.waiting(2)
    parts.pageout.start(4)
    parts.pageout.start(1)
    assert (parts.pageout.paging, parts.pageout.pdpending) == (5, 2)
    assert parts.sleeps()
    parts.free = free
    parts.pageout.done(4)
    assert (parts.pageout.paging, parts.pageout.pdpending) == (1, 1)
    assert parts.pageout.waiters == (0 if woken else 2)
    assert parts.sleeps() is woken
    parts.free = 6
    parts.pageout.daemon_pass_over()
    finish(*waiters)


@pytest.mark.parametrize(("free", "woken"), [(5, False), (6, True)])
def test_waiters_are_woken_when_pages_above_the_reserve_became_free(free: int, woken: bool) -> None:
    """R18: as by a redistribution."""
    parts = Parts(free=0)
    waiters = parts.waiting(2)
    parts.free = free
    parts.pageout.wake_waiters()
    assert parts.pageout.waiters == (0 if woken else 2)
    parts.free = 6
    parts.pageout.wake_waiters()
    finish(*waiters)
    parts.pageout.wake_waiters()
    assert parts.pageout.wakeups == 1


class Racy:
    """How the kernel counts pdpending (R23): up under a lock, down under none; each a load, and then a store."""

    def __init__(self, parts: Parts, words: Any) -> None:
        self.mutex = parts.machine.mutex(UVM_PAGEOUT_LOCK)
        self._handle = self.mutex.handle("here")
        self._words = words

    def start(self, npages: int) -> None:
        with self._handle:
            self._words[1] = self._words[1] + 1

    def done(self, npages: int) -> None:
        self._words[1] = self._words[1] - 1


class Words:
    """The words of a counter page, with something to do between a load of pdpending and the store that follows."""

    def __init__(self) -> None:
        self.words = [0, 0]
        self.between: Callable[[], None] = lambda: None

    def slot(self, name: str) -> int:
        return NAMES.index(name)

    def unlocked(self) -> "Words":
        return self

    def __getitem__(self, index: int) -> int:
        value = self.words[index]
        if index == 1:
            self.between()
        return value

    def __setitem__(self, index: int, value: int) -> None:
        self.words[index] = value


@pytest.mark.parametrize("racy", [True, False])
def test_r23_pdpending(racy: bool) -> None:
    """R23: a start between the load and the store of a done is lost by the kernel's way, and cannot be by ours."""
    words = Words()
    parts = Parts(counters=words)
    counted: Any = Racy(parts, words) if racy else parts.pageout
    counted.start(1)
    starters: list[Any] = []

    def meanwhile() -> None:
        words.between = lambda: None
        kept_out = counted.mutex.owner is not None  # asked before there is another thread that could own it
        starters.append(begin(lambda: counted.start(1)))
        if not kept_out:  # it runs to its end in here
            finish(*starters)

    words.between = meanwhile
    counted.done(1)
    finish(*starters)
    assert words.words[1] == (0 if racy else 1)  # one was started and is not done


def test_r23_pdpending_is_exact_after_many_starts_and_ends_at_once() -> None:
    """R23: from two threads that start and two that end, as daemon and I/O thread do."""
    parts = Parts()
    rounds = 1000
    go = threading.Event()

    def body(call: Callable[[int], None]) -> None:
        await_event(go)
        for _ in range(rounds):
            call(3)

    tasks = [begin(lambda call=call: body(call)) for call in 2 * (parts.pageout.start, parts.pageout.done)]  # type: ignore[misc]
    go.set()
    finish(*tasks, wait_s=WORK_S)
    assert (parts.pageout.paging, parts.pageout.pdpending) == (0, 0)
