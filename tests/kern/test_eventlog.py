"""The event log: what was noted, in order, and bounded."""

import pytest

import uvmfree
from tests.kern.tasks import begin, finish
from uvmfree.kern import eventlog
from uvmfree.kern.eventlog import Event, EventLog
from uvmfree.machine.threads import ThreadsMachine


def new_log() -> tuple[EventLog, ThreadsMachine]:
    machine = ThreadsMachine()
    return EventLog(machine.raw_lock, machine.clock_ns), machine


def test_an_event_has_its_times() -> None:
    log, machine = new_log()
    began_ns = machine.clock_ns()
    log.add("redistribute", "timer", 1, began_ns, 7)
    (event,) = log.snapshot()
    assert event == Event("redistribute", "timer", 1, began_ns, event.ended_ns, 7)
    assert began_ns <= event.ended_ns <= machine.clock_ns()


def test_the_log_is_bounded_and_counts_what_it_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventlog, "LIMIT", 3)
    log, _ = new_log()
    for number in range(5):
        log.add("daemon", "", None, 0, number)
    assert [event.pages for event in log.snapshot()] == [0, 1, 2]
    assert log.dropped == 2


def test_nothing_is_lost_that_threads_add_at_once() -> None:
    log, _ = new_log()

    def add() -> None:
        for number in range(500):
            log.add("daemon", "", None, 0, number)

    for task in [begin(add) for _ in range(4)]:
        finish(task)
    assert sorted(event.pages for event in log.snapshot()) == sorted(list(range(500)) * 4)


def test_redistributions_of_every_cause_and_passes_of_the_daemon_are_noted() -> None:
    """P8 to P10 and P7: what moved nothing is no event."""
    with uvmfree.boot(npages=256, ncpus=2, ncolors=2) as uvm:
        cpu = uvm.cpus[1]
        held = [cpu.pagealloc() for _ in range(20)]
        for pg in held:
            assert pg is not None
            cpu.pagefree(pg)
        assert uvm.redistribute() == 20
        assert uvm.redistribute() == 0
        (event,) = uvm.events.snapshot()
        assert (event.what, event.cause, event.cpu, event.pages) == ("redistribute", "explicit", 1, 20)
        pg = cpu.pagealloc()
        assert pg is not None
        cpu.pagefree(pg)
        uvm.pglistfree(uvm.pglistalloc(1, low=pg.pfn, high=pg.pfn + 1))
        assert uvm.events.snapshot()[-1].cause == "pglistalloc"
        uvm.pagedaemon.one_pass()
        assert uvm.events.snapshot()[-1].what == "daemon"
        uvm.audit()
