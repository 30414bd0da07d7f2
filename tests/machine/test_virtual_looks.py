"""Somebody who only looks stands outside of time: the run is the same, however often he does."""

import pytest

from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.machine.costs import LOOKS
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.machine.virtual.policies import POLICIES


def end_of(lock: str, every_s: float | None) -> tuple[int, int, int]:
    """When eight CPUs that want one lock are done, how often they waited for it, and for how long together."""
    machine = VirtualMachine(ncpus=8, lock=lock, lockstat=True)
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    ended = [0] * 8

    def play(cpu: int) -> None:
        handle = mutex.handle("uvm_pagealloc")
        for _ in range(200):
            with handle:
                pass
            machine.charge(300)
        ended[cpu] = machine.clock_ns()

    def look() -> None:
        handle = mutex.handle(LOOKS)
        while not all(ended):
            with handle:
                pass
            machine.sleep(every_s or 1)

    tasks = [machine.spawn(f"cpu/{cpu}", lambda cpu=cpu: play(cpu), cpu) for cpu in range(8)]  # type: ignore[misc]
    if every_s is not None:
        tasks.append(machine.spawn("observer", look))
    assert machine.wait_for(tasks, lambda: False)
    waits = [stat for stat in mutex.snapshot(by_caller=True) if stat.caller != LOOKS]
    return max(ended), sum(stat.contended for stat in waits), sum(stat.wait_ns_total for stat in waits)


@pytest.mark.parametrize("lock", POLICIES)
def test_who_looks_changes_nothing_for_those_who_wait(lock: str) -> None:
    unseen = end_of(lock, None)
    assert unseen[1] > 100  # there is something to get in the way of
    assert end_of(lock, 1e-6) == end_of(lock, 1e-5) == unseen


def test_who_looks_sees_nothing_while_somebody_is_inside() -> None:
    machine = VirtualMachine(ncpus=2)
    mutex, over = machine.mutex(UVM_FPAGEQLOCK), machine.event()
    seen: list[int] = []

    def hold() -> None:
        with mutex.handle("uvm_pagealloc"):
            over.sleep_until(lambda: bool(seen), 5e-6)
            seen.append(-1)

    def look() -> None:
        machine.sleep(1e-6)
        with mutex.handle(LOOKS):
            seen.append(machine.clock_ns())

    tasks = [machine.spawn("holder", hold, 0), machine.spawn("observer", look)]
    assert machine.wait_for(tasks, lambda: False)
    assert seen[0] == -1
    assert 5_000 <= seen[1] < 10_000


def test_work_before_a_lock_is_paid_again_after_a_try_in_vain() -> None:
    """Once by who goes on to wait at once; not by who comes for it later."""
    machine = VirtualMachine(ncpus=2, costs=VirtualMachine().costs.with_figures({"jitter_percent": 0}, "--cost"))
    mutex = machine.mutex(UVM_FPAGEQLOCK)
    took: list[int] = []

    def hold() -> None:
        with mutex.handle("uvm_pagealloc"):
            machine.sleep(10e-6)

    def come() -> None:
        handle = mutex.handle("uvm_pagealloc")
        machine.sleep(1e-6)
        assert not handle.try_acquire()
        machine.sleep(50e-6)
        for _ in range(2):
            began_ns = machine.clock_ns()
            handle.acquire()
            took.append(machine.clock_ns() - began_ns)
            handle.release()

    assert machine.wait_for([machine.spawn("a", hold, 0), machine.spawn("b", come, 1)], lambda: False)
    ns = machine.costs.ns
    assert took[1] == ns("global_outside") + ns("lock_acquire")
    assert took[0] == ns("global_outside") + ns("line_complex")
