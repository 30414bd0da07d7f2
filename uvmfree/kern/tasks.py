"""What a service of the kernel with threads of its own asks of the Machine that it is given (machine/face.py)."""

from collections.abc import Callable
from typing import Protocol

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


class Threads(Protocol):
    """The part of a Machine that makes mutexes, condition variables and tasks, and tells the time."""

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        """Make a mutex of this rank; `index` tells apart those of one rank, as in `uvm_cpu[3]`."""

    def condvar(self) -> Condvar:
        """Make a condition variable; whichever lock its users hold guards its waiters."""

    def spawn(self, name: str, body: Callable[[], None], cpu: int | None = None) -> Task:
        """Start a task that runs `body` to its end; `cpu`: the simulated CPU that it is bound to, if it is to one."""

    def clock_ns(self) -> int:
        """Return a monotonic time in nanoseconds."""

    def me(self) -> int:
        """Return a number that no other live thread of control has."""
