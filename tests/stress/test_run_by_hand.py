"""What a stress run is made of and adds up, before it has begun: its maps, its CPUs, what is missing at the end."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree
from tests.uvm.machines import ClockMachine
from uvmfree.errors import BindError, HangError
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.param import Param
from uvmfree.stress.engine import Plan, Stress, missing_of
from uvmfree.stress.hands import Hands
from uvmfree.stress.player import UNDER_WAY
from uvmfree.stress.program import KIND_BITS, KINDS
from uvmfree.stress.shared import Pace, StressError


def made(ncpus: int = 2, **plan: Any) -> Stress:
    machine = ClockMachine()
    known: dict[str, Any] = {"param": Param(npages=256, ncpus=ncpus), "seed": 1, "seconds": 1}
    return Stress(Plan(**known | plan), machine, LockWatch(machine.raw_lock, machine.me))


@pytest.fixture
def run() -> Iterator[Stress]:
    """A run of six CPUs that has not begun."""
    stress = made(ncpus=6)
    uvm = stress.uvm
    yield stress
    uvm.close()


@pytest.mark.parametrize(("faults", "maps"), [((), 1), (("swapwrite",), 2)])
def test_a_map_is_larger_than_ram_and_one_with_little_swap_goes_with_failing_writes(
    faults: tuple[str, ...], maps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 256 pages: 320 and as much swap, 32 and swap for 8. Who waits has less time where CPUs rest in between."""
    asked: list[tuple[int, int, float]] = []
    plain = uvmfree.Uvm.anon_memory

    def anon_memory(self: uvmfree.Uvm, npages: int, swap_pages: int, **how: Any) -> object:
        asked.append((npages, swap_pages, how["patience_s"]))
        return plain(self, npages, swap_pages, **how)

    monkeypatch.setattr(uvmfree.Uvm, "anon_memory", anon_memory)
    made(faults=faults, pace=Pace(rate=2.0, busy=0.5)).uvm.close()
    assert asked == [(320, 320, 0.75), (32, 8, 0.75)][:maps]


def test_what_the_cpus_could_not_have_is_added_up_each_for_itself(run: Stress) -> None:
    for at, player in enumerate(run.players):
        player.hands.refused, player.hands.out_of_pages, player.away, player.done = at, 10 * at, 100 * at, 1000 * at
        player.counts[0], player.counts[-1] = at, 2 * at
    assert run.failed() == {"allocations": 15, "accesses and runs": 150, "detached": 1500}
    assert run.steps() == 15_000
    counts = [times for times in run.operations().values() if times]
    assert counts == [15, 30]


def test_one_cpu_in_four_is_a_kernel_threads_and_a_step_that_a_detach_broke_off_is_counted(run: Stress) -> None:
    """R5: the second one, the sixth, and so on."""
    played: list[tuple[int, str]] = []

    def run_on(index: int, lwp: str) -> None:
        played.append((index, lwp))
        run.shared.stopped = True
        raise BindError("detached")

    system: Any = SimpleNamespace(run_on=run_on, physmem=run.uvm.physmem)
    run.shared.uvm = system
    for player in run.players:
        run.shared.stopped = False
        player.done = 300
        player.ring[300 % 256] = [299 + player.index % 2, 0, 0, UNDER_WAY]
        player.play(None)
    assert played == [(index, "kernel" if index in (1, 5) else "user") for index in range(6)]
    assert [(player.done, player.away) for player in run.players] == [(300, 0), (301, 1)] * 3
    outcomes = [operation[3] for player in run.players for operation in player.last()]
    assert outcomes == [UNDER_WAY, "the CPU was detached"] * 3


def test_what_an_operation_is_made_of_is_what_the_step_has_beside_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the listing of a program reads it."""
    given: list[int] = []
    monkeypatch.setattr(Hands, "operations", lambda hands: (given.append,) * len(KINDS))
    stress = made()
    player = stress.players[0]
    player.play(5)
    assert given == [step >> KIND_BITS for _, _, step, _ in player.last()]
    assert len(given) == 5
    stress.uvm.close()


@pytest.mark.parametrize(("free", "missing"), [("store", 22), ("all", 40)])
def test_pages_are_missing_that_are_neither_free_nor_in_a_cache(free: str, missing: int) -> None:
    """60 of 100 are free, 18 are cached: beside them, or among them."""
    uvm: Any = SimpleNamespace(
        param=SimpleNamespace(npages=100),
        uvmexp=SimpleNamespace(free=60),
        cached_pages=lambda: (10, 5),
        design=SimpleNamespace(parked=lambda: 3),
        traits=SimpleNamespace(free=free),
    )
    assert missing_of(uvm) == missing


@pytest.mark.parametrize(("resident", "slots"), [(0, 0), (1, 0), (0, 2)])
def test_a_map_that_was_emptied_has_neither_pages_nor_swap(run: Stress, resident: int, slots: int) -> None:
    gone: list[int] = []
    anons: Any = SimpleNamespace(
        owner=4,
        npages=3,
        audit=lambda: None,
        discard=lambda cpu, index: gone.append(index),
        stats=lambda: SimpleNamespace(resident=resident, swpginuse=slots),
    )
    if resident or slots:
        with pytest.raises(StressError, match=f"map 4 is empty, and has {resident} pages, {slots} swap slots"):
            run._empty(anons)
    else:
        run._empty(anons)
    assert gone == [0, 1, 2]


def test_threads_have_so_long_to_end_and_are_named_if_they_do_not() -> None:
    """Fifteen seconds of threads; half of that where twice as much happens in a second."""
    stress: Any = made(pace=Pace(rate=2.0))
    machine = stress.uvm.machine

    def join(timeout_s: float) -> bool:
        machine.now_s += timeout_s
        return False

    tasks = [SimpleNamespace(name=name, join=join) for name in ("cpu/0", "fault/storm")]
    began_s = machine.now_s
    with pytest.raises(HangError, match=r"^cpu/0, fault/storm did not end within 7\.5 s of being stopped$"):
        stress._join([*tasks, SimpleNamespace(name="cpu/1", join=lambda timeout_s: True)])
    assert machine.now_s - began_s == pytest.approx(7.5, abs=0.05)
    stress.uvm.close()
