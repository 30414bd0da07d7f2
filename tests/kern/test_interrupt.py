"""A second Ctrl-C while the first is held back: ignored for a second, raised at once after that."""

import signal
import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from uvmfree.kern import interrupt
from uvmfree.kern.interrupt import HELD_S, interrupts_held_back

INSIDE = """
def inside(strikes):
    for strike in strikes:
        strike(_getframe())
"""


def allocator() -> Callable[[Any], None]:
    """Return a function that stands in a module of the allocator, and is interrupted so often."""
    names: dict[str, Any] = {"__name__": "uvmfree.uvm.made_up", "_getframe": sys._getframe}
    exec(INSIDE, names)
    inside: Callable[[Any], None] = names["inside"]
    return inside


@pytest.mark.parametrize(
    ("times_s", "seen"),
    [
        ([0.0, 0.4, HELD_S - 0.1], 3),  # raised when the call has ended
        ([0.0, 0.4, HELD_S + 0.1, 9.0], 3),  # raised inside, by the third
    ],
)
def test_more_of_them(monkeypatch: pytest.MonkeyPatch, times_s: list[float], seen: int) -> None:
    clock = iter(times_s)
    monkeypatch.setattr(interrupt, "time", SimpleNamespace(monotonic=lambda: 1000.0 + next(clock)))
    struck: list[int] = []

    def strike(frame: FrameType) -> None:
        struck.append(1)
        handler(signal.SIGINT, frame)

    def play() -> None:
        allocator()([strike] * len(times_s))
        pytest.fail("it was never raised")

    with interrupts_held_back(()):
        handler: Any = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            play()
    assert len(struck) == seen
    assert sys.gettrace() is None
