"""The watchdog: tells by the host's clock that a strand has gone on for ever without coming to a shared step.

Nothing else can: while a strand runs, no other does, and virtual time stands where the strand has brought it. So an
OS thread looks, and raises HangError inside the strand that hangs.

=> It looks only while a strand other than the main one runs: the main one may do what it likes between two waits.
=> The look is without a lock. What it reads are numbers and references of the running strand; a stale one delays the
   alarm by a look.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Final

from uvmfree.errors import HangError
from uvmfree.machine.virtual.interrupt import Over
from uvmfree.machine.virtual.scheduler import Scheduler

LOOKS: Final = 4
"""Looks without progress before the alarm; each after a fourth of the limit."""


class Hung(HangError):
    """Raised in a strand that comes to no shared step."""

    def __init__(self) -> None:
        super().__init__(
            "a strand of the virtual machine ran on without a lock, a wait or an update: see the traceback"
        )


def watch(scheduler: Scheduler, limit_s: float) -> None:
    """Start a thread that watches until the scheduler has no strand but the main one."""
    arguments = (weakref.ref(scheduler), scheduler.over, limit_s)
    threading.Thread(target=_look, args=arguments, name="watchdog", daemon=True).start()


def _look(find: weakref.ref[Scheduler], over: Over, limit_s: float) -> None:
    seen, times = (-1, -1), 0
    while not over.wait(limit_s / LOOKS):
        scheduler = find()
        if scheduler is None:
            return
        current = scheduler.current
        now = (scheduler.number, current.number)
        times = times + 1 if now == seen and current is not scheduler.main else 0
        seen = now
        if times >= LOOKS:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(current.ident), ctypes.py_object(Hung))
            return
        del scheduler, current
