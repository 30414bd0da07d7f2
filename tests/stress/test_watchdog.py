"""The watchdog: what counts as standing still; and a real hang, with a lock that is held for good."""

import threading
from pathlib import Path

import pytest

import uvmfree
from tests.kern.tasks import await_event
from tests.stress.rig import run
from uvmfree.kern.lockwatch import LockState
from uvmfree.stress.fault import Fault
from uvmfree.stress.shared import Shared
from uvmfree.stress.watchdog import Watchdog, lock_lines


class Clock:
    """A time that the test sets, in seconds."""

    now_s = 0.0

    def ns(self) -> int:
        return round(self.now_s * 1e9)


def test_no_progress_for_a_while_is_a_hang_and_any_progress_is_none() -> None:
    clock, done = Clock(), [0]
    dog = Watchdog(clock.ns, lambda: done[0], tuple, patience_s=5)
    for clock.now_s in (1.0, 5.0):
        assert dog.still() is None
    done[0] += 1
    for clock.now_s in (5.1, 10.0):
        assert dog.still() is None
    clock.now_s = 10.2
    assert dog.still() == "no progress for 5 s"


def test_one_cpu_may_rest_longer_and_not_for_ever() -> None:
    clock, cpus = Clock(), [0, 0]
    dog = Watchdog(clock.ns, lambda: cpus[0], lambda: cpus, patience_s=5)
    for second in range(21):
        clock.now_s, cpus[0] = second, second
        assert dog.still() is None
    clock.now_s, cpus[0] = 21, 21
    assert dog.still() == "CPU 1 has stood still for 20 s"


def test_cpus_that_rest_together_start_anew() -> None:
    clock, each, done = Clock(), [(1, 1)], [0]
    dog = Watchdog(clock.ns, lambda: done[0], lambda: each[0], patience_s=5)
    for second, numbers in ((0, (1, 1)), (10, ()), (21, (1, 1)), (40, (1, 1))):
        clock.now_s, each[0] = second, numbers
        done[0] += 1
        assert dog.still() is None
    clock.now_s, done[0] = 42, 99
    assert dog.still() == "CPU 0 has stood still for 20 s"


class Jam(Fault):
    """Takes the global lock and does not give it back until it is told."""

    name = "jam"
    pause_s = (0.01, 0.01)

    def __init__(self) -> None:
        super().__init__()
        self.end = threading.Event()
        self.lock = ""

    def inject(self, shared: Shared) -> bool:
        self.note(shared, "the lock is taken for good")
        lock = shared.uvm.design.all_locks("the_culprit")[-1]
        self.lock = lock.mutex.name
        with lock:
            await_event(self.end)
        return False


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_a_hang_is_reported_with_holder_waiters_and_stacks(
    design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run returns while its threads still hang; the report says who holds what, who waits, and where all are."""
    monkeypatch.chdir(tmp_path)
    jam = Jam()
    try:
        record = run(design, ("storm",), jam, seconds=30, patience_s=0.5)
    finally:
        jam.end.set()  # the threads of the run end by themselves then
    assert record.hung
    assert 0.5 <= record.wall_s < 30  # up to when that was found
    assert record.errors[0] == "no progress for 0.5 s"
    said = "\n".join(record.report)
    assert f"{jam.lock}: held by fault/jam (the_culprit); waiting: " in said
    waiting = next(line for line in record.report if line.startswith(jam.lock))
    assert not waiting.endswith("nobody waits")
    assert "thread cpu/0 (" in said
    assert "thread fault/jam (" in said
    assert "await_event" in said
    assert "CPU 2, " in said
    assert record.file == str(tmp_path / f"uvmfree-stress-{design}-7.txt")
    whole = (tmp_path / f"uvmfree-stress-{design}-7.txt").read_text()
    assert "the lock is taken for good" in whole
    assert f"again: uvmfree stress --design {design} --seed 7 --seconds 30" in whole
    assert "-> under way" in whole


def test_locks_that_are_held_or_waited_for_have_a_line_each() -> None:
    states = [
        LockState("free", None, ()),
        LockState("held", (1, "uvm_pagealloc"), ()),
        LockState("wanted", None, ((2, "uvm_pagefree"), (3, "uvm_wait"))),
        LockState("both", (2, "uvm_fault"), ((1, "uvm_pagealloc"),)),
    ]
    assert list(lock_lines(states, {1: "cpu/0", 2: "cpu/1"})) == [
        "held: held by cpu/0 (uvm_pagealloc); waiting: nobody waits",
        "wanted: held by nobody; waiting: cpu/1 (uvm_pagefree), 3 (uvm_wait)",
        "both: held by cpu/1 (uvm_fault); waiting: cpu/0 (uvm_pagealloc)",
    ]
