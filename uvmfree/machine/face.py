"""The Machine: all that the allocator may ask of the world.

The allocator never imports `threading`. What it needs of locks, threads, memory and time it gets from a Machine, so
that the same code runs on real threads (`machine/threads.py`), in virtual time on more CPUs than the host has, or
under a scheduler that decides every step. A primitive reached around the Machine is a defect.

Prior art: the `Engine` seam of shuttle and loom, which swap the primitives under unchanged code.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.locktrace import LockTrace
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.kern.tasks import Task as Task
from uvmfree.kern.tasks import Threads
from uvmfree.machine.words import CounterPage, Loaded, Swap

T = TypeVar("T")


class Event(Protocol):
    """Something that may have happened: sleepers look at a condition of their own again each time it does.

    => Holds no state: whoever makes a condition true does so first, and then calls `notify`. No wakeup is lost.
    => Source: tsleep(9), wakeup(9).
    """

    def notify(self) -> None:
        """Let all who sleep on it look again; costs nothing on machines whose sleepers look by themselves."""

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`; return False if `timeout_s` ran out before."""


class Words(Protocol):
    """An array of 64-bit words that is changed by compare-and-swap, which costs what it costs on the machine."""

    def view(self) -> Loaded:
        """Return a private view: `view[index]` is an unlocked load, or a store by who has the words to himself.

        => A load costs what it costs on the machine; so does read().
        """

    def read(self, first: int, end: int) -> list[int]:
        """Load the words from `first` to before `end`, in ascending order."""

    def swapper(self) -> Swap:
        """Return a compare-and-swap for one thread of control at a time."""


class Ram(Protocol):
    """The bytes of all pages, zeroed; what is stored there costs what storing costs on the machine."""

    def view(self) -> memoryview:
        """Return a private view of all of it."""


class Machine(Threads, Protocol):
    """What a design may use: mutexes, tasks and a clock (kern/tasks.py), events, counters, memory.

    => `name`: what kind of machine it is, as records and tables call it.
    """

    name: str
    lockstat: bool
    lockdebug: bool

    def raw_lock(self) -> RawLock:
        """Make a lock without name and rank, for a leaf that is held for a few operations and never nested."""

    def event(self) -> Event:
        """Make an event, for those who wait without a lock."""

    def counters(self, names: tuple[str, ...]) -> CounterPage:
        """Make a page of zeroed 64-bit counters, one to a cache line."""

    def words(self, count: int, *, apart: bool = False) -> Words:
        """Make an array of zeroed 64-bit words, eight to a cache line; `apart`: one to a line."""

    def ram(self, nbytes: int) -> Ram:
        """Make RAM."""

    def disk(self, transfer: Callable[..., T]) -> Callable[..., T]:
        """Return a transfer to or from a disk, of the form of `os.pread` or `os.pwrite`, that takes its time here."""

    def lined(self, cls: type[T], field: str) -> type[T]:
        """Return `cls`, or a subclass whose objects are a cache line each that follows who stores to `field`."""

    def socket_of(self, cpu: int) -> int:
        """Return the number of the socket that a CPU is in, from 0 on."""

    def wait_for(self, tasks: Sequence[Task], stop: Callable[[], bool]) -> bool:
        """Wait until all these tasks have ended; False as soon as `stop()` is true, which is asked now and then."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, doing nothing; others run."""

    def charge(self, ns: int) -> None:
        """Let the caller's CPU be busy with work that is not simulated; real threads do their own work."""

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        """Keep what interrupts the calling thread out of the allocator, if anything does (kern/interrupt.py)."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What one thread of control does: its number as `me()` gives it, its name, its frames, the innermost last."""

    ident: int
    name: str
    frames: tuple[str, ...]


class WatchedMachine(Machine, Protocol):
    """A Machine that can be asked what everybody is doing, for the report of a hang.

    => `lockwatch`: who holds and who waits for its mutexes. `locktrace`: what they traced. `lockholds`: what holds of
       shared ones touched. None if not asked for.
    """

    lockwatch: LockWatch | None
    locktrace: LockTrace | None
    lockholds: LockHolds | None

    def stacks(self) -> tuple[Stack, ...]:
        """Return what every thread of control is doing."""

    def abandon(self) -> None:
        """End all tasks that hang, if the machine can."""
