"""A Ctrl-C soon after one that was held back and raised is a first one again: held back and raised like that one.

=> And one that finds nothing to be held back for is raised where it comes.
"""

import contextlib
import signal
import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from tests.kern.test_interrupt import allocator
from uvmfree.kern import interrupt
from uvmfree.kern.interrupt import HELD_S, interrupts_held_back


@pytest.mark.parametrize("later_s", [0.0, HELD_S / 2, 2 * HELD_S])
def test_each_is_raised_when_the_call_under_way_has_ended(monkeypatch: pytest.MonkeyPatch, later_s: float) -> None:
    now_s, ended = 1000.0, []
    monkeypatch.setattr(interrupt, "time", SimpleNamespace(monotonic=lambda: now_s))

    def strike(frame: FrameType) -> None:
        handler(signal.SIGINT, frame)
        ended.append(now_s)

    def play() -> None:
        allocator()([strike])
        pytest.fail("it was never raised")

    with interrupts_held_back(()):
        handler: Any = signal.getsignal(signal.SIGINT)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                play()
            now_s += later_s
    assert ended == [1000.0, 1000.0 + later_s]
    assert sys.gettrace() is None


def test_outside_of_the_allocator_it_is_raised_at_once() -> None:
    """Also in what the program calls and the allocator would, too: nothing of the allocator is on the stack there."""
    below: dict[str, Any] = {"__name__": contextlib.__name__, "frame_of": sys._getframe}
    exec("def called(strike): strike(frame_of())", below)
    ended = []

    def strike(frame: FrameType) -> None:
        handler(signal.SIGINT, frame)
        ended.append(frame)

    def play(interrupted: Callable[[], object]) -> None:
        with pytest.raises(KeyboardInterrupt):
            interrupted()

    with interrupts_held_back(()):
        handler: Any = signal.getsignal(signal.SIGINT)
        play(lambda: strike(sys._getframe()))
        play(lambda: below["called"](strike))
    assert ended == []
    assert sys.gettrace() is None


def test_while_a_debugger_traces_it_is_raised_at_once() -> None:
    ended, tracing = [], sys.gettrace()

    def strike(frame: FrameType) -> None:
        sys.settrace(lambda *event: None)
        try:
            handler(signal.SIGINT, frame)
        finally:
            sys.settrace(tracing)
        ended.append(frame)

    with interrupts_held_back(()):
        handler: Any = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            allocator()([strike])
    assert ended == []


def test_a_second_one_is_held_back_for_a_second() -> None:
    assert HELD_S == 1.0
