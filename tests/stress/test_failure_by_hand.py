"""What the report of a failed stress run says, and where: of runs that are made up."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from uvmfree.errors import AuditError
from uvmfree.machine.face import Stack
from uvmfree.stress.failure import tail, whole
from uvmfree.stress.program import listing, program
from uvmfree.stress.watchdog import FRAMES_MAX, stack_lines

NOW_NS = 5_000_000_000
STEPS = list(itertools.islice(program(7, 0), 7))
SAID = listing(7, 0, 7)


def player(index: int, done: int) -> Any:
    """A CPU whose last operations were a millisecond and a half apart, the last one two before the end."""
    last = [
        [done - 7 + at, NOW_NS - 2_000_000 - 1_500_000 * (6 - at), step, f"outcome {at}"]
        for at, step in enumerate(STEPS)
    ]
    return SimpleNamespace(index=index, done=done, last=lambda: last)


def failed() -> Any:
    broken = [("CPU 1", ValueError("odd")), ("the last audit", AuditError(["one page", "another"]))]
    events = [(NOW_NS - 250_000_000, "CPU 2 detached")]
    return SimpleNamespace(
        shared=SimpleNamespace(failures=lambda: broken),
        phase="running",
        players=[player(0, 70), player(1, 90)],
        faults=[SimpleNamespace(name="hotplug", injected=9, survived=8, events=events)],
    )


def test_the_terminal_gets_the_last_five_operations_of_each_cpu() -> None:
    times = ["-8.000", "-6.500", "-5.000", "-3.500", "-2.000"]
    assert list(tail(failed(), NOW_NS)) == [
        line
        for index, done in ((0, 70), (1, 90))
        for line in (
            f"CPU {index}, {done} operations; the last:",
            *(
                f"{time:>12} ms  {done - 5 + at:>9}  {SAID[2 + at]} -> outcome {2 + at}"
                for at, time in enumerate(times)
            ),
        )
    ]


def test_the_file_has_causes_hang_tracebacks_operations_and_injections() -> None:
    lines = list(whole(failed(), "uvmfree stress", NOW_NS, ["no progress", "a stack"]))
    assert lines[:5] == [
        "again: uvmfree stress",
        "in the phase: running",
        "CPU 1: ValueError: odd",
        "the last audit: audit: one page",
        "the last audit: audit: another",
    ]
    assert lines[5:10] == ["no progress", "a stack", "", "CPU 1:", "ValueError: odd"]
    first = next(at for at, line in enumerate(lines) if line.startswith("CPU 0: 70 operations; the last, each"))
    assert lines[first + 1] == f"{'-11.000':>12} ms  {63:>9}  {SAID[0]} -> outcome 0"
    assert lines[first + 8] == ""
    assert lines[-2:] == [
        "fault hotplug: 9 times, 8 survived; the last",
        f"{'-250.000':>12} ms  CPU 2 detached",
    ]


def test_of_a_deep_stack_the_innermost_frames_are_shown_and_threads_stand_by_name() -> None:
    deep = Stack(1, "cpu/1", tuple(f"  frame {at}\n    code {at}\n" for at in range(FRAMES_MAX + 5)))
    lines = list(stack_lines([deep, Stack(2, "cpu/0", ("only\n",))]))
    assert lines[:3] == ["thread cpu/0 (2):", "  only", "thread cpu/1 (1):"]
    assert lines[3:5] == ["    frame 5", "      code 5"]
    assert lines[-1] == f"      code {FRAMES_MAX + 4}"
    assert len(lines) == 3 + 2 * FRAMES_MAX
