"""The tracing mutex: every wait and hold is there with its times, and adds up to what was counted."""

import itertools
from collections import Counter
from typing import Any

import pytest

from tests.kern.tasks import begin, finish
from uvmfree.kern import locktrace
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.kern.lockstat import WAIT_BUCKETS, LockStat
from uvmfree.kern.locktrace import Slice, TracingHandle
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine


def new() -> tuple[ThreadsMachine, Mutex]:
    machine = ThreadsMachine(lockstat=True, locktrace=True)
    return machine, machine.mutex(UVM_FPAGEQLOCK)


def traced(machine: ThreadsMachine) -> tuple[Slice, ...]:
    assert machine.locktrace is not None
    return machine.locktrace.slices()


def agree(machine: ThreadsMachine, counted: LockStat) -> None:
    """What was traced is what was counted."""
    slices = [each for each in traced(machine) if each.lock == counted.name]
    waits = [each.ended_ns - each.began_ns for each in slices if not each.held]
    holds = [each.ended_ns - each.began_ns for each in slices if each.held]
    assert (len(holds), len(waits)) == (counted.acquired, counted.contended)
    assert (sum(holds), max(holds, default=0)) == (counted.hold_ns_total, counted.hold_ns_max)
    assert (sum(waits), max(waits, default=0)) == (counted.wait_ns_total, counted.wait_ns_max)
    buckets = Counter(min(wait.bit_length(), WAIT_BUCKETS - 1) for wait in waits)
    assert counted.wait_hist == tuple(buckets[bucket] for bucket in range(WAIT_BUCKETS))


def test_a_hold_is_traced_under_its_caller_and_thread() -> None:
    machine, mutex = new()
    handle = mutex.handle("uvm_pagealloc")
    before_ns = machine.clock_ns()
    with handle:
        pass
    assert handle.try_acquire()
    assert not mutex.handle("other").try_acquire()
    handle.release()
    first, second = traced(machine)
    assert (first.lock, first.caller, first.thread, first.held) == (
        "uvm_fpageqlock",
        "uvm_pagealloc",
        "MainThread",
        True,
    )
    assert before_ns <= first.began_ns <= first.ended_ns <= second.began_ns <= second.ended_ns <= machine.clock_ns()
    agree(machine, mutex.snapshot()[0])


def test_a_wait_is_traced_and_ends_where_the_hold_begins() -> None:
    machine, mutex = new()
    mine, theirs = mutex.handle("mine"), mutex.handle("theirs")

    def once() -> None:
        with theirs:
            pass

    for _ in range(200):  # the other one may come late, when the lock is free again
        with mine:
            task = begin(once)
            began_ns = machine.clock_ns()
            while machine.clock_ns() - began_ns < 1_000_000:
                machine.sleep(0)
        finish(task)
        if mutex.snapshot()[0].contended:
            break
    wait, hold = [each for each in traced(machine) if each.caller == "theirs"][-2:]
    assert (wait.held, hold.held) == (False, True)
    assert wait.thread == hold.thread != "MainThread"
    assert wait.ended_ns == hold.began_ns
    agree(machine, mutex.snapshot()[0])


def test_what_threads_trace_at_once_adds_up() -> None:
    machine, mutex = new()

    def work() -> None:
        handle = mutex.handle("worker")
        for _ in range(2000):
            with handle:
                pass

    for task in [begin(work) for _ in range(3)]:
        finish(task)
    counted = mutex.snapshot()[0]
    assert counted.acquired == 6000
    agree(machine, counted)
    holds = [each for each in traced(machine) if each.held]
    for before, after in itertools.pairwise(holds):
        assert before.ended_ns <= after.began_ns  # they exclude each other


def test_what_is_left_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locktrace, "LIMIT", 5)
    machine, mutex = new()
    handle = mutex.handle("one")
    for _ in range(8):
        with handle:
            pass
    assert machine.locktrace is not None
    assert (len(traced(machine)), machine.locktrace.dropped()) == (5, 3)
    assert mutex.snapshot()[0].acquired == 8


def test_a_handle_that_is_retired_stays_in_the_trace() -> None:
    machine, mutex = new()
    handle = mutex.handle("one")
    with handle:
        pass
    mutex.retire(handle)
    assert len(traced(machine)) == 1
    agree(machine, mutex.snapshot()[0])


class Scripted:
    """A lock that is held by somebody the first `busy` times that it is tried."""

    def __init__(self, busy: int) -> None:
        self.busy = busy

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self.busy -= 1
        return blocking or self.busy < 0

    def release(self) -> None: ...

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *how: object) -> None:
        self.release()


def test_slices_of_one_lock_touch_and_do_not_overlap() -> None:
    """On a clock that moves by 10 ns with each look: a wait, its hold at once after it, and a hold without a wait."""
    clock = itertools.count(10, 10)
    handle = TracingHandle(Scripted(1), "L", "c", lambda: next(clock), None, lambda: "cpu/0")
    handle.acquire()
    handle.release()
    handle.acquire()
    handle.release()
    assert [(one.held, one.began_ns, one.ended_ns) for one in handle.slices()] == [
        (False, 10, 20),
        (True, 20, 30),
        (True, 40, 50),
    ]
    counted = handle.snapshot()
    assert (counted.wait_ns_total, counted.hold_ns_total, counted.contended, counted.acquired) == (10, 20, 1, 2)


def test_slices_come_in_the_order_in_which_they_began() -> None:
    """A lock that is taken first and held longest ends last, and is still the first."""
    machine, shared = new()
    outer, inner = machine.mutex(UVM_CPU, 0).handle("outer"), shared.handle("inner")
    with outer:
        for _ in range(2):
            with inner:
                pass
    assert [one.caller for one in traced(machine)] == ["outer", "inner", "inner"]


def test_a_hold_lasts_until_the_lock_came_free_where_that_is_told_afterwards() -> None:
    """The clock has gone on to 90 ns by the time that it can be asked."""
    clock = iter([10, 90])
    handle = TracingHandle(Scripted(0), "L", "c", lambda: next(clock), lambda: 55, lambda: "cpu/0")
    handle.acquire()
    handle.release()
    assert [(one.held, one.began_ns, one.ended_ns) for one in handle.slices()] == [(True, 10, 55)]
    assert handle.snapshot().hold_ns_total == 45


def test_waits_of_different_lengths_add_up_and_the_extremes_are_kept() -> None:
    """Of 30, 10 and 20 ns."""
    clock = iter([0, 30, 35, 100, 110, 115, 200, 220, 225])
    busy = Scripted(0)
    handle = TracingHandle(busy, "L", "c", lambda: next(clock), None, lambda: "cpu/0")
    for _ in range(3):
        busy.busy = 1
        handle.acquire()
        handle.release()
    counted = handle.snapshot()
    assert (counted.wait_ns_total, counted.wait_ns_max, counted.wait_ns_min, counted.contended) == (60, 30, 10, 3)
    assert (counted.hold_ns_total, counted.hold_ns_max, counted.hold_ns_min) == (15, 5, 5)
    assert (counted.wait_hist[4], counted.wait_hist[5]) == (1, 2)


@pytest.mark.parametrize(("wait_ns", "bucket"), [(0, 0), (1, 1), (1024, 11), (2**45, WAIT_BUCKETS - 1)])
def test_the_histogram_ends_with_all_longer_waits(wait_ns: int, bucket: int) -> None:
    clock = iter([0, wait_ns, wait_ns])
    handle = TracingHandle(Scripted(1), "L", "c", lambda: next(clock), None, lambda: "cpu/0")
    handle.acquire()
    handle.release()
    assert [at for at, waits in enumerate(handle.snapshot().wait_hist) if waits] == [bucket]


def test_a_hold_is_its_own_though_another_thread_has_the_lock_before_it_is_noted() -> None:
    """Where a machine tells a hold's end afterwards: by then the same handle may have been used again."""
    now_ns, name = 0, "first"

    class Lock:
        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            return True

        def release(self) -> None:
            nonlocal now_ns, name
            if name == "first":
                now_ns, name = 40, "second"
                handle.acquire()

    lock: Any = Lock()
    handle = TracingHandle(lock, "L", "c", lambda: now_ns, lambda: 30, lambda: name)
    handle.acquire()
    handle.release()
    assert handle.slices() == [Slice("L", "c", "first", True, 0, 30)]
