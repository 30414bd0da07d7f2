"""A stall is counted by where it struck: with a lock of the CPU held, or without any."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.stress.faults import StallFault


class Struck:
    """A run whose CPU 0 comes by a lock at each look, and holds so many then."""

    def __init__(self, holds: tuple[str, ...]) -> None:
        self.mutex = SimpleNamespace(name="uvm_cpu[0]", on_taken=None, on_dropped=None)
        self.watch = SimpleNamespace(named=lambda name: [self.mutex], held_by=lambda thread: holds)
        self.machine = SimpleNamespace(
            raw_lock=threading.Lock, me=lambda: 7, clock_ns=lambda: 0, sleep=lambda seconds: None
        )
        self.players = [SimpleNamespace(thread=7)]
        self.uvm = SimpleNamespace(design=SimpleNamespace(guard=lambda index: self.mutex, shared_locks=()))
        self.seed, self.stopped = 1, False

    def ns(self, seconds: float) -> int:
        return round(seconds * 1e9)

    def look(self) -> None:
        for hook in (self.mutex.on_taken, self.mutex.on_dropped):
            if hook is not None:
                hook()

    def nap(self, seconds: float) -> bool:
        self.naps = getattr(self, "naps", 0) + 1
        return self.naps > 1

    def all_go_on(self) -> None:
        pass

    def failures(self) -> list[object]:
        return []


@pytest.mark.parametrize(("holds", "counted"), [(("uvm_cpu[0]",), (1, 0)), ((), (0, 1))])
def test_inside_is_with_a_lock_held(holds: tuple[str, ...], counted: tuple[int, int]) -> None:
    fault, run = StallFault(), Struck(holds)
    shared: Any = run
    fault.run(shared)
    assert (fault.injected, fault.survived) == (1, 1)
    assert (fault.inside, fault.outside) == counted
    assert tuple(fault.details().values()) == counted
    assert (run.mutex.on_taken, run.mutex.on_dropped) == (None, None)


def test_a_stall_that_nobody_came_by_is_no_injection() -> None:
    """It waits for half a second, and takes its hooks away."""
    fault, run = StallFault(), Struck(())
    now_ns = iter(range(0, 10**12, 100_000_000))
    run.machine.clock_ns = lambda: next(now_ns)
    looks: list[float] = []
    run.look = lambda: looks.append(1)  # type: ignore[method-assign]
    shared: Any = run
    fault.run(shared)
    assert (fault.injected, fault.survived, len(looks)) == (0, 0, 4)
    assert (run.mutex.on_taken, run.mutex.on_dropped) == (None, None)


def test_while_the_cpu_stands_still_nobody_looks_whether_it_does() -> None:
    """In virtual time each look is an event, and there were a thousand in a stall."""
    fault, run = StallFault(), Struck(())
    slept: list[float] = []
    run.machine.sleep = slept.append
    strike, looks = run.look, []

    def look() -> None:
        looks.append(len(slept))
        strike()

    run.look = look  # type: ignore[method-assign]
    shared: Any = run
    fault.run(shared)
    assert slept == [StallFault.STALL_S] * 2  # the CPU, and the fault after it
    assert looks == [0]


@pytest.mark.parametrize(
    ("how", "armed"),
    [
        (0, ["guard taken", "shared taken"]),
        (1, ["guard dropped", "shared dropped"]),
        (2, ["shared dropped"]),  # between a list and its counter
    ],
)
def test_where_a_cpu_is_held_up_and_hooks_that_were_there_come_back(how: int, armed: list[str]) -> None:
    fault, run = StallFault(), Struck(())
    before = [lambda: None for _ in range(4)]
    guard, common = (
        SimpleNamespace(name=name, on_taken=before[at], on_dropped=before[at + 1])
        for at, name in ((0, "guard"), (2, "shared"))
    )
    by_name = {"guard": [guard], "shared": [common]}
    run.watch.named = by_name.get
    run.uvm.design = SimpleNamespace(guard=lambda index: guard, shared_locks=(common,))
    seen: list[str] = []

    def look() -> None:
        hooks = (guard.on_taken, guard.on_dropped, common.on_taken, common.on_dropped)
        names = ("guard taken", "guard dropped", "shared taken", "shared dropped")
        mine = [(name, hook) for name, hook, was in zip(names, hooks, before, strict=True) if hook is not was]
        seen.extend(name for name, _ in mine)
        mine[-1][1]()

    run.look = look  # type: ignore[method-assign]
    drawn = iter((0, how))
    fault._bits = lambda width: next(drawn)
    shared: Any = run
    assert fault.inject(shared)
    assert seen == armed
    assert [guard.on_taken, guard.on_dropped, common.on_taken, common.on_dropped] == before
