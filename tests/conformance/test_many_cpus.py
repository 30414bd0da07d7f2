"""What two CPUs cannot show, in every design: locks of groups, caches that CPUs share, and who touches the store."""

import threading
from typing import Any

import uvmfree
from tests.conformance.conftest import Boot
from tests.conformance.steps import all_free, free_all, take_all

CPUS = 9


def test_many_cpus_take_what_others_left_and_all_of_it_comes_back(boot: Boot) -> None:
    """R3 and P8: one allocates all that it can, which others freed; then caches are handed back, shared ones, too.

    => Where locks are checked: two of one rank are taken in ascending order, from whichever CPU.
    """
    uvm = boot(npages=8 * CPUS, ncpus=CPUS)
    for taker in (uvm.cpus[0], uvm.cpus[-1], uvm.cpus[0]):
        held = take_all(taker, use_reserve=True)
        for index, cpu in enumerate(uvm.cpus):
            free_all(cpu, held[index::CPUS])
        assert all_free(uvm) == uvm.param.npages
    moved = uvm.redistribute()
    if "explicit" in uvm.traits.causes:
        left, parked = uvm.cached_pages(), uvm.design.parked()
        assert (sum(left), parked) == (0, 0), f"of {moved} pages CPUs kept {left}, shared caches {parked}"


def test_the_store_is_touched_under_its_lock_alone(boot: Boot) -> None:
    """R3: what a lock guards that counts what is touched (`guarded()`) is touched by nobody who does not hold it."""
    uvm = boot(npages=64)
    astray: list[str] = []
    if uvm.machine.lockdebug and not isinstance(uvm.machine, uvmfree.VirtualMachine):
        for mutex, touched in uvm.design.guarded():
            _watch(touched, mutex, astray)
    first, second = uvm.cpus
    held = take_all(first, use_reserve=True)
    free_all(second, held[::2])
    free_all(first, held[1::2])
    free_all(second, take_all(first))
    uvm.redistribute()
    run = uvm.pglistalloc(4)
    uvm.pglistfree(run)
    assert not astray, f"{len(astray)} times the store was touched, and its lock not held: {astray[0]}"


def _watch(touched: Any, mutex: Any, astray: list[str]) -> None:
    """Note each change of the counts of a store by who does not hold its lock."""
    counts = {name: getattr(touched, name) for name in ("pages_touched", "items_touched")}

    def counted(name: str) -> property:
        def change(_: object, value: int) -> None:
            if mutex.owner != threading.get_ident():
                astray.append(mutex.name)
            counts[name] = value

        return property(lambda _: counts[name], change)

    try:
        touched.__class__ = type("Watched", (type(touched),), {name: counted(name) for name in counts})
    except TypeError:
        return  # it has slots
