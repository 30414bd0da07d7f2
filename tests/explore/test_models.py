"""Every model under programs that hypothesis writes and schedules that the explorer chooses.

=> `pytest -m explore`: at least FULL schedules of each model, and every schedule with two preemptions of its smallest
   program. A plain run explores QUICK of them. A failure names the line that runs it again.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explore.explorer import explore_program
from tests.explore.models import MODELS, explore_model
from tests.explore.scene import Model, Program, parsed

pytestmark = pytest.mark.explore

EXAMPLES = 10
"""Programs that hypothesis writes for a model."""

EXHAUST_MAX = 20_000


def programs(model: Model) -> st.SearchStrategy[Program]:
    def part(ops: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
        return st.lists(st.sampled_from(ops), min_size=1, max_size=model.ops_max).map(tuple) if ops else st.just(())

    return st.tuples(*map(part, model.parts))


@pytest.mark.sampled(9)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MODELS)
def test_nothing_goes_wrong_on_any_schedule(name: str, budget: int) -> None:
    """R3, R13, R18, R22, R28, R30, R31, P8 to P10, Q13: what each scene checks."""
    own = explore_model(name, budget // 2, seed=1)
    assert own.failure is None, own.failure
    schedules = own.schedules

    @settings(max_examples=EXAMPLES)
    @given(program=programs(MODELS[name]))
    def explored(program: Program) -> None:
        nonlocal schedules
        outcome = explore_program(MODELS[name], program, -(-budget // 2 // EXAMPLES), seed=2)
        schedules += outcome.schedules
        assert outcome.failure is None, outcome.failure

    explored()
    assert schedules >= budget


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "text"), [(name, text) for name in MODELS for text in MODELS[name].exhaust])
def test_every_schedule_with_two_preemptions(name: str, text: str, thorough: bool) -> None:
    """As above, for small programs, with switches at the operations on locks and shared counters."""
    if not thorough:
        pytest.skip("takes some seconds; `pytest -m explore` does it")
    model = MODELS[name]
    outcome = explore_program(model, parsed(model, text), EXHAUST_MAX, 1, "dfs", grain="locks")
    assert outcome.failure is None, outcome.failure
    assert outcome.exhausted, f"{outcome.schedules} schedules were not all"
