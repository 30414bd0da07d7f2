"""Of a deep stack the report of a hang has the innermost frames: where a thread is, and not how it began."""

from uvmfree.machine.face import Stack
from uvmfree.stress.watchdog import FRAMES_MAX, stack_lines


def test_the_innermost_frames_are_shown() -> None:
    frames = tuple(f'File "x.py", line {number}\n    call()\n' for number in range(FRAMES_MAX + 3))
    lines = list(stack_lines((Stack(7, "cpu/1", frames), Stack(8, "cpu/0", frames[:1]))))
    assert lines[:3] == ["thread cpu/0 (8):", '  File "x.py", line 0', "      call()"]
    assert lines[3] == "thread cpu/1 (7):"
    shown = [int(line.rpartition(" ")[2]) for line in lines[4:] if "line" in line]
    assert shown == list(range(3, FRAMES_MAX + 3))
