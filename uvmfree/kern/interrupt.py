"""Ctrl-C in a program whose main thread plays a CPU: it strikes when the allocator's call under way ends.

Python raises KeyboardInterrupt between any two bytecodes of the main thread: between taking a lock and the `try` that
gives it back, between a list and its count. While a CPU is played, SIGINT has a handler that looks at the interrupted
stack. If that is inside the allocator, the interrupt is raised by the next bytecode of the function that called it.

=> For the main thread only, and only where SIGINT has Python's own handler: who installed another one keeps it.
=> Raised at once where the thread sleeps for others, while a debugger traces it, and by a second Ctrl-C after HELD_S.
=> A call that is not interrupted pays nothing: it takes no lock, sets no flag, leaves no mark.

Prior art: trio's _core/_ki.py, whose handler looks for a mark in the frames of the interrupted stack; asyncio.Runner,
which puts a handler of its own in the place of Python's; pdb, which has a frame of a running stack traced.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any, Final

HELD_S: Final = 1.0
"""How long a second Ctrl-C waits with the first: a call that takes longer waits for something that may never come."""

INSIDE: Final = ("uvmfree.uvm.", "uvmfree.kern.", "uvmfree.machine.")
"""Modules whose functions may hold a lock, or have changed one of two things that belong together."""

BELOW: Final = ("contextlib.", "functools.", "weakref.", "atomics.")
"""Modules in Python that those call: whether the allocator is at work is told by who called them."""


class _Keeper:
    """The handler of SIGINT while a CPU is played; only the main thread runs it.

    => `_since_s`: when the interrupt came that is held back, or None.
    """

    def __init__(self, sleeps: tuple[CodeType, ...]) -> None:
        self._sleeps = sleeps
        self._since_s: float | None = None

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Be the handler: raise KeyboardInterrupt, or see to it that the caller of the allocator does."""
        caller, now_s = self._caller(frame), time.monotonic()
        if self._since_s is not None:  # it is held back already
            if now_s - self._since_s < HELD_S:
                return
        elif caller is not None and caller is not frame and sys.gettrace() is None:
            self._since_s = now_s
            # In this order: Python 3.12 looks for traced bytecodes when tracing begins.
            caller.f_trace, caller.f_trace_opcodes = self._strike, True
            sys.settrace(_trace_no_other)
            return
        self._since_s = None
        raise KeyboardInterrupt

    def _strike(self, frame: FrameType, event: str, arg: Any) -> None:
        """Be what traces the allocator's caller, for as long as it takes to raise."""
        sys.settrace(None)
        frame.f_trace, frame.f_trace_opcodes = None, False
        if self._since_s is not None:
            self._since_s = None
            raise KeyboardInterrupt

    def _caller(self, frame: FrameType | None) -> FrameType | None:
        """Return the function that called the allocator, or the interrupted one if that is outside, or asleep."""
        inside, at = False, frame
        while at is not None and at.f_code not in self._sleeps:
            module = f"{at.f_globals.get('__name__', '')}."
            if module.startswith(INSIDE):
                inside = True
            elif not module.startswith(BELOW):
                return at if inside else frame
            at = at.f_back
        return frame


def _trace_no_other(frame: FrameType, event: str, arg: Any) -> None:
    """Be what a function that is called now is traced by: nothing."""


@contextmanager
def interrupts_held_back(sleeps: tuple[CodeType, ...]) -> Iterator[None]:
    """Keep KeyboardInterrupt out of the allocator while the body runs.

    => `sleeps`: the code of functions in which a thread sleeps for others; an interrupt ends the wait.
    """
    handler = _Keeper(sleeps).handle
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # not the main thread: no interrupt strikes it
            signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)
