"""A Ctrl-C soon after one that was held back and raised is a first one again: held back and raised like that one."""

import signal
import sys
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
