"""Signals while the main strand waits: what their handlers raise reaches the main strand, and not whoever runs.

=> Where strands are threads, handlers run in the main strand's: an error there would end its wait for the baton, and
   two strands would run at once.
=> Where they are greenlets, one more signal is an error at once, in whichever strand runs: for one that makes no
   shared step. Where they are threads the watchdog ends such a strand.
=> Only in Python's main thread, where handlers run.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Over(threading.Event):
    """Set as long as a machine has no strand but the main one."""

    def __init__(self) -> None:
        super().__init__()
        self.set()


class Interruptible(Protocol):
    """A scheduler; `one_thread`: whether all its strands are in one OS thread."""

    one_thread: bool

    def interrupt(self, error: BaseException) -> None:
        """Raise the error in the main strand at the next shared step."""


@contextmanager
def interruptible(scheduler: Interruptible) -> Iterator[None]:
    """Have what the handlers of SIGNALS raise go to the scheduler."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    if threading.current_thread() is not threading.main_thread():
        handlers.clear()
    struck = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal struck
        handler = handlers[signal.Signals(number)]
        assert callable(handler)
        try:
            handler(number, frame)
        except KeyboardInterrupt as error:
            if struck and scheduler.one_thread:
                raise
            struck = True
            scheduler.interrupt(error)

    taken = [number for number, handler in handlers.items() if callable(handler)]
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, handlers[number])
