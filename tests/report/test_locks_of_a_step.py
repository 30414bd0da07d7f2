"""The locks of a step in words: one by one as far as a line has room, then counted; and those of the system."""

from collections import Counter

import pytest

from uvmfree.measure.explain import Step, Taken
from uvmfree.report.steps import locks
from uvmfree.workload.story import Act


def taken(thread: str, lock: str, depth: int = 0, kind: str = "shared") -> Taken:
    return Taken(thread, lock, kind, None, "uvm_pagealloc", depth, 1234, 0)


def said(*holds: Taken) -> list[str]:
    counts: tuple[Counter[object], ...] = (Counter(), Counter(), Counter())
    step = Step(1, Act("", "alloc", (0,)), 1, 0, 1, 0, 0, *counts, True, False, holds, (), 0)  # type: ignore[arg-type]
    return list(locks(step))


@pytest.mark.parametrize("number", [1, 2, 8, 9, 10])
def test_eight_are_told_and_nine_are_counted(number: int) -> None:
    told = ", ".join(["big 1,234 ns"] * number) if number <= 8 else f"big {number} times"
    assert said(*[taken("CPU 0", "big")] * number) == [f"CPU 0: {told}"]


def test_what_is_taken_with_another_held_stands_behind_it() -> None:
    assert said(taken("CPU 0", "own"), taken("CPU 0", "big", 1), taken("CPU 0", "own")) == [
        "CPU 0: own 1,234 ns > big 1,234 ns, own 1,234 ns"
    ]


def test_what_is_taken_one_after_the_other_with_one_held_is_not_taken_with_each_other() -> None:
    holds = taken("CPU 0", "own"), taken("CPU 0", "big", 1), taken("CPU 0", "other", 1), taken("CPU 0", "last", 2)
    assert said(*holds) == ["CPU 0: own 1,234 ns > (big 1,234 ns, other 1,234 ns > last 1,234 ns)"]


def test_threads_of_the_system_come_last_in_one_line_with_the_designs_locks_alone() -> None:
    holds = (
        taken("xc/1", "big"),
        taken("CPU 1", "xcall", kind="other"),
        taken("pagedaemon", "uvm_pageout_lock", kind="other"),
        taken("CPU 0", "big"),
        taken("pagedaemon", "big"),
    )
    assert said(*holds) == [
        "CPU 0: big 1,234 ns",
        "CPU 1: xcall 1,234 ns",
        "pagedaemon: big 1,234 ns; xc/1: big 1,234 ns",
    ]
