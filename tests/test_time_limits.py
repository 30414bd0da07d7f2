"""Limits of time: what gives up does so before whoever waits for it, and those that a reader is told are as told."""

import pytest

from uvmfree.cli import keys
from uvmfree.kern import interrupt, xcall
from uvmfree.measure import cell, executors, observer
from uvmfree.measure.tally import STRANDED_AFTER_S
from uvmfree.stress import engine as stress
from uvmfree.stress import fault as stress_fault
from uvmfree.stress import faults, watchdog
from uvmfree.stress import shared as stress_shared
from uvmfree.stress import supervised as measured
from uvmfree.uvm import bucketstack, drainer, leftheld, swap
from uvmfree.workload import driver, load, pressure, shortage, thinking

STALL_S = 0.1
"""The longest time for which a stress run holds a CPU up (docs: 100 ms)."""

EARLIER = {
    "an access in little memory, the end of its thread": (shortage.PATIENCE_S, driver.JOIN_S),
    "an access under pressure, the end of its thread": (pressure.PATIENCE_S, driver.JOIN_S),
    "the end of a thread, a run that counts as hung": (driver.JOIN_S, driver.STILL_S),
    "a wait for pages, an allocation at rest": (load.WAIT_S, load.PROBE_S),
    "an access of a stress run, a hang": (stress.PATIENCE_S, watchdog.PATIENCE_S),
    "a hang, a lock that nobody releases": (leftheld.CLOSE_LOCK_S, watchdog.PATIENCE_S),
    "a hang, the end of a thread": (watchdog.PATIENCE_S, stress.JOIN_S),
    "pages on their way, a hang": (stress.SETTLE_S, watchdog.PATIENCE_S),
    "a hang of one CPU, what is promised": (watchdog.PATIENCE_S * watchdog.ONE_CPU, 30.0),
    "an audit under way, a hang": (stress.AUDIT_S, watchdog.PATIENCE_S),
    "the first fault, the first audit": (stress_fault.FIRST_S, stress.AUDIT_S),
}
"""What comes earlier, and what comes later; both in seconds."""

TOLD = {
    "a stall": (faults.StallFault.STALL_S, STALL_S),
    "close() waits for a lock, thirty stalls": (leftheld.CLOSE_LOCK_S, 30 * STALL_S),
    "without progress, fifty stalls": (watchdog.PATIENCE_S, 50 * STALL_S),
    "a cross-call of a stress run, a hundred stalls": (stress_shared.TICKET_S, 100 * STALL_S),
    "audit() waits for a lock": (leftheld.AUDIT_LOCK_S, 10),
    "audit() does so beside CPUs that get on, a minute": (leftheld.AUDIT_LOOKS * leftheld.AUDIT_LOCK_S, 60),
    "the end of the threads of cross-calls": (xcall.CLOSE_TIMEOUT_S, 5),
    "the end of swap": (swap.CLOSE_TIMEOUT_S, 10),
    "beside free pages at most: a drain": (drainer.XCALL_TIMEOUT_S, 0.25),
    "beside free pages at most: a wait": (load.WAIT_S, 0.25),
    "a second Ctrl-C": (interrupt.HELD_S, 1),
    "samples": (observer.interval_s(gil=False), 0.004),
    "samples with the GIL": (observer.interval_s(gil=True), 0.020),
    "samples in virtual time": (observer.interval_s(gil=False, virtual=True), 0.001),
    "looks of stress in virtual time": (measured.OBSERVED_S, 0.2),
    "a key": (keys.LOOK_S, 0.1),
    "a scheduler that is not there": (executors.REACH_S, 4),
    "a cell's turn, an hour": (cell.TURN_S, 3600),
    "work outside, a microsecond": (thinking.THINK_NS / 1e9, 1e-6),
    "uma_timeout": (bucketstack.TIMEOUT_NS / 1e9, 20),
    "lowmem_period": (bucketstack.LOWMEM_PERIOD_NS / 1e9, 10),
}
"""What is, and what documents, comments and the kernels' sources say; in seconds."""


@pytest.mark.parametrize("what", EARLIER)
def test_what_gives_up_does_so_before_whoever_waits_for_it(what: str) -> None:
    earlier_s, later_s = EARLIER[what]
    assert 0 < earlier_s < later_s


@pytest.mark.parametrize("what", TOLD)
def test_a_limit_is_what_is_told(what: str) -> None:
    is_s, told_s = TOLD[what]
    assert is_s == pytest.approx(told_s)


def test_what_strands_is_looked_at_after_1_5_and_20_seconds() -> None:
    assert STRANDED_AFTER_S == (1, 5, 20)
