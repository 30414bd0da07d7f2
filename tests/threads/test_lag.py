"""The table of docs/locking.md: how many pages each operation has in hand between the global list and the counters.

=> The moment is forced: ReleaseMachine runs a function right after uvm_fpageqlock was dropped, when the list has
   changed and the counter has not. What the function reads there is the lag, to the page.
"""

from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.mechanism.rig import ReleaseMachine
from tests.model.page_operations import Alloc, Free
from tests.threads.limits import Limits
from uvmfree.uvm.page import VmPage

NPAGES = 128
CACHED = 11
"""Pages that CPU 0 has cached before an operation; CPU 1 has one less."""
REFILL = 8
HOARD = 16


class Lag:
    """A system of the design `percpu` with pages in its caches, and what a reader sees when the list is unlocked."""

    def __init__(self, cached: int = CACHED, **tunables: Any) -> None:
        self.machine = ReleaseMachine()
        sizes = {"npages": NPAGES, "ncpus": 2, "ncolors": 4, "pagesize": 512}
        self.uvm = uvmfree.boot(self.machine, **sizes | tunables)
        self.held = self.uvm.pglistalloc(NPAGES // 2, nsegs=NPAGES)
        for index in range(2):
            for _ in range(max(0, cached - index)):
                self.uvm.cpus[index].pagefree(self.held.pop(0))

    def free(self, index: int) -> None:
        self.uvm.cpus[index].pagefree(self.held.pop())

    def gap(self) -> int:
        return self.uvm.counter_lag()

    def seen_by(self, do: Callable[[], object], see: Callable[[], int] | None = None) -> int | None:
        """Return what a reader sees when uvm_fpageqlock is dropped in the course of it; None if it never is."""
        seen: list[int] = []
        self.machine.then = lambda: seen.append((see or self.gap)())
        self.machine.at = "uvm_fpageqlock"
        do()
        self.machine.at = ""
        assert self.gap() == 0, "and at rest there is none"
        self.uvm.audit()
        return seen[0] if seen else None


def alloc(lag: Lag) -> object:
    return lag.uvm.cpus[0].pagealloc()


def pagefree(lag: Lag) -> object:
    return lag.free(0)


def free_by_the_daemon(lag: Lag) -> object:
    return lag.uvm.design.pagefree_global(lag.held.pop())


def redistribute(lag: Lag) -> object:
    return lag.uvm.redistribute(0)


def run_from_the_global_list(lag: Lag) -> object:
    return lag.uvm.pglistalloc(5, low=NPAGES // 2)


def run_from_a_cache(lag: Lag) -> object:
    return lag.uvm.pglistalloc(2, high=2, nsegs=2)


def run_that_is_not_there(lag: Lag) -> object:
    with pytest.raises(uvmfree.OutOfPages):
        lag.uvm.pglistalloc(NPAGES)
    return None


def detach(lag: Lag) -> object:
    return lag.uvm.detach(0)


def recolor(lag: Lag) -> object:
    return lag.uvm.recolor(2)


BOTH = CACHED + CACHED - 1
IN_HAND: dict[str, tuple[Callable[[Lag], object], dict[str, Any], int | None]] = {
    "an allocation that hits": (alloc, {}, None),
    "an allocation that misses": (alloc, {"cached": 0}, +1),
    "an allocation that misses, with refill": (alloc, {"cached": 0, "refill": REFILL}, +REFILL),
    "a free": (pagefree, {}, None),
    "a free to a cache with room": (pagefree, {"hoard_max": HOARD}, None),
    # The colder half of each list, rounded up: two of four in three colours, three of five in the one just freed to.
    "a spill": (pagefree, {"cached": HOARD, "hoard_max": HOARD}, -9),
    "a spill of single pages": (pagefree, {"cached": 3, "hoard_max": 3}, -4),
    "a page that the daemon frees": (free_by_the_daemon, {}, -1),
    "a redistribution": (redistribute, {}, -CACHED),
    "a redistribution of nothing": (redistribute, {"cached": 0}, None),
    "contiguous pages off the global list": (run_from_the_global_list, {}, +5),
    "contiguous pages out of a cache": (run_from_a_cache, {}, 2 - CACHED),
    "contiguous pages that are not there": (run_that_is_not_there, {}, 0),
    "detach": (detach, {}, -CACHED),
    "recolour": (recolor, {}, -BOTH),
}


@pytest.mark.parametrize("what", IN_HAND)
def test_what_an_operation_has_in_hand(what: str) -> None:
    """P1, P4, P5, P7 and P8: the numbers of docs/locking.md; None: the operation takes no shared lock."""
    do, tunables, gap = IN_HAND[what]
    lag = Lag(**tunables)
    assert lag.seen_by(lambda: do(lag)) == gap
    lag.uvm.close()


def test_attach_has_nothing_in_hand() -> None:
    """Q13: the CPU that comes back has an empty cache."""
    lag = Lag()
    lag.uvm.detach(0)
    assert lag.seen_by(lambda: lag.uvm.attach(0)) == 0
    lag.uvm.close()


@pytest.mark.parametrize("what", IN_HAND)
def test_in_the_design_of_today_the_counter_never_lags(what: str) -> None:
    """R3: the lock that guards the lists guards the counters."""
    do, tunables, _ = IN_HAND[what]
    lag = Lag(cached=tunables.get("cached", CACHED), design="fpageqlock")
    assert lag.seen_by(lambda: do(lag)) in (0, None)
    lag.uvm.close()


def test_what_several_cpus_have_in_hand_adds_up() -> None:
    """P1: a miss of CPU 1 while CPU 0 hands its pages back."""
    lag = Lag(refill=REFILL)
    lag.uvm.redistribute(1)
    seen: list[int] = []

    def meanwhile() -> int:
        lag.machine.then = lambda: seen.append(lag.gap())
        lag.machine.at = "uvm_fpageqlock"
        lag.uvm.cpus[1].pagealloc()
        return lag.gap()

    # The nested miss is counted by then; what is left is the redistribution alone.
    assert lag.seen_by(lambda: redistribute(lag), meanwhile) == -CACHED
    assert seen == [REFILL - CACHED]
    limits = Limits.of(lag.uvm.param, [[Free(CACHED)], [Alloc()]], conducted=0, anon=False)
    assert limits.gap([0, 1]) == (-CACHED - (REFILL - 1), 2 * REFILL)
    lag.uvm.close()


def test_free_is_below_zero_while_pages_that_were_handed_back_are_taken_again() -> None:
    """P1: pages come back, others take and count them, and only then are they counted as back."""
    lag = Lag(cached=0)
    other: list[VmPage] = []
    rest = lag.uvm.pglistalloc(NPAGES // 2, nsegs=NPAGES)
    assert lag.uvm.uvmexp.free == 0
    for pg in lag.held + rest:
        lag.uvm.cpus[0].pagefree(pg)

    def meanwhile() -> int:
        while (pg := lag.uvm.cpus[1].pagealloc()) is not None:
            other.append(pg)
        return lag.uvm.uvmexp.free

    reserve = lag.uvm.uvmexp.reserve_kernel
    assert lag.seen_by(lambda: redistribute(lag), meanwhile) == -(NPAGES - reserve)
    assert len(other) == NPAGES - reserve
    assert lag.uvm.uvmexp.free == reserve
    lag.uvm.close()


def test_zeropages_lags_by_the_zeroed_pages_in_hand() -> None:
    """R3, R16: zeroed pages that are handed back are counted after uvmexp.free is."""
    lag = Lag()
    zeroed = lag.uvm.cpus[0].pageidlezero()
    assert zeroed > 0

    def standing() -> int:
        return lag.uvm.uvmexp.zeropages - zeroed

    assert lag.seen_by(lambda: redistribute(lag), standing) == -zeroed
    assert lag.uvm.uvmexp.zeropages == zeroed
    lag.uvm.close()
