"""Whoever disturbed the CPUs waits until each has gone on, and looks less and less often whether it has."""

from types import SimpleNamespace
from typing import Any

from uvmfree.stress.shared import NAP_S, STEP_S, Shared


class Disturbed:
    """Two CPUs: each does its next step when it was looked at so often. `naps`: how long each sleep was to be."""

    def __init__(self, looks: tuple[int, int], over_after: int = 1000) -> None:
        self.players = [SimpleNamespace(done=5), SimpleNamespace(done=5)]
        self.naps: list[float] = []
        self._looks, self._over_after = list(looks), over_after

    def nap(self, seconds: float) -> bool:
        self.naps.append(seconds)
        for at, player in enumerate(self.players):
            self._looks[at] -= 1
            player.done += self._looks[at] == 0
        return len(self.naps) > self._over_after


def all_go_on(run: Disturbed) -> bool:
    shared: Any = run
    return Shared.all_go_on(shared)


def test_who_waits_for_a_step_sleeps_twice_as_long_each_time_but_not_longer_than_a_nap() -> None:
    run = Disturbed((8, 8))
    assert all_go_on(run)
    assert run.naps == [min(STEP_S * 2**at, NAP_S) for at in range(8)]
    assert run.naps[-1] == NAP_S


def test_for_each_cpu_it_begins_with_short_ones_again() -> None:
    run = Disturbed((3, 5))
    assert all_go_on(run)
    assert run.naps == [STEP_S, 2 * STEP_S, 4 * STEP_S, STEP_S, 2 * STEP_S]


def test_a_run_that_is_over_is_not_waited_for() -> None:
    run = Disturbed((99, 99), over_after=2)
    assert not all_go_on(run)
    assert len(run.naps) == 3
