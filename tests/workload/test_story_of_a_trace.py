"""The acts of a trace that is explained: its events of one page, so many as were asked for, runs passed over."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line
from uvmfree.workload.story import of_trace
from uvmfree.workload.trace import read_trace


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9])
def test_runs_are_no_steps(tmp_path: Path, steps: int) -> None:
    file = tmp_path / "trace.perf"
    file.write_text(
        line("alloc", "0x20", us=0, order=2)
        + line("alloc", "0x1", cpu=1, us=1)
        + line("free", "0x20", us=2, order=2)
        + line("alloc", "0x2", cpu=5, us=3)
        + line("free", "0x1", cpu=5, us=4)
        + line("alloc", "0x40", us=5, order=1)
        + line("alloc", "0x3", us=6)
    )
    acts = [(act.kind, *act.cpus, act.pages, act.label) for act in of_trace(read_trace(file), 2, steps)]
    # CPUs 0, 1 and 5 are 0, 1 and 2, of which two play; the allocations' numbers are those of the trace.
    all_of_them = [("alloc", 1, 1, "1"), ("alloc", 0, 1, "2"), ("free", 0, 1, "1"), ("alloc", 0, 1, "4")]
    assert acts == all_of_them[:steps]
