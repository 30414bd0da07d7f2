"""The most pages that are live at once, and in runs, in a trace made by hand: how much RAM a replay is given."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line, read
from uvmfree.workload.replay_plan import plan

Step = tuple[str, int, int]
"""An allocation or a free, the first page, and the order."""


def of(tmp_path: Path, *steps: Step) -> tuple[int, int]:
    lines = [line(kind, hex(pfn), us=us, order=order) for us, (kind, pfn, order) in enumerate(steps)]
    made = plan(read(tmp_path, "".join(lines)))
    return made.live_peak, made.run_live_peak


PAGES = [("alloc", 1000 + number, 0) for number in range(5)]


@pytest.mark.parametrize(
    ("steps", "live", "in_runs"),
    [
        (PAGES, 5, 0),
        ([("alloc", 64, 3)], 8, 8),
        # A page is no run, whether it comes or goes.
        ([*PAGES, ("alloc", 64, 1), ("free", 1000, 0), ("free", 1001, 0), ("alloc", 68, 2)], 9, 6),
        # What was freed counts no more: the peak was before, or comes after.
        ([("alloc", 64, 4), ("free", 64, 4), ("alloc", 96, 2), ("alloc", 100, 2)], 16, 16),
        ([("alloc", 64, 2), ("free", 64, 2), ("alloc", 96, 3), ("alloc", 128, 1)], 10, 10),
        # Each peak has its own moment: runs first, single pages later.
        ([("alloc", 64, 2), ("free", 64, 2), *PAGES], 5, 4),
        ([*PAGES, *(("free", pfn, 0) for _, pfn, _ in PAGES), ("alloc", 64, 2)], 5, 4),
        # Two runs that overlap in time, the first one freed when the second has come.
        ([("alloc", 64, 1), ("alloc", 96, 2), ("free", 64, 1), ("alloc", 128, 1), ("free", 96, 2)], 6, 6),
    ],
)
def test_the_peak_of_pages_and_the_peak_of_runs(tmp_path: Path, steps: list[Step], live: int, in_runs: int) -> None:
    assert of(tmp_path, *steps) == (live, in_runs)
