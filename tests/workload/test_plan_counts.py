"""What a plan counts of a trace: operations, and the pages of each, also of those that a loop adds at its end."""

from pathlib import Path

import pytest

from tests.workload.recorder import trace_of
from uvmfree.workload.replay_plan import plan


@pytest.mark.parametrize(("loop", "frees", "page_operations"), [(False, 1, 21), (True, 3, 26)])
def test_each_page_of_a_run_is_an_operation_on_a_page(
    tmp_path: Path, loop: bool, frees: int, page_operations: int
) -> None:
    """One run is freed in the trace. What is live at its end a loop frees there, another run among it."""
    events = [
        ("alloc", 8, 0, {"order": 3}),
        ("free", 8, 0, {"order": 3}),
        ("alloc", 64, 0, {"order": 2}),
        ("alloc", 1, 1, {}),
    ]
    made = plan(trace_of(tmp_path, events), loop=loop)
    assert (made.allocs, made.frees, made.page_operations) == (3, frees, page_operations)
    assert made.run_pages == (8, 4)
    assert (made.live_peak, made.run_live_peak) == (8, 8)
