"""Idle threads: one per CPU, zeroing free pages while nobody plays the CPU, and yielding at once to whoever does.

A CPU is idle here if no thread is bound to it, or the one that is sleeps for pages. The idle thread looks every
`idle_interval_s`, as the idle loop of a kernel would look at each wakeup, and zeroes until something is runnable.

Source: the idle loop in sys/kern/kern_idle.c of NetBSD 9, which calls uvm_pageidlezero.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from uvmfree.errors import BindError
from uvmfree.kern.lock import RawLock
from uvmfree.machine.face import Machine, Task
from uvmfree.uvm.cpu import Cpu


class IdleThreads:
    """The idle threads of a system.

    => `busy(i)` tells whether something is runnable on CPU i; asked without a lock, a stale answer costs one piece of
       a page. `cpu_of(i)` is who plays CPU i now.
    """

    def __init__(
        self,
        machine: Machine,
        ncpus: int,
        cpu_of: Callable[[int], Cpu],
        busy: Callable[[int], bool],
        interval_s: float,
    ) -> None:
        self._machine = machine
        self._cpu_of = cpu_of
        self._busy = busy
        self._interval_s = interval_s
        # Held until the end; an idle thread sleeps by trying to take it for an interval. One for each thread.
        self._over: list[RawLock] = [machine.raw_lock() for _ in range(ncpus)]
        for over in self._over:
            over.acquire()
        self._tasks: Sequence[Task] = ()

    def start(self) -> None:
        """Start the threads."""
        self._tasks = [
            self._machine.spawn(f"idle/{index}", lambda index=index: self._idle(index), index)  # type: ignore[misc]
            for index in range(len(self._over))
        ]

    def close(self, timeout_s: float) -> list[Task]:
        """End the threads; return those that did not end in time, or died."""
        for over, _ in zip(self._over, self._tasks, strict=False):
            over.release()
        ended = [(task, task.join(timeout_s)) for task in self._tasks]
        self._tasks = ()
        return [task for task, joined in ended if not joined or task.error is not None]

    def _idle(self, index: int) -> None:
        over, runnable = self._over[index], partial(self._busy, index)
        while not over.acquire(True, self._interval_s):
            # A CPU that was just taken over is busy; one that was detached is none of ours.
            with suppress(BindError):
                if not runnable():
                    self._cpu_of(index).pageidlezero(runnable)
