"""Ctrl-C while the main strand waits: it reaches the main strand, and not whoever runs.

=> Only where SIGINT raises KeyboardInterrupt, and in Python's main thread: another handler knows what it does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Over(threading.Event):
    """Set as long as a machine has no strand but the main one."""

    def __init__(self) -> None:
        super().__init__()
        self.set()


class Interruptible(Protocol):
    """A scheduler."""

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the main strand at the next shared step."""


@contextmanager
def interruptible(scheduler: Interruptible) -> Iterator[None]:
    """Let Ctrl-C interrupt the scheduler; a second one is raised at once, in a strand that makes no shared step."""
    handler: Callable[..., Any] = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) != handler:
        yield
        return

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, handler)
        scheduler.interrupt()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
