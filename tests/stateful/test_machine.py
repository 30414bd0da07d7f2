"""Each design and each variant beside its model: any calls, one at a time, on any of four CPUs."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.machine import VARIANTS, machine_for


@pytest.mark.parametrize("name", VARIANTS)
def test_any_calls_give_what_the_model_gives(name: str) -> None:
    run_state_machine_as_test(machine_for(VARIANTS[name]), settings=settings(max_examples=30, stateful_step_count=40))
