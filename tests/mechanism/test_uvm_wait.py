"""Kicking, waiting and waking in a running system: who should sleep sleeps, and nobody is forgotten."""

import threading
from collections import deque
from typing import Any

import pytest

import uvmfree
from tests.conformance.steps import take
from tests.kern.tasks import WAIT_S, WORK_S, begin, finish
from tests.mechanism.rig import (
    SMALL,
    Boot,
    asleep,
    calls_over,
    free_on,
    left_alone,
    settle,
    take_everything,
    until,
)
from tests.uvm.machines import ClockMachine
from uvmfree.errors import DeadlockError
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage

QUIET = {"redistribute_min_gap_s": 3600}


def freed(uvm: uvmfree.Uvm, pages: list[VmPage], index: int = 0) -> None:
    """Free pages on a CPU, and see that this wakes nobody who waits."""
    waiters, wakeups = uvm.pageout.waiters, uvm.pageout.wakeups
    assert waiters
    free_on(uvm, index, pages)
    assert (uvm.pageout.waiters, uvm.pageout.wakeups) == (waiters, wakeups)


def test_a_free_wakes_nobody_and_a_redistribution_does(boot: Boot, design: str) -> None:
    """R13, R18 and Q6: the sleeper sleeps beside free pages until they are handed back; then it gets one."""
    with boot(design=design, **QUIET) as uvm:
        pages = left_alone(uvm)
        sleepers = asleep(uvm, 2)
        freed(uvm, pages[:20])
        uvm.redistribute(0)
        assert (uvm.pageout.waiters, uvm.pageout.timeouts) == (0, 0)
        finish(*sleepers)
        with uvm.run_on(1) as cpu:
            take(cpu)
        uvm.pageout.done(1)
        uvm.audit()


@pytest.mark.parametrize(("npages", "woken"), [(8, False), (9, True)])
def test_pages_within_the_reserve_wake_nobody(boot: Boot, design: str, npages: int, woken: bool) -> None:
    """R18, R21 and R6: a sleeper could not have them; 2 of the 10 that are the kernel's are there already."""
    with boot(design=design, **QUIET) as uvm:
        pages = left_alone(uvm)
        sleepers = asleep(uvm, 1)
        freed(uvm, pages[:npages])
        uvm.redistribute()
        assert uvm.pageout.waiters == (0 if woken else 1)
        uvm.pageout.done(1)
        finish(*sleepers)
        uvm.audit()


def test_the_timer_wakes_a_sleeper(design: str) -> None:
    """R18 and P9: pages that an xc thread hands back."""
    machine = ClockMachine(now_s=100.0)
    tunables = SMALL | QUIET | {"redistribute_interval_s": 1.0, "design": design}
    with uvmfree.boot(machine, **tunables) as uvm:
        pages = left_alone(uvm)
        sleepers = asleep(uvm, 2)
        freed(uvm, pages[:20])
        machine.now_s = 103.0
        for _ in range(2):
            uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)
        finish(*sleepers)
        uvm.pageout.done(1)
        uvm.audit()


def test_a_spill_wakes_a_sleeper(boot: Boot) -> None:
    """R18 and Q2: pages that a bounded cache gives up."""
    with boot(design="percpu", hoard_max=20, **QUIET) as uvm:
        pages = left_alone(uvm)
        sleepers = asleep(uvm, 1)
        freed(uvm, pages[:20])
        free_on(uvm, 0, pages[20:21])
        assert uvm.pageout.waiters == 0
        finish(*sleepers)
        uvm.pageout.done(1)
        uvm.audit()


def test_the_end_of_a_pageout_wakes_a_sleeper(boot: Boot, design: str) -> None:
    """R18 and R22: with memory at once, without it by way of the daemon."""
    for npages in (20, 0):
        with boot(design=design, **QUIET) as uvm:
            pages = left_alone(uvm)
            sleepers = asleep(uvm, 2)
            free_on(uvm, 0, pages[:npages])
            uvm.pageout.done(1)
            finish(*sleepers)
            assert (uvm.uvmexp.paging, uvm.uvmexp.pdpending) == (0, 0)
            uvm.audit()


def test_a_pass_of_the_daemon_wakes_a_sleeper(boot: Boot, variant: dict[str, Any]) -> None:
    """R18, R19 and R21: the wait itself wakes the daemon, which wakes whoever waits, with pages or without hope."""
    with boot(**variant) as uvm:
        pages = take_everything(uvm)
        free_on(uvm, 0, pages[:30])
        assert uvm.wait(WAIT_S)
        until(lambda: uvm.uvmexp.free + sum(uvm.cached_pages()) == 30)
        assert uvm.pagedaemon.pdwoke >= 1
        assert sum(uvm.pageout.sleep_hist) == uvm.pageout.sleeps == 1
        uvm.audit()


def test_a_wait_that_runs_out_is_false(boot: Boot, design: str) -> None:
    """R18: after its own time, and it is counted as waiting no longer."""
    with boot(design=design, **QUIET) as uvm:
        left_alone(uvm)
        assert uvm.wait(0.01) is False
        assert uvm.wait(0) is False
        assert (uvm.pageout.waiters, uvm.pageout.timeouts) == (0, 2)
        uvm.pageout.done(1)
        uvm.audit()


def test_the_end_of_the_system_wakes_all_with_an_error(boot: Boot, variant: dict[str, Any]) -> None:
    """R18: ClosedError for those who sleep, and for whoever comes later."""
    uvm = boot(**variant | QUIET)
    with uvm:
        left_alone(uvm)
        sleepers = asleep(uvm, 3)
        uvm.audit()
    for sleeper in sleepers:
        with pytest.raises(uvmfree.ClosedError):
            finish(sleeper)
    with pytest.raises(uvmfree.ClosedError):
        uvm.wait(WAIT_S)
    with pytest.raises(uvmfree.ClosedError):
        uvm.kick_pdaemon()


def test_waiting_before_the_daemon_is_started_is_an_error(boot: Boot, design: str) -> None:
    """R18: it would never end."""
    uvm = boot(design=design)
    with pytest.raises(uvmfree.HangError, match="the pagedaemon was not started"):
        uvm.wait(WAIT_S)
    assert uvm.pageout.sleeps == 0
    uvm.audit()


def test_the_pagedaemon_may_not_wait_for_itself(boot: Boot, design: str) -> None:
    """R18: an error that says why, unless something is being paged out."""
    with boot(design=design) as uvm, uvm.run_on(0, lwp="pagedaemon"):
        with pytest.raises(DeadlockError, match="nothing is being paged out"):
            uvm.wait(WAIT_S)
        uvm.pageout.start(1)
        assert uvm.wait(0.0) is False
        uvm.pageout.done(1)
        uvm.audit()


class Broken:
    """A policy with a bug."""

    def needs_scan(self) -> bool:
        return False

    def reclaim_one(self) -> bool:
        raise LookupError("a queue that is not what it should be")


def test_a_daemon_that_dies_fails_the_run_loudly(boot: Boot, variant: dict[str, Any]) -> None:
    """R18 and R20: whoever waits is told why, at once and later; so is whoever closes the system. It is no hang."""
    uvm = boot(**variant | QUIET)

    def run() -> None:
        with uvm:
            left_alone(uvm)
            sleepers = asleep(uvm, 2)
            uvm.pagedaemon.add_reclaimer(Broken())
            uvm.pageout.done(1)
            for sleeper in sleepers:
                with pytest.raises(uvmfree.HangError, match="the pagedaemon died of LookupError"):
                    finish(sleeper)
            with pytest.raises(uvmfree.HangError) as refusal:
                uvm.wait(WAIT_S)
            assert isinstance(refusal.value.__cause__, LookupError)
            free_on(uvm, 0, [pg for pg in uvm.physmem if pg.place is uvmfree.Place.ALLOCATED][:12])
            with pytest.raises(uvmfree.HangError):
                uvm.pglistalloc(40, nsegs=40, waitok=True, timeout_s=WAIT_S)
            uvm.audit()

    with pytest.raises(uvmfree.UvmError, match="pagedaemon died of LookupError") as refusal:
        run()
    assert isinstance(refusal.value.__cause__, LookupError)


def test_a_local_hit_kicks_nobody_however_short_memory_is(boot: Boot) -> None:
    """R4 and P4: only the global path looks, once for each allocation; no page lock is held meanwhile (P2)."""
    uvm = boot(design="percpu", refill=1)
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[:8])
    free_on(uvm, 1, pages[8:20])
    uvm.redistribute(1)
    assert uvm.pageout.is_short(uvm.uvmexp.free)
    with uvm.run_on(0) as cpu:
        for how in ({}, {"zero": True}, {"color": 2}, {"strat": "fallback"}):
            take(cpu, **how)
            free_on(uvm, 0, [take(cpu, **how)])
        assert uvm.pageout.kicks == 0
        for _ in range(4):
            take(cpu)
        assert (uvm.pageout.kicks, uvm.cached_pages()) == (0, (0, 0))
        take(cpu)
        take(cpu, color=1)
        assert uvm.pageout.kicks == 2
        assert cpu.pagealloc() is None
        assert uvm.pageout.kicks == 3  # a failure kicks too
    uvm.audit()


@pytest.mark.parametrize("how", [{}, {"zero": True}, {"color": 2}, {"strat": "only"}], ids=str)
def test_the_global_path_kicks_by_the_count_before_it(boot: Boot, design: str, how: dict[str, Any]) -> None:
    """R4 and R17: below freemin, on the count before the allocation, with all locks dropped."""
    uvm = boot(design=design)
    freemin = uvm.uvmexp.freemin
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[: freemin + 1])
    uvm.redistribute(0)
    with uvm.run_on(1) as cpu:
        take(cpu, **how)
        take(cpu, **how)
        assert (uvm.uvmexp.free, uvm.pageout.kicks) == (freemin - 1, 0)
        take(cpu, **how)
        assert uvm.pageout.kicks == 1
    uvm.audit()


def test_a_policy_that_wants_a_scan_is_kicked_for_below_the_target(boot: Boot, design: str) -> None:
    """R17: free + paging < freetarg and the policy needs a scan; what is being paged out counts as free."""
    uvm = boot(design=design)
    pool = Pool(uvm)
    uvm.pagedaemon.add_reclaimer(pool)
    pages = take_everything(uvm)
    free_on(uvm, 0, pages[: uvm.uvmexp.freetarg - 1])
    uvm.redistribute(0)
    with uvm.run_on(1) as cpu:
        free_on(uvm, 1, [take(cpu)])
        uvm.redistribute(1)
        assert uvm.pageout.kicks == 0
        pool.wish = True
        free_on(uvm, 1, [take(cpu)])
        uvm.redistribute(1)
        assert uvm.pageout.kicks == 1
        uvm.pageout.start(1)
        take(cpu)
        assert uvm.pageout.kicks == 1
        uvm.pageout.done(1)
    uvm.audit()


class Pool:
    """Pages in use that the daemon may reclaim, oldest first; `wish`: whether it wants to be scanned."""

    def __init__(self, uvm: uvmfree.Uvm) -> None:
        self.uvm = uvm
        self.wish = False
        self.inactive: deque[VmPage] = deque()

    def needs_scan(self) -> bool:
        return self.wish

    def reclaim_one(self) -> bool:
        try:
            pg = self.inactive.popleft()
        except IndexError:
            return False
        self.uvm.pagefree(pg)
        return True


def test_whoever_waits_goes_on_as_long_as_there_is_something_to_reclaim(boot: Boot, variant: dict[str, Any]) -> None:
    """R18, R19, R20 and R21: threads take more pages than there are, several times over; no wakeup is lost, no page.

    => Q3: where cached pages count as free, sleepers wake for pages in other CPUs' caches, and the daemon sees no
       pressure: only the timer ends that.
    """
    rounds = 300
    often = {"redistribute_min_gap_s": 0.001, "redistribute_interval_s": 0.01}
    with boot(**variant, **often, npages=96, ncpus=3, pagesize=1 << 15) as uvm:
        pool = Pool(uvm)
        uvm.pagedaemon.add_reclaimer(pool)
        waits: deque[bool] = deque()

        def work(index: int) -> None:
            with uvm.run_on(index) as cpu:
                for _ in range(rounds):
                    pool.inactive.append(patient(cpu))

        def patient(cpu: Cpu) -> VmPage:
            while True:
                pg = cpu.pagealloc()
                if pg is not None:
                    return pg
                waits.append(uvm.wait(WAIT_S))
                assert waits[-1]

        finish(*[begin(lambda index=index: work(index)) for index in (1, 2)], wait_s=WORK_S)  # type: ignore[misc]
        assert uvm.pagedaemon.pdscans > 2 * rounds - 96
        uvm.audit()
        until(lambda: not uvm.pageout.waiters)
        while pool.reclaim_one():
            pass
        uvm.audit()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("body")]


def test_counting_cached_pages_wakes_a_sleeper_for_pages_that_it_cannot_have(boot: Boot) -> None:
    """Q3 and Q5: the price of count_cached; without it the daemon's pass hands the pages over."""
    for counting in (False, True):
        with boot(design="percpu", count_cached=counting) as uvm:
            pages = take_everything(uvm)
            free_on(uvm, 0, pages[:30])
            with uvm.run_on(1) as cpu:
                assert cpu.pagealloc() is None
                for _ in range(3):
                    assert uvm.wait(WAIT_S)
                calls_over(uvm)  # the daemon's passes go on without an xc thread that comes late
                assert (cpu.pagealloc() is None) is counting
            uvm.audit()


def test_after_a_wait_everything_can_be_freed_again(boot: Boot, design: str) -> None:
    """R3 and R18: nothing is left over from what the daemon, the waiters and the caches did."""
    with boot(design=design, **QUIET) as uvm:
        pages = left_alone(uvm)
        sleepers = asleep(uvm, 3)
        freed(uvm, pages, 1)
        uvm.pageout.done(1)
        finish(*sleepers)
        settle(uvm)


def test_a_sleep_that_is_shorter_than_the_longest_leaves_that(boot: Boot) -> None:
    uvm = boot()
    uvm.pageout.sleep_ns_max = longest_ns = 10**12
    before_ns = uvm.pageout.sleep_ns_total
    with uvm:
        assert uvm.wait(timeout_s=60)
    assert uvm.pageout.sleep_ns_max == longest_ns > uvm.pageout.sleep_ns_total > before_ns
