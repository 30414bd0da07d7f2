"""What differs between two records is told whichever of them has it, also what the other knows nothing of."""

from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import record
from uvmfree.analyse.compare import differences

OWN: dict[str, Any] = {"own": (("elsewhere.depth", 3),)}


@pytest.mark.parametrize("swapped", [False, True])
def test_a_tunable_of_a_design_from_elsewhere(swapped: bool) -> None:
    without = record(designs=("percpu",), repetitions=1, rows=0)
    records = [without, replace(without, param=replace(without.param, **OWN))]
    (said,) = differences(*(records[::-1] if swapped else records))
    assert said == (
        "elsewhere.depth: 3 before, its default after" if swapped else "elsewhere.depth: its default before, 3 after"
    )
