"""What was counted, or left out of a bounded log, before it began anew is not counted after."""

import pytest

import uvmfree
from uvmfree.kern import eventlog, locktrace
from uvmfree.kern.eventlog import EventLog
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure.run import Waits
from uvmfree.uvm.pageout import WAIT_BUCKETS


def test_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "LIMIT", 1)
    machine = ThreadsMachine()
    log = EventLog(machine.raw_lock, machine.clock_ns)
    for dropped in (2, 1):
        for pages in range(dropped + 1):
            log.add("daemon", "", None, 0, pages)
        assert ([event.pages for event in log.snapshot()], log.dropped) == ([0], dropped)
        log.restart()
        assert (log.snapshot(), log.dropped) == ((), 0)


def test_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locktrace, "LIMIT", 1)
    machine = ThreadsMachine(lockstat=True, locktrace=True)
    mutex, trace = machine.mutex(UVM_FPAGEQLOCK), machine.locktrace
    assert trace is not None
    handle = mutex.handle("here")
    for dropped in (2, 1):
        for _ in range(dropped + 1):
            with handle:
                pass
        assert (len(trace.slices()), trace.dropped()) == (1, dropped)
        mutex.restart()
        assert (trace.slices(), trace.dropped()) == ((), 0)


def test_of_waits_for_pages() -> None:
    with uvmfree.boot(npages=64, ncpus=1) as uvm:
        while not uvm.pageout.timeouts:
            uvm.wait(1e-9)
        assert uvm.wait(60)
        counted = Waits.of(uvm.pageout)
        assert (
            min(counted.sleeps, counted.timeouts, counted.wakeups, counted.sleep_ns_max, sum(counted.sleep_hist)) > 0
        )
        uvm.kick_pdaemon()
        uvm.count_anew()
        assert Waits.of(uvm.pageout) == Waits(0, 0, 0, 0, 0, 0, (0,) * WAIT_BUCKETS)
