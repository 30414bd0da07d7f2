"""Everything at once: a short stress run of every design with every set of options, on checked locks.

=> What the threads do, and what is checked of it, is in stress/engine.py: stamps in every page, audits under way,
   everything given back at the end. Here the systems are as small as they can be, so that what seldom happens does.
=> A failure's message has the seed: it repeats what each thread does, though not who comes first.
"""

import random
from typing import Any

import pytest

from tests.kern.tasks import WAIT_S
from tests.mechanism.rig import SMALL, VARIANTS
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.param import Param
from uvmfree.stress.engine import Plan, Stress

STEPS = 300
FAULTS = ("xcall", "storm", "hotplug")

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    *VARIANTS.items(),
    ("fpageqlock, idle", {"design": "fpageqlock", "idlezero": True}),
    ("percpu, idle", {"design": "percpu", "idlezero": True}),
    ("percpu, idle, bounded", {"design": "percpu", "idlezero": True, "hoard_max": 6, "refill": 3}),
    ("percpu, all", {
        "design": "percpu", "idlezero": True, "hoard_max": 16, "refill": 8, "search": "colour", "drain_retry": True,
        "remote_drain": True,
    }),
]  # fmt: skip


def torture_once(variant: dict[str, Any], seed: int) -> None:
    ncpus = 3 + seed % 2
    often = {"redistribute_interval_s": 0.002, "redistribute_min_gap_s": 0.001, "idle_interval_s": 0.001}
    pagesize = random.Random(seed).choice((512, 1 << 14))
    sizes = {"ncpus": ncpus, "npages": 40 * ncpus, "nfreelists": 2, "pagesize": pagesize}
    param = Param.of(SMALL | sizes | often | variant | {"lockdebug": True})
    machine = ThreadsMachine(lockdebug=True, lockwatch=True)
    assert machine.lockwatch is not None
    plan = Plan(param=param, seed=seed, seconds=2 * WAIT_S, faults=FAULTS, steps=STEPS)
    run = Stress(plan, machine, machine.lockwatch)
    run.run()
    for _, error in run.shared.failures():
        raise error
    assert run.phase == "over"
    assert run.steps() == STEPS * ncpus


@pytest.mark.sampled(6)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", [name for name, _ in OPTIONS])
def test_nothing_is_lost_whatever_happens_at_once(name: str, seed: int) -> None:
    """R3, R12, R13, R16, R18, R28, P8 and Q13 with all threads at work."""
    try:
        torture_once(dict(OPTIONS)[name], seed)
    except BaseException as error:
        error.add_note(f"torture_once(dict(OPTIONS)[{name!r}], seed={seed})")
        raise
