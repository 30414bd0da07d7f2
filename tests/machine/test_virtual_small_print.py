"""Fine points of the virtual machine: who looks and when, what is restored, what belongs to whom."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.machine.virtual_rig import BIG, LINE, UNDER, costs, machine_of, run, schedule
from uvmfree.errors import ParamError
from uvmfree.kern.lockrank import UVM_CPU
from uvmfree.machine.virtual.locks import LOOK_NS
from uvmfree.machine.virtual.machine import FIRST_LOOK_S, VirtualMachine

US = 1000


def held(machine: Any, mutex: Any, ns: int) -> Callable[[], None]:
    """Return a body that holds a lock for so long."""
    handle = mutex.handle("uvm_pagealloc")

    def hold() -> None:
        with handle:
            machine.sleep(ns / 1e9)

    return hold


def test_who_only_looks_comes_again_each_time_twice_as_long_after() -> None:
    machine = machine_of(VirtualMachine)
    mutex, seen = machine.mutex(BIG), list[int]()

    def look() -> None:
        machine.sleep(1e-6)
        began_ns = machine.clock_ns()
        with mutex.handle("observer"):
            seen.append(machine.clock_ns() - began_ns)

    run(machine, [(0, held(machine, mutex, 6 * US)), (None, look)])
    assert seen == [(1 + 2 + 4) * LOOK_NS]


@pytest.mark.parametrize(
    ("timeout_us", "free", "took_us"), [(2, False, 2), (5, False, 5), (100, True, 1 + 2 + 4 + 8)]
)
def test_who_waits_for_a_lock_to_come_free_looks_ever_more_seldom_and_no_longer_than_told(
    timeout_us: int, free: bool, took_us: int
) -> None:
    machine = machine_of(VirtualMachine)
    mutex, seen = machine.mutex(BIG), list[tuple[bool, int]]()

    def wait() -> None:
        machine.sleep(1e-6)
        began_ns = machine.clock_ns()
        found = mutex.comes_free(timeout_us * 1e-6)
        seen.append((found, machine.clock_ns() - began_ns))

    run(machine, [(0, held(machine, mutex, 10 * US)), (None, wait)])
    assert FIRST_LOOK_S == 1e-6
    assert seen == [(free, took_us * US)]


def test_a_strand_of_no_cpu_leaves_a_lock_s_line_where_it_was() -> None:
    machine = machine_of(VirtualMachine, costs=costs(line_memory=700))
    mutex, took = machine.mutex(BIG), list[int]()

    def late(number: int) -> Callable[[], None]:
        handle = mutex.handle("uvm_pagealloc")

        def take() -> None:
            machine.sleep(number * 1e-3)
            began_ns = machine.clock_ns()
            with handle:
                pass
            took.append(machine.clock_ns() - began_ns)

        return take

    run(machine, [(cpu, late(number)) for number, cpu in enumerate((0, 0, None, 0))])
    first, again, _, after = took
    assert first > again == after


def test_a_cpu_s_own_lock_is_held_also_for_another_strand_of_that_cpu() -> None:
    machine = machine_of(VirtualMachine)
    mutex, got = machine.mutex(UVM_CPU, 0), list[bool]()

    def other() -> None:
        machine.sleep(2e-6)
        got.append(mutex.handle("uvm_pagefree").try_acquire())

    run(machine, [(0, held(machine, mutex, 10 * US)), (0, other)])
    assert got == [False]


@pytest.mark.parametrize(
    ("field", "least", "most"), [("seed", 0, 2**63), ("quantum_ns", 0, 10**9), ("ncpus", 1, None)]
)
def test_the_bounds_of_whole_numbers_are_taken_and_what_lies_beyond_is_not(
    field: str, least: int, most: int | None
) -> None:
    for value in (least, most):
        if value is not None:
            VirtualMachine(**{field: value})  # type: ignore[arg-type]
    for wrong in (least - 1, None if most is None else most + 1, float(least)):
        with pytest.raises(ParamError, match=f"^{field}="):
            VirtualMachine(**{field: wrong})  # type: ignore[arg-type]


def test_strands_of_one_name_have_a_jitter_each() -> None:
    """Else those that do the same come to lock in phase."""
    machine, ends = VirtualMachine(ncpus=2), list[int]()

    def work() -> None:
        began_ns = machine.clock_ns()
        machine.charge(10**9)
        ends.append(machine.clock_ns() - began_ns)

    tasks = [machine.spawn("same", work, 0) for _ in range(3)]
    assert machine.wait_for(tasks, lambda: False)
    assert len(set(ends)) == 3


def test_who_acted_as_a_cpu_is_who_it_was_also_after_an_error() -> None:
    machine = machine_of(VirtualMachine)
    adder = machine.counters(("free",)).adder("free")

    def took() -> int:
        began_ns = machine.clock_ns()
        adder.add(1)
        return int(machine.clock_ns() - began_ns)

    with machine.acts_as(1):
        took()
        with machine.acts_as(5):
            assert took() > 100  # the line comes from the other socket
        assert took() > 100
        assert took() < 100
    with pytest.raises(LookupError), machine.acts_as(5):
        raise LookupError
    took()  # of no CPU: the line stays with CPU 1
    with machine.acts_as(1):
        assert took() < 100


def test_a_lock_that_is_wrested_goes_to_who_waits_for_it() -> None:
    machine = machine_of(VirtualMachine, check=False)
    mutex, got = machine.mutex(BIG), list[str]()

    def gone() -> None:
        mutex.handle("uvm_pagealloc").acquire()

    def waits() -> None:
        machine.sleep(1e-6)
        with mutex.handle("uvm_pagefree"):
            got.append("waiter")

    tasks = [machine.spawn("gone", gone, 0), machine.spawn("waits", waits, 1)]
    machine.sleep(1e-3)
    assert got == []
    mutex.wrest()
    assert machine.wait_for(tasks, lambda: False)
    assert (got, mutex.comes_free(0)) == (["waiter"], True)


def test_who_asks_for_stacks_is_not_among_them() -> None:
    machine, seen = machine_of(VirtualMachine), list[list[str]]()

    def asks() -> None:
        machine.sleep(1e-6)
        seen.append(sorted(stack.name for stack in machine.stacks() if stack.name != "main"))

    run(machine, [(0, asks), (1, lambda: machine.sleep(1e-3))])
    assert seen == [["s1"]]


def test_who_gave_up_joining_is_not_woken_by_the_end_that_comes_later() -> None:
    machine = machine_of(VirtualMachine)
    task = machine.spawn("late", lambda: machine.sleep(5e-6), 0)
    assert not task.join(1e-6)
    machine.sleep(20e-6)
    assert machine.clock_ns() == 21 * US
    assert task.over


def test_sleepers_are_woken_in_their_order_and_each_by_who_drops_the_lock() -> None:
    machine = machine_of(VirtualMachine, lock="sleep")
    mutex, got, took = machine.mutex(BIG), list[int](), list[int]()

    def takes(cpu: int, at_ns: int) -> Callable[[], None]:
        handle = mutex.handle("uvm_pagealloc")

        def body() -> None:
            machine.sleep(at_ns / 1e9)
            handle.acquire()
            got.append(cpu)
            machine.sleep(10e-6)
            began_ns = machine.clock_ns()
            handle.release()
            took.append(machine.clock_ns() - began_ns)

        return body

    run(machine, [(cpu, takes(cpu, cpu * US)) for cpu in range(3)])
    assert got == [0, 1, 2]
    wake_ns = machine.costs.ns("sleep_wake")
    assert took == [UNDER + wake_ns, UNDER + LINE + wake_ns, UNDER + LINE]


@pytest.mark.parametrize("backoff_max", [0, 1, 4])
def test_spinners_pause_no_shorter_than_the_least_backoff(backoff_max: int) -> None:
    """A largest one that is smaller changes nothing: pauses stay as long as the first."""

    def seen(most: int) -> list[tuple[int, int, int]]:
        machine = machine_of(VirtualMachine, lock="ttas", costs=costs(backoff_min=4, backoff_max=most))
        return schedule(machine, [(cpu, 10 * cpu) for cpu in range(6)])

    assert seen(backoff_max) == seen(4)


def test_work_takes_no_time_back() -> None:
    """A clock that went back would let a strand do what others have already seen undone."""
    machine = machine_of(VirtualMachine)
    machine.charge(0)
    with pytest.raises(ParamError, match=r"charge\(-1\): must be nanoseconds, 0 or more"):
        machine.charge(-1)
    assert machine.clock_ns() == 0


def test_who_drops_a_lock_outside_of_time_drops_it_at_its_clock() -> None:
    """The holder ran ahead to 500 in one go. Who comes at 100, and runs after it, does not have the lock before."""
    machine, seen = machine_of(VirtualMachine), list[int]()
    mutex = machine.mutex(BIG)

    def audits() -> None:
        with mutex.handle("uvm_audit"):
            machine.charge(500)

    def comes() -> None:
        machine.sleep(100e-9)
        with mutex.handle("b"):
            seen.append(machine.clock_ns())

    run(machine, [(0, audits), (1, comes)])
    assert seen == [500 + 10]
