"""Instruments that begin anew: what was counted before is forgotten, what comes after is counted from 0."""

import itertools
from dataclasses import replace

import pytest

import uvmfree
from tests.kern.tasks import begin, finish
from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.kern.lockstat import HOLD_SAMPLE, WAIT_BUCKETS, LockStat
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.machine.virtual.machine import VirtualMachine


def machine_of(*, traced: bool) -> ThreadsMachine:
    return ThreadsMachine(lockstat=True, locktrace=traced)


def contended(mutex: Mutex) -> None:
    """Count a wait; the lock is held until it has begun."""
    holder, waiter = mutex.handle("holder"), mutex.handle("waiter")
    for _ in range(1000):
        with holder:
            task = begin(lambda: (waiter.acquire(), waiter.release()))
            began_ns = ThreadsMachine().clock_ns()
            while ThreadsMachine().clock_ns() - began_ns < 100_000:
                pass
        finish(task)
        if sum(one.contended for one in mutex.snapshot()):
            return
    raise AssertionError("nobody ever waited")


@pytest.mark.parametrize("traced", [False, True])
def test_a_lock_forgets_waits_and_holds_with_their_extremes(traced: bool) -> None:
    machine = machine_of(traced=traced)
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    contended(mutex)
    (kept,) = mutex.snapshot()
    assert min(kept.wait_ns_max, kept.hold_ns_max, kept.hold_samples) > 0
    mutex.restart()
    nothing = LockStat("uvm_fpageqlock", "<all>", 0, 0, 0, 0, 0, 0, 0, (0,) * WAIT_BUCKETS, kind="shared")
    assert mutex.snapshot() == (nothing,)
    handle = mutex.handle("holder")
    for times in range(1, HOLD_SAMPLE + 2):
        with handle:
            pass
        (after,) = mutex.snapshot()
        assert (after.acquired, after.contended) == (times, 0)
    assert after.hold_samples == (HOLD_SAMPLE + 1 if traced else 2)


@pytest.mark.parametrize("traced", [False, True])
def test_what_retired_handles_counted_is_forgotten_too(traced: bool) -> None:
    machine = machine_of(traced=traced)
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    handle = mutex.handle("gone")
    with handle:
        pass
    mutex.retire(handle)
    mutex.restart()
    assert [one.acquired for one in mutex.snapshot()] == []
    assert machine.locktrace is None or machine.locktrace.slices() == ()


def test_a_hold_that_is_under_way_is_none_of_those_to_come() -> None:
    """In virtual time a CPU may be inside: only what it takes afterwards is measured."""
    clock = itertools.count(0, 1000)
    mutex = Mutex(UVM_FPAGEQLOCK, None, raw_lock=ThreadsMachine().raw_lock, clock_ns=lambda: next(clock),
                  lockstat=True, debug=None)  # fmt: skip
    handle = mutex.handle("here")
    handle.acquire()
    mutex.restart()
    handle.release()
    (after,) = mutex.snapshot()
    assert (after.acquired, after.hold_samples, after.hold_ns_total) == (0, 0, 0)
    with handle:
        pass
    (after,) = mutex.snapshot()
    assert (after.acquired, after.hold_samples, after.hold_ns_total) == (1, 1, 1000)


def test_only_the_lock_that_begins_anew_forgets_what_was_traced() -> None:
    machine = machine_of(traced=True)
    one, other = machine.mutex(UVM_FPAGEQLOCK), machine.mutex(replace(UVM_FPAGEQLOCK, name="other"))
    for mutex in (one, other):
        with mutex.handle("here"):
            pass
    one.restart()
    assert machine.locktrace is not None
    assert [each.lock for each in machine.locktrace.slices()] == ["other"]


def test_holds_of_before_are_forgotten() -> None:
    machine = ThreadsMachine(lockholds=True)
    holds = machine.lockholds
    assert isinstance(holds, LockHolds)
    handle = machine.mutex(UVM_FPAGEQLOCK).handle("here")
    for pages in (3, 5):
        with handle:
            holds.touch(pages)
        holds.restart() if pages == 3 else None
    (found,) = holds.snapshot()
    assert (dict(found.items), dict(found.pages)) == ({5: 1}, {5: 1})


def test_a_system_forgets_events_and_sleeps_and_goes_on_counting_operations() -> None:
    machine = VirtualMachine(ncpus=1, lockstat=True)
    with uvmfree.boot(machine=machine, npages=64, ncpus=1, lockstat=True) as uvm:
        with uvm.run_on(0) as cpu:
            for _ in range(2):
                pg = cpu.pagealloc()
                assert pg is not None
                cpu.pagefree(pg)
        uvm.redistribute()
        uvm.wait(0.001)
        uvm.pageout.kick()
        assert (uvm.pageout.sleeps, uvm.pageout.kicks, len(uvm.events.snapshot()) > 0) == (1, 1, True)
        uvm.count_anew()
        assert (uvm.pageout.sleeps, uvm.pageout.kicks, sum(uvm.pageout.sleep_hist)) == (0, 0, 0)
        assert (uvm.pageout.sleep_ns_total, uvm.pageout.sleep_ns_max) == (0, 0)
        assert uvm.events.snapshot() == ()
        assert sum(one.acquired for one in uvm.lockstat()) == 0
        assert uvm.cpu_stats()[0].allocs == 2
