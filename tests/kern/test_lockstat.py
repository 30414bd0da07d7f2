"""The counting mutex, with a scripted clock: what is counted, when the clock is read, how counts are added up."""

import threading
from collections.abc import Iterable
from functools import partial

import pytest

from tests.kern.tasks import await_event, begin, finish
from uvmfree.kern.lockexact import ExactHandle
from uvmfree.kern.lockrank import UVM_CPU
from uvmfree.kern.lockstat import HOLD_SAMPLE, WAIT_BUCKETS, CountingHandle, summed
from uvmfree.kern.mutex import Mutex


class Clock:
    """Gives the times of a script, one a reading; `read[n]` is set when the reading number n is made."""

    def __init__(self, times_ns: Iterable[int]) -> None:
        self._times_ns = list(times_ns)
        self._next = iter(self._times_ns)
        self.read = [threading.Event() for _ in self._times_ns]
        self.readings = 0

    def __call__(self) -> int:
        now_ns = next(self._next)
        self.read[self.readings].set()
        self.readings += 1
        return now_ns


def counting(clock: Clock) -> Mutex:
    return Mutex(UVM_CPU, 1, raw_lock=threading.Lock, clock_ns=clock, lockstat=True, debug=None)


def contend(*, wait_ns: int) -> tuple[Mutex, Clock]:
    """Make `second` find the lock held by `first`, and wait for it that long by the clock."""
    # first takes; second begins to wait; first releases; second has it; second's hold begins, ends
    clock = Clock([100, 200, 350, 200 + wait_ns, 300 + wait_ns, 364 + wait_ns])
    mutex = counting(clock)
    first, second = mutex.handle("first"), mutex.handle("second")

    def wait() -> None:
        second.acquire()
        second.release()

    first.acquire()
    waiter = begin(wait)
    await_event(clock.read[1])
    first.release()
    finish(waiter)
    return mutex, clock


def test_a_wait_is_counted_and_timed_and_so_are_holds() -> None:
    mutex, clock = contend(wait_ns=1000)
    first, second = mutex.snapshot(by_caller=True)
    assert (first.name, first.caller, first.acquired, first.contended) == ("uvm_cpu[1]", "first", 1, 0)
    assert (first.wait_ns_total, first.wait_ns_max, sum(first.wait_hist)) == (0, 0, 0)
    assert (first.hold_ns_total, first.hold_ns_max, first.hold_samples) == (250, 250, 1)
    assert (second.caller, second.acquired, second.contended) == ("second", 1, 1)
    assert (second.wait_ns_total, second.wait_ns_max) == (1000, 1000)
    assert [bucket for bucket, waits in enumerate(second.wait_hist) if waits] == [(1000).bit_length()]
    assert (second.hold_ns_total, second.hold_samples) == (64, 1)
    assert clock.readings == 6


class Held:
    """A lock that is always held by somebody when it is tried, and then comes free."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return blocking

    def release(self) -> None: ...

    def locked(self) -> bool:
        return True

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *how: object) -> None:
        self.release()


@pytest.mark.parametrize("exact", [False, True])
def test_waits_of_different_lengths_add_up_and_the_extremes_are_kept(exact: bool) -> None:
    """Of 30, 10 and 20 ns; where holds are sampled the first is one, and takes two looks more."""
    looks = iter([0, 30, 100, 110, 200, 220] if exact else [0, 30, 31, 32, 100, 110, 200, 220])
    clock_ns = partial(next, looks)
    handle = (
        ExactHandle(Held(), "L", "c", clock_ns, lambda: 1000) if exact else CountingHandle(Held(), "L", "c", clock_ns)
    )
    for _ in range(3):
        handle.wait()
        handle.release()
    found = handle.snapshot()
    assert (found.wait_ns_total, found.wait_ns_max, found.wait_ns_min, found.contended) == (60, 30, 10, 3)
    assert {bucket: waits for bucket, waits in enumerate(found.wait_hist) if waits} == {4: 1, 5: 2}


@pytest.mark.parametrize(
    ("wait_ns", "bucket"), [(0, 0), (1, 1), (1023, 10), (1024, 11), (2**39, 39), (2**45, WAIT_BUCKETS - 1)]
)
def test_the_histogram_is_by_powers_of_two_and_ends_with_all_longer_waits(wait_ns: int, bucket: int) -> None:
    (record,) = contend(wait_ns=wait_ns)[0].snapshot()
    assert len(record.wait_hist) == WAIT_BUCKETS
    assert record.wait_hist[bucket] == 1 == sum(record.wait_hist)


@pytest.mark.parametrize("exact", [False, True])
def test_the_longest_waits_are_in_the_last_bucket_however_holds_are_measured(exact: bool) -> None:
    clock_ns = partial(next, iter([0, 2**45, 2**45]))
    handle = (
        ExactHandle(Held(), "L", "c", clock_ns, lambda: 0) if exact else CountingHandle(Held(), "L", "c", clock_ns)
    )
    handle.wait()
    assert handle.snapshot().wait_hist == (0,) * (WAIT_BUCKETS - 1) + (1,)


def test_only_one_acquisition_in_so_many_reads_the_clock_and_the_total_is_scaled_up() -> None:
    clock = Clock([1000, 1010, 2000, 2030])
    handle = (mutex := counting(clock)).handle("here")
    for _ in range(HOLD_SAMPLE):
        handle.acquire()
        handle.release()
    assert clock.readings == 2
    assert handle.try_acquire()
    handle.release()
    (record,) = mutex.snapshot()
    assert record.acquired == HOLD_SAMPLE + 1
    assert (record.hold_samples, record.hold_ns_max) == (2, 30)
    assert record.hold_ns_total == (10 + 30) * (HOLD_SAMPLE + 1) // 2
    assert record.hold_ns_min == 10


def test_acquisitions_are_counted_one_by_one_across_samples() -> None:
    """What is counted down from sample to sample adds up, and a snapshot in the middle of one sees it whole."""
    seen: list[int] = []

    def clock_ns() -> int:
        seen.append(mutex.snapshot()[0].acquired)
        return 0

    mutex = Mutex(UVM_CPU, 1, raw_lock=threading.Lock, clock_ns=clock_ns, lockstat=True, debug=None)
    handle = mutex.handle("here")
    for times in range(3 * HOLD_SAMPLE + 2):
        assert mutex.snapshot()[0].acquired == times
        if times % 2:
            handle.acquire()
        else:
            assert handle.try_acquire()
        handle.release()
    assert (
        seen
        == [1, 1, HOLD_SAMPLE + 1, HOLD_SAMPLE + 1, 2 * HOLD_SAMPLE + 1, 2 * HOLD_SAMPLE + 1]
        + [3 * HOLD_SAMPLE + 1] * 2
    )
    assert mutex.snapshot()[0].hold_samples == 4


def test_a_trylock_that_fails_counts_nothing() -> None:
    handle = (mutex := counting(Clock([5, 6]))).handle("here")
    handle.acquire()
    assert not handle.try_acquire()
    handle.release()
    (record,) = mutex.snapshot()
    assert (record.acquired, record.contended) == (1, 0)


def test_records_of_one_caller_are_added_up_and_a_retired_handle_keeps_its_counts() -> None:
    mutex = counting(Clock(range(10, 1000, 10)))
    handles = [mutex.handle(caller) for caller in ("alloc", "free", "alloc")]
    for times, handle in enumerate(handles, 1):
        for _ in range(times):
            handle.acquire()
            handle.release()
    before = mutex.snapshot(by_caller=True)
    assert [(record.caller, record.acquired, record.hold_samples) for record in before] == [
        ("alloc", 4, 2),
        ("free", 2, 1),
    ]
    mutex.retire(handles[0])
    mutex.retire(handles[1])
    assert sorted(mutex.snapshot(by_caller=True), key=lambda record: record.caller) == list(before)
    mutex.retire(handles[0])  # a second time changes nothing
    (record,) = mutex.snapshot()
    assert (record.caller, record.acquired, record.hold_ns_total) == ("<all>", 6, 20 + 20 + 20)


def test_adding_up_sums_everything_but_minima_and_maxima() -> None:
    """The minimum of the first caller, who never waited, is none: it does not count as 0."""
    (short,), (long,) = contend(wait_ns=40)[0].snapshot(), contend(wait_ns=1000)[0].snapshot()
    (both,) = summed([short, long], by_caller=False)
    assert (both.acquired, both.contended, both.hold_samples) == (4, 2, 4)
    assert (both.wait_ns_total, both.wait_ns_min, both.wait_ns_max) == (1040, 40, 1000)
    assert (both.hold_ns_total, both.hold_ns_min, both.hold_ns_max) == (2 * (250 + 64), 64, 250)
    assert {bucket for bucket, waits in enumerate(both.wait_hist) if waits} == {6, 10}


def test_folding_a_retired_handle_keeps_the_longest_wait_and_the_histogram() -> None:
    mutex, _ = contend(wait_ns=1000)
    (before,) = mutex.snapshot()
    second = mutex.handle("second")
    mutex.retire(second)
    assert mutex.snapshot() == (before,)
    assert (before.wait_ns_max, before.contended, before.acquired) == (1000, 1, 2)
