"""A stress run is starved where its CPUs do fewer than 100 steps a second each: then what is late is no hang."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.stress.test_rests_and_survivals import shared_on
from tests.uvm.machines import ClockMachine


@pytest.mark.parametrize(
    ("steps", "elapsed_s", "rate", "starved"),
    [
        ([200], 2.0, 1.0, False),
        ([199], 2.0, 1.0, True),
        ([200] * 4, 2.0, 1.0, False),
        ([400, 300, 99, 0], 2.0, 1.0, True),  # all together, by the number of CPUs
        ([400, 300, 100, 0], 2.0, 1.0, False),
        ([1999], 2.0, 10.0, True),  # on a machine on which ten times as much happens in a second
        ([2000], 2.0, 10.0, False),
    ],
)
def test_by_what_all_cpus_have_done(steps: list[int], elapsed_s: float, rate: float, starved: bool) -> None:
    machine = ClockMachine(now_s=5.0)
    shared: Any = shared_on(machine, rate=rate)
    shared.players = [SimpleNamespace(done=done) for done in steps]
    machine.now_s = 5.0 + elapsed_s
    assert shared.starved() is starved
    shared.uvm.close()
