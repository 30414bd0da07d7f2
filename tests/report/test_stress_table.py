"""The summary of stress runs as it is printed: each figure in its row, a column for each design."""

import re

from uvmfree.measure.observer import Seen
from uvmfree.measure.stress_run import StressRun
from uvmfree.report.stress_table import never_came, stress_table


def ran(design: str, **more: float) -> StressRun:
    seen = Seen()
    seen.gap_pages_max, seen.lag_pages_max, seen.stranded_pages_max, seen.cached_pages_max = 11, 12, 13, 14
    return StressRun(
        design,
        wall_s=2.0,
        operations={"alloc": 3000, "free": 1000},
        failed={"allocations": 5, "accesses and runs": 6, "detached": 7},
        faults={"storm": {"injected": 9, "survived": 8, "kicks": 1234}},
        seen=seen,
        digest="beef",
        host_s=more.get("host_s", 8.0),
        errors=("one", "two") if more.get("wrong") else (),
    )


def rows(*runs: StressRun, **how: bool) -> dict[str, list[str]]:
    lines = list(stress_table(runs, 120, virtual=how.get("virtual", False), rates=how.get("rates", True)))
    found = [re.split(r"\s{2,}", line.strip()) for line in lines[2:]]
    return {label: cells for label, *cells in found}


def test_each_row_has_its_figure() -> None:
    hung = ran("depot", wrong=True)
    hung.seen = None
    assert rows(ran("percpu"), hung) == {
        "seconds": ["2.0", "2.0"],
        "operations": ["4,000", "4,000"],
        "... per second": ["2,000", "2,000"],
        "alloc": ["3,000", "3,000"],
        "free": ["1,000", "1,000"],
        "without a page: allocations": ["5", "5"],
        "... accesses and runs": ["6", "6"],
        "faults: injected, survived": [],
        "storm": ["9, 8", "9, 8"],
        "kicks": ["1,234", "1,234"],
        "maxima, pages": [],
        "uvmexp.free off all free": ["11", "-"],
        "uvmexp.free off the list": ["12", "-"],
        "parked out of a CPU's reach": ["13", "-"],
        "in all caches": ["14", "-"],
        "errors": ["0", "2"],
    }


def test_virtual_time_is_told_by_the_host_and_has_a_digest() -> None:
    found = rows(ran("percpu"), ran("depot", host_s=0.0), virtual=True, rates=False)
    assert found["virtual seconds"] == ["2.000", "2.000"]
    assert found["... per second of the host"] == ["0.250", "-"]
    assert found["digest of the run"] == ["beef", "beef"]
    assert "... per second" not in found


def test_a_fault_that_never_came_is_told_for_the_design_that_it_missed() -> None:
    """Who asked for it would take a run without errors for one that survived it."""
    struck, missed, unwritten = ran("percpu"), ran("depot"), ran("fpageqlock")
    missed.faults = {
        "storm": {"injected": 0, "survived": 0, "kicks": 0},
        "hotplug": {"injected": 0, "survived": 0},
        "xcall": {"injected": 1, "survived": 1},
    }
    unwritten.faults = {"swapwrite": {"injected": 2, "survived": 2, "writes": 0}}
    assert list(never_came([struck, missed, unwritten])) == [
        "depot: storm, hotplug never came in this run, which shows nothing about them.",
        "fpageqlock: swapwrite never came in this run, which shows nothing about them.",
    ]
    assert list(never_came([struck])) == []
