"""What a body has of a run: how long its waits may last, how they end, what they count as. On a clock by hand."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from uvmfree.errors import HangError
from uvmfree.workload.driver import RETRY_S, STILL_S, Lane, StoppedError, drive

S = 1_000_000_000


class Hand:
    """A machine, a run and its event: each sleep takes as long as the test says, or else until its end."""

    def __init__(self, *sleeps_s: float) -> None:
        self.now_s, self.stopped = 100.0, False
        self.sleeps_s, self.bounds_s = list(sleeps_s), list[float | None]()
        self.event: Any = self
        self.meanwhile: Callable[[], object] = lambda: None
        self.lane = Lane(3, self, self)  # type: ignore[arg-type]

    def clock_ns(self) -> int:
        return round(self.now_s * S)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        self.bounds_s.append(timeout_s)
        self.meanwhile()
        self.now_s += min(self.sleeps_s.pop(0), timeout_s) if self.sleeps_s else timeout_s
        return ready()


def test_waits_and_tries_add_up_to_the_stall() -> None:
    hand, tries = Hand(2, 3), iter([False, False, True])
    lane = hand.lane
    lane.wait_until(lambda: True)
    lane.wait_until(lambda: True)
    assert lane.stall_ns == 5 * S
    lane.try_until(lambda: next(tries))
    assert lane.stall_ns == pytest.approx(5 * S + 2 * RETRY_S * S, abs=5)


def test_a_wait_under_way_counts_as_far_as_it_has_gone_and_not_before_it_began() -> None:
    hand, seen = Hand(1), list[int]()
    lane = hand.lane
    hand.meanwhile = lambda: seen.extend(lane.stalled_until(at * S) for at in (90, 100, 104))
    assert lane.stalled_until(200 * S) == 0
    lane.wait_until(lambda: True)
    assert seen == [0, 0, 4 * S]
    assert lane.stalled_until(200 * S) == S  # it is over


@pytest.mark.parametrize(("left_s", "bound_s"), [(None, STILL_S), (7.0, 7.0), (10 * STILL_S, STILL_S)])
def test_a_wait_ends_with_the_run_or_is_a_hang(left_s: float | None, bound_s: float) -> None:
    hand = Hand()
    if left_s is not None:
        hand.lane.until_ns = round((100 + left_s) * S)
    with pytest.raises(StoppedError if bound_s < STILL_S else HangError) as ended:
        hand.lane.wait_until(lambda: False)
    assert hand.bounds_s == [bound_s]
    assert hand.lane.stall_ns == bound_s * S
    if ended.type is HangError:
        assert str(ended.value) == "CPU 3 has waited 30 s for another CPU"
    assert (hand.lane.sleeps_on, hand.lane.waits_from_ns) == (None, None)


def test_a_wait_that_finds_the_run_stopped_ends_unless_it_has_what_it_waits_for() -> None:
    hand = Hand(1, 1)
    hand.stopped = True
    with pytest.raises(StoppedError):
        hand.lane.wait_until(lambda: False)
    hand.lane.wait_until(lambda: True)


def test_the_time_is_up_at_that_very_moment() -> None:
    hand = Hand()
    assert not hand.lane.stopped
    hand.lane.until_ns = 101 * S
    assert not hand.lane.stopped
    hand.now_s = 101
    assert hand.lane.stopped


def test_tries_in_vain_are_a_hang_and_a_stop_ends_them() -> None:
    hand = Hand()
    with pytest.raises(HangError, match="CPU 3 has tried for 30 s"):
        hand.lane.try_until(lambda: hand.sleep(1) is not None)
    assert STILL_S * S < hand.lane.stall_ns < (STILL_S + 2) * S
    hand.stopped = True
    with pytest.raises(StoppedError):
        hand.lane.try_until(lambda: False)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_run_lasts_from_the_first_beginning_to_the_last_end_whoever_is_first(first: int) -> None:
    """One begins when the others have ended, and the one after it ends last."""
    machine = uvmfree.VirtualMachine(ncpus=3)
    lanes: list[Any] = []

    def body(cpu: object, lane: Lane) -> None:
        machine.sleep(((lane.index - first) % 3 + 1) * 1e-3)
        lane.began_ns = machine.clock_ns()
        machine.sleep(1e-4)
        lanes.append(SimpleNamespace(began_ns=lane.began_ns, until_ns=machine.clock_ns()))

    with uvmfree.boot(machine, npages=64, ncpus=3) as uvm:
        run = drive(uvm, [body] * 3)
    assert run.wall_ns == lanes[-1].until_ns - lanes[0].began_ns
