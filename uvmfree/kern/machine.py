"""The Machine: all that the allocator may ask of the world.

The allocator never imports `threading`. What it needs of locks, threads and time it gets from a Machine, so
that the same code runs on real threads (`kern/threads.py`), under a scheduler that decides every step, or in
virtual time. A primitive reached around the Machine is a defect.

Prior art: the `Engine` seam of shuttle and loom, which swap the primitives under unchanged code.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from uvmfree.kern.counters import CounterPage
from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Condvar, Mutex


class Task(Protocol):
    """A thread of control that a Machine started.

    => `error` is the exception that ended it, or None. Read it after `join` returned True.
    """

    name: str
    error: BaseException | None

    def join(self, timeout_s: float) -> bool:
        """Wait for its end, at most `timeout_s` seconds; return whether it has ended."""


class Machine(Protocol):
    """What a design may use: mutexes, condition variables, counters, tasks, a clock."""

    lockstat: bool
    lockdebug: bool

    def raw_lock(self) -> RawLock:
        """Make a lock without name and rank, for a leaf that is held for a few operations and never nested."""

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        """Make a mutex of this rank; `index` tells apart those of one rank, as in `uvm_cpu[3]`."""

    def condvar(self) -> Condvar:
        """Make a condition variable; whichever lock its users hold guards its waiters."""

    def counters(self, names: tuple[str, ...]) -> CounterPage:
        """Make a page of zeroed 64-bit counters, one to a cache line."""

    def spawn(self, name: str, body: Callable[[], None]) -> Task:
        """Start a task that runs `body` to its end."""

    def clock_ns(self) -> int:
        """Return a monotonic time in nanoseconds."""

    def me(self) -> int:
        """Return a number that no other live thread of control has."""

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        """Keep what interrupts the calling thread out of the allocator, if anything does (kern/interrupt.py)."""

    def pause(self, polls: int) -> None:
        """Let other threads of control run, the longer the more often (`polls`) the caller has looked in vain."""
