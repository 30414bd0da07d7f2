"""How a run on the virtual machine ends that does not end well: deadlock, hang, Ctrl-C, an error."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import uvmfree
from tests.machine.virtual_rig import BIG, OUTER, OWN, machine_of
from uvmfree.errors import DeadlockError, HangError
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.policies import POLICIES
from uvmfree.machine.virtual.strands import greenlets_work

KINDS = ["baton", *(["greenlet"] if greenlets_work() else [])]


@pytest.fixture(params=KINDS)
def machine(request: pytest.FixtureRequest) -> Iterator[Any]:
    machine = machine_of(VirtualMachine, strands=request.param)
    yield machine
    # A strand that was left behind would be left to the garbage collector.
    assert len(machine.scheduler.strands) == 1


def test_nothing_can_ever_happen_again(machine: Any) -> None:
    event, mutex = machine.event(), machine.mutex(BIG)

    def sleeper() -> None:
        with mutex.handle("sleeper"):
            event.sleep_until(lambda: False)

    def waiter() -> None:
        with mutex.handle("waiter"):
            pass

    tasks = [machine.spawn("sleeper", sleeper, 0), machine.spawn("waiter", waiter, 1)]
    with pytest.raises(DeadlockError) as caught:
        event.sleep_until(lambda: False)
    said = str(caught.value)
    assert "sleeper waits for an event" in said
    assert "waiter waits for big, held by sleeper" in said
    assert "main waits for an event" in said
    assert "\n" not in said
    assert all(task.join(1.0) and isinstance(task.error, DeadlockError) for task in tasks)
    # What they held was put back: the machine can be used on.
    with mutex.handle("main"):
        pass


def test_ticks_of_who_waits_for_tasks_hide_no_deadlock(machine: Any) -> None:
    event = machine.event()
    task = machine.spawn("sleeper", lambda: event.sleep_until(lambda: False) and None, 0)
    with pytest.raises(DeadlockError, match="sleeper waits for an event"):
        machine.wait_for([task], lambda: False)
    assert task.join(1.0)


def test_a_holder_that_takes_its_lock_again(machine: Any) -> None:
    handle = machine.mutex(BIG).handle("main")
    with handle, pytest.raises(DeadlockError, match="main waits for big, held by main"):
        handle.acquire()


@pytest.mark.parametrize("lock", POLICIES)
def test_a_circle_of_two_locks_is_told_from_both_sides(lock: str) -> None:
    """Who closes it is told; the other one gets what it waits for."""
    machine = machine_of(VirtualMachine, lock)
    big, outer = machine.mutex(BIG), machine.mutex(OUTER)

    def body(first: Any, then: Any) -> None:
        with first.handle("a"):
            machine.sleep(1e-6)
            with then.handle("b"):
                pass

    tasks = [machine.spawn("one", lambda: body(big, outer), 0), machine.spawn("two", lambda: body(outer, big), 1)]
    assert machine.wait_for(tasks, lambda: False)
    assert tasks[0].error is None
    assert isinstance(tasks[1].error, DeadlockError)
    assert "two waits for big, held by one; one waits for outer, held by two" in str(tasks[1].error)


def spun(machine: Any, big: Mutex, then: Callable[[], None], held: Mutex) -> list[Any]:
    """Have one strand spin for `big`, with `held`, and another barge in and do `then()` with `big`."""

    def take(at_ns: int, body: Callable[[], None]) -> None:
        machine.charge(at_ns)
        with big.handle("a"):
            body()

    def spins() -> None:
        with held.handle("a"):
            take(50, lambda: None)

    return [
        machine.spawn("first", lambda: take(0, lambda: machine.charge(400)), 0),
        machine.spawn("spins", spins, 1),
        machine.spawn("barges", lambda: take(600, then), 2),
    ]


def test_a_circle_with_one_that_spins_for_a_lock_that_another_one_took_before_it() -> None:
    machine = machine_of(VirtualMachine, "ttas")
    big, outer = machine.mutex(BIG), machine.mutex(OUTER)

    def then() -> None:
        with outer.handle("b"):
            pass

    tasks = spun(machine, big, then, outer)
    assert machine.wait_for(tasks, lambda: False)
    assert [type(task.error).__name__ for task in tasks] == ["NoneType", "NoneType", "DeadlockError"]
    assert "barges waits for outer, held by spins; spins waits for big, held by barges" in str(tasks[2].error)


def test_one_that_spins_is_named_where_nothing_can_happen_again_and_takes_no_lock() -> None:
    machine = machine_of(VirtualMachine, "ttas")
    event, big, outer = machine.event(), machine.mutex(BIG), machine.mutex(OUTER)
    tasks = spun(machine, big, lambda: event.sleep_until(lambda: False) and None, outer)
    with pytest.raises(DeadlockError, match="spins waits for big, held by barges; barges waits for an event"):
        event.sleep_until(lambda: False)
    assert [task.join(1.0) for task in tasks] == [True] * 3
    assert [type(task.error).__name__ for task in tasks] == ["NoneType", "DeadlockError", "DeadlockError"]
    with outer.handle("main"), big.handle("main"):
        pass


def test_a_system_that_deadlocks_can_be_closed() -> None:
    machine = VirtualMachine(ncpus=2)
    uvm = uvmfree.boot(machine=machine, npages=256, ncpus=2)
    one, two = machine.mutex(BIG), machine.mutex(OWN)

    def body(first: Any, then: Any) -> None:
        with first.handle("a"):
            machine.sleep(1e-6)
            with then.handle("b"):
                pass

    with uvm:
        tasks = [machine.spawn("one", lambda: body(one, two), 0), machine.spawn("two", lambda: body(two, one), 1)]
        assert machine.wait_for(tasks, lambda: False)
        assert sorted(type(task.error).__name__ for task in tasks) == ["DeadlockError", "NoneType"]
        uvm.audit()


@pytest.mark.parametrize("strands", KINDS)
def test_a_strand_that_runs_on_for_ever_is_told_by_the_hosts_clock(strands: str) -> None:
    machine = machine_of(VirtualMachine, strands=strands, hang_s=0.4)

    def hang() -> None:
        while True:
            machine.charge(1)

    task = machine.spawn("hangs", hang, 0)
    assert task.join(1.0)
    assert isinstance(task.error, HangError)
    assert "without a lock, a wait or an update" in str(task.error)


@pytest.mark.parametrize("strands", KINDS)
def test_ctrl_c_reaches_the_main_strand_and_no_other(strands: str) -> None:
    machine = machine_of(VirtualMachine, strands=strands)
    handle = machine.mutex(BIG).handle("worker")
    stop = [False]
    steps = [0]

    def work() -> None:
        while not stop[0]:
            with handle:
                steps[0] += 1
            machine.charge(100)
            if steps[0] == 50:
                os.kill(os.getpid(), signal.SIGINT)

    tasks = [machine.spawn(f"works{cpu}", work, cpu) for cpu in range(2)]
    with pytest.raises(KeyboardInterrupt):
        machine.wait_for(tasks, lambda: False)
    assert 50 <= steps[0] < 10_000
    stop[0] = True
    assert all(task.join(1.0) and task.error is None for task in tasks)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_ends_its_strand_alone(machine: Any) -> None:
    def fails() -> None:
        raise ValueError("broken")

    task, other = machine.spawn("fails", fails, 0), machine.spawn("works", lambda: machine.sleep(1.0), 0)
    assert task.join(1.0)
    assert isinstance(task.error, ValueError)
    assert not other.join(0.5)
    assert other.join(0.5)
    assert other.error is None


def test_a_deep_spawner_leaves_a_strand_its_recursion_depth() -> None:
    machine = VirtualMachine(ncpus=2)
    depths: list[int] = []

    def deep(left: int) -> int:
        return 0 if not left else 1 + deep(left - 1)

    def switches_from_the_depth(left: int) -> None:
        if left:
            switches_from_the_depth(left - 1)
        else:
            machine.sleep(1e-6)

    tasks = [
        machine.spawn("deep", lambda: switches_from_the_depth(700), 0),
        machine.spawn("counts", lambda: depths.append(deep(700)), 1),
    ]
    assert all(task.join(1.0) for task in tasks)
    assert [task.error for task in tasks] == [None, None]
    assert depths == [700]


@pytest.mark.skipif(not greenlets_work(), reason="no greenlet here")
def test_a_machine_that_is_dropped_in_the_middle_of_a_run_breaks_no_other() -> None:
    program = """
import gc
from tests.machine.virtual_rig import machine_of, BIG
from uvmfree.machine.virtual.machine import VirtualMachine
def run():
    machine = machine_of(VirtualMachine)
    mutex = machine.mutex(BIG)
    def body():
        with mutex.handle("x"):
            machine.sleep(1.0)
    return machine, [machine.spawn("x", body, cpu) for cpu in range(4)]
machine, tasks = run()
tasks[0].join(0.1)
del machine, tasks
gc.collect()
machine, tasks = run()
assert all(task.join(10.0) for task in tasks)
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_what_hangs_can_be_given_up(machine: Any) -> None:
    """One sleeps for ever, one keeps a lock, one waits for that; a fourth ticks, so that it is no deadlock."""
    event, mutex = machine.event(), machine.mutex(BIG)

    def holder() -> None:
        with mutex.handle("holder"):
            event.sleep_until(lambda: False)

    def ticker() -> None:
        while True:
            machine.sleep(1e-6)

    bodies = [lambda: event.sleep_until(lambda: False), holder, lambda: mutex.handle("waiter").acquire(), ticker]
    tasks = [machine.spawn(f"s{number}", body, 0) for number, body in enumerate(bodies)]
    machine.sleep(1e-3)
    stacks = {stack.name: "".join(stack.frames) for stack in machine.stacks()}
    assert set(stacks) == {"s0", "s1", "s2", "s3"}
    assert "in holder" in stacks["s1"]
    machine.abandon()
    for task in tasks:
        assert task.join(0.0)
        assert isinstance(task.error, HangError)
