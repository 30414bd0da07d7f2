"""A replay that takes an eighth of the recorded time, paced, has its caches handed back eight times as often."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.bench.scripted import Scripts
from uvmfree.param import Param


class BootedError(Exception):
    """Stops a run where it boots."""


@pytest.mark.parametrize(("refill", "share"), [(1, 1 / 8), (32, 1 / 4)])
def test_the_interval_is_shortened_as_the_replay_is(script: Scripts, refill: int, share: float) -> None:
    asked: list[dict[str, Any]] = []

    def boot(**tunables: Any) -> None:
        asked.append(tunables)
        raise BootedError

    contention = script("contention").has(plan=lambda trace: SimpleNamespace(programs=[None] * 3), boot=boot).module
    counts = SimpleNamespace(duration_s=4.0, linux_moved_per_op=None)
    bout = contention.Bout("cc-j4", SimpleNamespace(counts=counts))
    bout.wall_s = {1: 0.5, 32: 1.0}
    for config in contention.CONFIGS:
        if config.design == "percpu" and config.refill == refill:
            with pytest.raises(BootedError):
                bout.run(config)
    usual_s = Param().redistribute_interval_s
    assert [tunables["redistribute_interval_s"] for tunables in asked] == [usual_s, usual_s * share]
    assert [tunables["own"] for tunables in asked] == [(("percpu.refill", refill),)] * 2
    assert {tunables["ncpus"] for tunables in asked} == {3}
