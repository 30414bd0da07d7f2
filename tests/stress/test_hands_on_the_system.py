"""What a stress run's CPU asks of the system as a whole, a step at a time, and which answers it does not believe."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.stress.asked import NPAGES, System
from uvmfree.errors import ArgumentError, ForeignPage
from uvmfree.stress.shared import StressError


def test_a_cpu_is_idle_until_it_has_looked_as_often_as_was_drawn() -> None:
    system = System()
    system.answers["pageidlezero"] = 5
    assert system.do("idle zero", 0x103) == "5 pages"
    ((_, runnable),) = system.asked
    assert [runnable() for _ in range(5)] == [False, False, False, True, True]


def test_whose_cache_is_handed_back() -> None:
    system = System()
    system.answers["redistribute"] = 6
    said = [(system.do("redistribute", how), system.asked[0][1]) for how in (0, 3, 4, 5)]
    assert said == [("6 pages", 0), ("6 pages", 3), ("6 pages", None), ("6 pages", 0)]


def test_a_wait_is_short_and_a_kick_is_a_kick() -> None:
    system = System()
    system.answers["wait"] = "woken"
    assert (system.do("wait", 9), system.asked) == ("woken", [("wait", 0.001)])
    assert (system.do("kick", 9), system.asked) == (None, [("kick_pdaemon",)])


def test_a_cross_call_goes_to_one_cpu_or_to_all() -> None:
    system = System()
    system.answers |= {"broadcast": "all", "unicast": "one"}
    said = [system.do("xcall", how) for how in (0, 3, 4)]
    assert said == ["to CPU 0", "to CPU 3", "to all"]
    assert system.asked == [("broadcast", "called")]
    assert system.do("xcall", 8) == "to CPU 0"
    assert system.asked == [("unicast", "called", 0)]
    tickets: Any = system.hands.tickets
    assert list(tickets) == ["one", "one", "all", "one"]
    assert system.do("xcall", 0) == "done"
    assert system.asked == [("xc_wait", "one")]
    assert list(tickets) == ["one", "all", "one"]
    system.answers["unicast"] = ArgumentError("gone")
    assert system.do("xcall", 1) == "CPU 1 is detached"
    assert len(system.hands.tickets) == 3


def test_nonsense_has_to_be_refused() -> None:
    system = System()
    with pytest.raises(StressError, match=r"None was freed into a system .*R13"):
        system.do("free nonsense", 0)
    system.answers["pagefree"] = ForeignPage("no")
    assert system.do("free nonsense", 0) == "refused"
    assert [pg is None for _, pg in system.asked] == [True, False]


@pytest.mark.parametrize(
    ("npages", "lag", "cached", "wrong"),
    [
        (NPAGES, NPAGES, (0, 3), False),
        (NPAGES, -NPAGES, (0, 0), False),
        (NPAGES + 1, 0, (0, 0), True),
        (NPAGES, NPAGES + 1, (0, 0), True),
        (NPAGES, -NPAGES - 1, (0, 0), True),
        (NPAGES, 0, (-1, 5), True),
    ],
)
def test_counters_that_cannot_be_are_found(npages: int, lag: int, cached: tuple[int, ...], wrong: bool) -> None:
    system = System()
    system.uvm.uvmexp = SimpleNamespace(
        snapshot=lambda: SimpleNamespace(npages=npages, free=5, cached=sum(cached)),
    )
    system.uvm.redistributions = lambda: {"timer": 1, "pressure": 2}
    system.uvm.counter_lag, system.uvm.cached_pages = lambda: lag, lambda: cached
    if wrong:
        with pytest.raises(StressError, match="counters that cannot be"):
            system.do("look", 0)
    else:
        assert system.do("look", 0) == f"free 5, lag {lag}, drained under pressure 2 times"


def test_colours_are_powers_of_two_up_to_sixteen() -> None:
    system = System()
    assert [system.do("recolour", how) for how in (0, 4, 5)] == ["1 colours", "16 colours", "1 colours"]
    assert system.do("recolour", 3) == "8 colours"
    assert system.asked == [("recolor", 8)]
