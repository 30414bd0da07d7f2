"""How long a lock is held in virtual time: what was charged when it was given back, not what others did since."""

import itertools

import pytest

import uvmfree
from uvmfree.kern.lockrank import UVM_FPAGEQLOCK
from uvmfree.machine.costs import costs_for
from uvmfree.machine.virtual.machine import VirtualMachine

NO_LINES = {f"line_{place}": 0 for place in ("core", "complex", "socket", "remote", "memory")}
COSTS = costs_for("xeon-2s", jitter_percent=0, **NO_LINES)
HELD_NS = 3 + 40 + 20  # the store that drops it, the work of an allocation, and one page
CALLER = "uvm_pagealloc"


def machine(ncpus: int, **how: bool) -> VirtualMachine:
    return VirtualMachine(ncpus=ncpus, costs=COSTS, lock="mcs", **how)


@pytest.mark.parametrize("ncpus", [1, 2, 5])
def test_lockstat_tells_the_hold_without_what_came_after_it(ncpus: int) -> None:
    """However many wait for the lock, and run as soon as it is free."""
    on = machine(ncpus, lockstat=True)
    mutex = on.mutex(UVM_FPAGEQLOCK)

    def play() -> None:
        handle = mutex.handle(CALLER)
        for _ in range(4):
            with handle:
                pass

    tasks = [on.spawn(f"cpu/{cpu}", play, cpu) for cpu in range(ncpus)]
    assert on.wait_for(tasks, lambda: False)
    (stat,) = mutex.snapshot()
    assert stat.acquired == 4 * ncpus
    assert (stat.hold_ns_min, stat.hold_ns_max) == (HELD_NS, HELD_NS)
    assert stat.hold_ns_total == HELD_NS * 4 * ncpus


def test_a_hold_takes_as_long_as_what_it_touched_pages_and_items_each_at_their_price() -> None:
    """A page is 20 ns, a chunk that moves by pointer 50."""

    class Guarded:
        pages_touched, items_touched, taken = 0, 0, ()

    on, touched = machine(1, lockstat=True), Guarded()
    mutex = on.mutex(UVM_FPAGEQLOCK)
    mutex.guards(touched)
    handle = mutex.handle(CALLER)
    for pages, items in ((1, 0), (0, 1), (3, 2)):
        with handle:
            touched.pages_touched, touched.items_touched = pages, items
    (stat,) = mutex.snapshot()
    assert (stat.hold_ns_min, stat.hold_ns_max) == (HELD_NS, 3 + 40 + 3 * 20 + 2 * 50)
    assert stat.hold_ns_total == 3 * (3 + 40) + 4 * 20 + 3 * 50


def test_a_timeline_has_holds_that_do_not_overlap() -> None:
    on = machine(3, lockstat=True, locktrace=True)
    mutex = on.mutex(UVM_FPAGEQLOCK)

    def play() -> None:
        handle = mutex.handle(CALLER)
        for _ in range(3):
            with handle:
                pass

    assert on.wait_for([on.spawn(f"cpu/{cpu}", play, cpu) for cpu in range(3)], lambda: False)
    assert on.locktrace is not None
    holds = sorted((one.began_ns, one.ended_ns) for one in on.locktrace.slices() if one.held)
    assert [ended - began for began, ended in holds] == [HELD_NS] * 9
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(holds))


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_the_shared_lock_is_never_held_longer_than_time_goes_on(design: str) -> None:
    from uvmfree.measure.scale import Case, Traffic, measured

    for ncpus in (2, 16):
        point = measured(Case(design, ncpus, Traffic("pingpong"), lock="mcs"))
        assert point is not None
        assert 0 <= point.busy_percent <= 100
        assert 0 <= point.wait_share_percent <= 100
    if design == "fpageqlock":
        assert point.busy_percent > 50
