"""Stress runs on a host that is busy: what is late for want of a processor is no hang, and a hang is one still."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.stress.rig import SMALL, run
from tests.stress.test_watchdog import Clock, Jam
from uvmfree.errors import ArgumentError, HangError
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.stress.engine import Plan, Stress
from uvmfree.stress.fault import Fault
from uvmfree.stress.on_machine import Virtual
from uvmfree.stress.shared import STARVED_STEPS_S, TICKET_CPUS, TICKET_S
from uvmfree.stress.supervised import OFTEN, OFTEN_CPUS, PER_CPU, TIMER_S_MIN, TIMERS, Options, stress
from uvmfree.stress.watchdog import Watchdog

MANY_CPUS = 128
REPORTED_S = 30.0
"""A hang is reported within this time, however busy the host is."""


def test_a_turn_of_the_watchdog_that_comes_late_counts_for_one() -> None:
    """Hours may pass while nobody has a processor; then each has its turn."""
    clock = Clock()
    dog = Watchdog(clock.ns, lambda: 0, lambda: (0,), patience_s=5, turn_s=0.1)
    for turn in range(49):
        clock.now_s = 3600.0 * turn
        assert dog.still() is None
    for _ in range(2):
        clock.now_s += 0.09
        assert dog.still() is None
    clock.now_s += 0.1
    assert dog.still() == "no progress for 5 s"


def test_one_cpu_is_given_as_many_turns() -> None:
    clock, done = Clock(), [0]
    dog = Watchdog(clock.ns, lambda: done[0], lambda: (done[0], 7), patience_s=1, turn_s=0.5)
    for turn in range(9):
        clock.now_s, done[0] = 60.0 * turn, turn
        assert dog.still() is None
    clock.now_s, done[0] = 600.0, 99
    assert dog.still() == "CPU 1 has stood still for 4 s"


@pytest.fixture
def made() -> Iterator[Stress]:
    """A run that has not begun."""
    machine = ThreadsMachine(lockwatch=True)
    assert machine.lockwatch is not None
    options = Options(**SMALL)
    yield (run := Stress(Plan(param=options.param("percpu"), seed=1, seconds=1), machine, machine.lockwatch))
    run.uvm.close()


@pytest.mark.parametrize(("steps", "late"), [(STARVED_STEPS_S * 0.9, True), (STARVED_STEPS_S * 1.1, False)])
def test_a_page_that_stays_busy_is_a_hang_if_the_cpus_get_on(made: Stress, steps: float, late: bool) -> None:
    """On average: one may stand still."""
    made.shared.began_ns = made.uvm.machine.clock_ns() - 1000 * 10**9
    made.players[0].done = round(steps * 1000 * len(made.players))

    def access(_: int) -> object:
        raise HangError("page 1 of map 1 stayed busy for 3.0 s")

    player = made.players[1]
    if late:
        assert player.hands._patient(access, 0) == "late: page 1 of map 1 stayed busy for 3.0 s"
        assert player.hands.out_of_pages == 1
    else:
        with pytest.raises(HangError):
            player.hands._patient(access, 0)


def test_what_every_cpu_does_by_itself_does_not_grow_with_their_number() -> None:
    few, many = (Options(ncpus=ncpus, npages=8192).param("percpu") for ncpus in (OFTEN_CPUS, 8 * OFTEN_CPUS))
    for name in PER_CPU:
        assert getattr(few, name) == OFTEN[name]
        assert getattr(many, name) == pytest.approx(8 * OFTEN[name])
    given = Options(ncpus=8 * OFTEN_CPUS, npages=8192, settings=("idle_interval_s=0.5",))
    assert given.param("percpu").idle_interval_s == 0.5


def test_cross_calls_have_time_for_every_xc_threads_turn(made: Stress) -> None:
    assert made.shared.ticket_s == TICKET_S
    many: Any = SimpleNamespace(param=SimpleNamespace(ncpus=4 * TICKET_CPUS), machine=made.uvm.machine)
    many.pagedaemon = made.uvm.pagedaemon
    assert type(made.shared)(many, made.shared.watch, 1, ()).ticket_s == 4 * TICKET_S


def test_up_to_128_cpus_and_no_timer_below_a_millisecond() -> None:
    assert Options(ncpus=128, npages=8192).ncpus == 128
    with pytest.raises(ArgumentError, match="--cpus 129: must be from 1 to 128"):
        Options(ncpus=129, npages=8192)
    fast = Options(machine=Virtual()).param("percpu")
    assert {getattr(fast, name) for name in TIMERS} == {TIMER_S_MIN}


class Holds(Fault):
    """A look, at the end of a run, at what the run's thread does with a lock."""

    name, pause_s = "holds", (0.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.progress: Callable[[], int]

    def inject(self, shared: Any) -> bool:
        return False

    def finish(self, shared: Any) -> None:
        for _ in range(2):
            self.seen.append(self.progress())
            with shared.uvm.design.guarding(1):
                self.seen.append(self.progress())


def test_each_lock_that_an_audit_has_taken_is_progress() -> None:
    """The last audit takes the locks of all CPUs, which may take longer than the watchdog has patience."""
    machine, look = ThreadsMachine(lockwatch=True), Holds()
    assert machine.lockwatch is not None
    made = Stress(
        Plan(param=Options(**SMALL).param("percpu"), seed=1, seconds=0.05), machine, machine.lockwatch, [look]
    )
    look.progress = made.progress
    made.run()
    assert made.shared.failures() == ()
    assert [seen - look.seen[0] for seen in look.seen] == [0, 1, 0, 1]


@pytest.fixture
def _two_busy_loops(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two processes that do nothing but run; for `pytest -m long`."""
    if "long" not in str(request.config.getoption("-m")):
        pytest.skip("takes minutes; `pytest -m long` does it")
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_two_busy_loops")
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.parametrize("seed", [1, 2])
def test_very_many_cpus_beside_busy_loops(design: str, seed: int) -> None:
    record = stress(Options(ncpus=MANY_CPUS, seed=seed), design)
    assert record.errors == (), record.report


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_two_busy_loops")
@pytest.mark.parametrize("ncpus", [3, MANY_CPUS])
def test_a_hang_beside_busy_loops_is_reported_in_time(
    ncpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jammed: list[float] = []

    class TimedJam(Jam):
        def inject(self, shared: Any) -> bool:
            jammed.append(time.monotonic())
            return super().inject(shared)

    jam = TimedJam()
    jam.end = _Patient()
    try:
        record = run("percpu", (), jam, ncpus=ncpus, npages=4096, seconds=60)
        took_s = time.monotonic() - jammed[0]
    finally:
        jam.end.set()
    assert record.hung
    assert took_s < REPORTED_S


class _Patient(threading.Event):
    """An event for which a test waits longer than it usually would."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(2 * REPORTED_S)
