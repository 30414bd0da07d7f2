"""What an ExactHandle counts, moment by moment: a clock and a lock that are moved by hand."""

from typing import Any

import pytest

from uvmfree.kern.lockexact import ExactHandle
from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat


class Hand:
    """A lock and its clock; `waits` are what happens meanwhile in each wait to come."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.held = False
        self.waits: list[Any] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self.held and blocking:
            self.waits.pop(0)()
        elif self.held:
            return False
        self.held = True
        return True

    def release(self) -> None:
        self.held = False

    def to(self, now_ns: int) -> None:
        self.now_ns = now_ns


def made() -> tuple[Hand, ExactHandle]:
    hand = Hand()
    return hand, ExactHandle(hand, "L", "c", lambda: hand.now_ns, lambda: hand.now_ns)  # type: ignore[arg-type]


def hold(hand: Hand, handle: ExactHandle, since_ns: int, until_ns: int) -> None:
    """Hold it for that time; if it is held by then, wait for it from then to `hand.waits`."""
    hand.to(since_ns)
    handle.acquire()
    hand.to(until_ns)
    handle.release()


def wait(hand: Hand, handle: ExactHandle, since_ns: int, until_ns: int) -> None:
    """Wait from the one moment to the other, and hold it for 1 ns."""
    hand.held = True
    hand.waits.append(lambda: hand.to(until_ns))
    hold(hand, handle, since_ns, since_ns)
    hand.to(until_ns)


def test_the_shortest_hold_is_the_shortest_of_all_and_not_nothing() -> None:
    hand, handle = made()
    for since_ns, ns in ((0, 50), (100, 20), (200, 70)):
        hold(hand, handle, since_ns, since_ns + ns)
    seen = handle.snapshot()
    assert (seen.hold_ns_min, seen.hold_ns_max, seen.hold_ns_total, seen.hold_samples) == (20, 70, 140, 3)


def test_a_new_count_has_nothing_of_before_in_any_figure() -> None:
    hand, handle = made()
    hold(hand, handle, 0, 50)
    wait(hand, handle, 100, 900)
    assert handle.snapshot().contended == 1
    handle.restart()
    assert handle.snapshot() == LockStat("L", "c", 0, 0, 0, 0, 0, 0, 0, (0,) * WAIT_BUCKETS)
    hold(hand, handle, 1000, 1010)
    seen = handle.snapshot()
    assert (seen.acquired, seen.hold_ns_min, seen.hold_ns_max, seen.hold_ns_total) == (1, 10, 10, 10)


def test_a_hold_under_way_when_counting_begins_anew_is_none() -> None:
    hand, handle = made()
    handle.acquire()
    handle.restart()
    hand.to(500)
    handle.release()
    assert (handle.snapshot().hold_samples, handle.snapshot().hold_ns_total) == (0, 0)


def test_a_trylock_counts_if_it_got_the_lock() -> None:
    hand, handle = made()
    assert handle.try_acquire()
    assert not handle.try_acquire()
    hand.to(30)
    handle.release()
    seen = handle.snapshot()
    assert (seen.acquired, seen.contended, seen.hold_samples, seen.hold_ns_total) == (1, 0, 1, 30)


def test_a_wait_under_way_is_added_to_those_that_are_over() -> None:
    hand, handle = made()
    wait(hand, handle, 0, 100)
    seen: list[int] = []

    def look() -> None:
        for now_ns in (1000, 1040):
            hand.to(now_ns)
            seen.append(handle.snapshot().wait_ns_total)
        hand.to(1070)

    hand.held, hand.waits = True, [look]
    hold(hand, handle, 1000, 1000)
    assert [*seen, handle.snapshot().wait_ns_total] == [100, 140, 170]


def test_who_looks_by_an_earlier_clock_than_the_waiter_s_has_seen_none_of_its_wait() -> None:
    hand, handle = made()
    seen: list[int] = []

    def look() -> None:
        hand.to(400)
        seen.append(handle.snapshot().wait_ns_total)
        handle.restart()
        hand.to(1200)

    hand.held, hand.waits = True, [look]
    hold(hand, handle, 1000, 1000)
    assert seen == [0]
    assert (handle.snapshot().wait_ns_total, handle.snapshot().wait_ns_max) == (200, 200)


def test_a_wait_that_an_error_ends_goes_on_no_longer() -> None:
    hand, handle = made()

    def fail() -> None:
        raise InterruptedError

    hand.held, hand.waits = True, [fail]
    with pytest.raises(InterruptedError):
        hold(hand, handle, 10, 10)
    hand.to(9000)
    seen = handle.snapshot()
    assert (seen.acquired, seen.contended, seen.wait_ns_total) == (0, 0, 0)
