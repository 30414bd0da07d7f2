"""Audits under way of a stress run: one each 250 ms, and a tenth of the time at most, since each stops everything."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from tests.uvm.machines import ClockMachine
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.param import Param
from uvmfree.stress.engine import Plan, Stress


class Sleeper(ClockMachine):
    """Its time passes while somebody sleeps, and only then."""

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(("takes_s", "apart_s"), [(0.0, 0.25), (0.02, 0.25), (0.1, 1.0), (0.3, 3.0)])
def test_audits_take_a_tenth_of_the_time_at_most(takes_s: float, apart_s: float) -> None:
    """The map is looked at as often as the system; both count."""
    machine, began_s, maps = Sleeper(), [], []
    plan = Plan(param=Param(npages=64, ncpus=1), seed=1, seconds=1)
    stress: Any = Stress(plan, machine, LockWatch(machine.raw_lock, machine.me))

    def audit() -> None:
        began_s.append(machine.now_s)
        machine.sleep(takes_s / 2)

    def audit_map() -> None:
        maps.append(machine.now_s)
        machine.sleep(takes_s / 2)

    stress.uvm.audit = audit
    for anons in stress.shared.anons:
        anons.audit = audit_map
    stress._conduct([SimpleNamespace(join=lambda timeout_s: False)], machine.clock_ns() + 10_000_000_000)
    stress.uvm.close()
    assert len(maps) == len(began_s) > 2
    gaps_s = [then - now for now, then in pairwise(began_s)]
    assert gaps_s == pytest.approx([apart_s] * len(gaps_s), abs=0.021)  # it looks each 20 ms
