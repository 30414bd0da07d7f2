"""Keys as they are pressed, without Enter and without an echo; afterwards the terminal is as it was."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from typing import Final

LOOK_S: Final = 0.1
"""How often who waits for a key looks whether to stop: a signal that is only noted wakes nobody."""


@contextlib.contextmanager
def pressed(stop: Callable[[], bool]) -> Iterator[Callable[[float | None], str]]:
    """Yield what waits for a key: at most so many seconds, or for ever; "" if none came, or `stop()` became true.

    => Where stdin is no terminal it waits for the time alone; for ever is then no time.
    """
    if not sys.stdin.isatty():
        yield lambda seconds: _waited(None, seconds or 0.0, stop)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda seconds: _waited(descriptor, seconds, stop)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _waited(descriptor: int | None, seconds: float | None, stop: Callable[[], bool]) -> str:
    until = None if seconds is None else time.monotonic() + seconds
    while not stop():
        left = LOOK_S if until is None else min(LOOK_S, until - time.monotonic())
        if left <= 0:
            break
        ready, _, _ = select.select([] if descriptor is None else [descriptor], [], [], left)
        if ready and descriptor is not None:
            key = os.read(descriptor, 1)
            return key.decode("ascii", "replace") or "q"  # a terminal that is gone has no more keys
    return ""
