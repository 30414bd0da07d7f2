"""What a cost varies by is named by lock, caller and CPU: one more handle, lock or strand changes no other draw."""

from collections.abc import Callable

import pytest

import uvmfree
from tests.machine.virtual_rig import BIG, OUTER, OWN, run
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.jitter import PERIOD, Jitter

CPUS = (0, 1, 2)
ROUNDS = 20


def waits(*, more_handles: bool = False, more_strands: bool = False) -> tuple[object, ...]:
    machine = uvmfree.VirtualMachine(ncpus=len(CPUS), costs=costs_for("xeon-2s"), lock="mcs", check=True)
    big = machine.mutex(BIG)
    own = [machine.mutex(OWN, cpu) for cpu in CPUS]
    if more_handles:
        machine.mutex(OUTER).handle("uvm_pagealloc")
        for mutex in (big, *own):
            mutex.handle("uvm_pagealloc")

    def body(cpu: int) -> Callable[[], None]:
        handles = own[cpu].handle("uvm_pagealloc"), big.handle("uvm_pagealloc")

        def play() -> None:
            for _ in range(ROUNDS):
                machine.charge(1000)
                for handle in handles:
                    handle.acquire()
                    handle.release()

        return play

    if more_strands:
        machine.spawn("one more", lambda: None).join(1.0)
    run(machine, [(cpu, body(cpu)) for cpu in CPUS])
    assert machine.journal is not None
    return tuple(machine.journal.holds)


@pytest.mark.parametrize("more", ["more_handles", "more_strands"])
def test_one_more_changes_no_draw(more: str) -> None:
    assert waits(**{more: True}) == waits()


def test_cpus_draw_for_themselves() -> None:
    came: dict[str, int] = {}
    for strand, lock, _, arrived, *_ in waits():
        if lock.startswith("own"):
            came.setdefault(strand, arrived)
    assert len(set(came.values())) == len(CPUS), came


def test_costs_vary_evenly_by_their_percent_and_what_is_exact_does_not() -> None:
    """Each step once in a period; the mean is the cost."""
    draw = Jitter(seed=3, percent=50, cpu=lambda: 1).costs(1000, "a lock", exact_ns=20_000)[1]
    drawn = [draw() for _ in range(PERIOD)]
    assert (min(drawn), max(drawn)) == (20_500, 21_500)
    assert sum(drawn) / PERIOD == pytest.approx(21_000, abs=0.5)
    assert len(set(drawn)) == PERIOD
    exact = Jitter(seed=3, percent=0, cpu=lambda: 1).costs(1000, "a lock", exact_ns=20_000)[1]
    assert {exact() for _ in range(9)} == {21_000}
