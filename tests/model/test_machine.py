"""Each design and each variant beside its model: any calls, one at a time, on any of four CPUs.

=> For longer: pytest --hypothesis-profile=search --timeout=0 tests/model
"""

import zlib

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import VARIANTS, machine_for
from tests.model.turns import TurnsMachine
from tests.model.virtual import VirtualTurns

SHRINK_S = 400
"""Hypothesis gives up shrinking a failure after five minutes; a run that finds none takes a few seconds."""


EXAMPLES_MIN = 20
"""The 18th is the latest that has caught a seeded bug (docs/mutants.md)."""

ON_VIRTUAL = 2
"""On the virtual machine, half of the examples."""

PLAIN = ("fpageqlock", "percpu")
"""What every run has; of the others those that are drawn."""

DRAWN = pytest.mark.sampled(4, batons=2)

RUNS = [
    *(pytest.param(name, TurnsMachine, 1, id=name, marks=() if name in PLAIN else DRAWN) for name in VARIANTS),
    *(pytest.param(name, VirtualTurns, ON_VIRTUAL, id=f"{name}, virtual", marks=DRAWN) for name in VARIANTS),
]


@pytest.mark.timeout(SHRINK_S)
@pytest.mark.parametrize(("name", "turns", "part"), RUNS)
def test_any_calls_give_what_the_model_gives(name: str, turns: type[TurnsMachine | VirtualTurns], part: int) -> None:
    """P1, P3 to P10; R1 to R22, R24 to R31; Q13.

    => Not here: R20 with something to scan (tests/anon), R23, R29 with time to wait (tests/mechanism).
    """
    machine = machine_for(VARIANTS[name], turns)
    if settings.default.derandomize:
        seed(zlib.crc32(name.encode()))(machine)  # else all variants would be given the same steps
    examples = max(EXAMPLES_MIN, settings.default.max_examples // 4) // part
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40, report_multiple_bugs=False)
    )
