"""The real Machine: OS threads stand in for CPUs, `threading` locks for kernel mutexes.

This is the one module that imports `threading`. On a free-threaded interpreter the threads run at once; with
the GIL they take turns, and what is measured then is how often a lock is taken and waited for, not speed.
"""

import mmap
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from uvmfree.kern.interrupt import interrupts_held_back
from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockdebug import LockDebug
from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.locktrace import LockTrace
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.kern.mutex import Condvar, Mutex
from uvmfree.machine.face import Stack, Task
from uvmfree.machine.words import CounterPage, SharedWords

T = TypeVar("T")

SPINS: Final = 200
"""Polls before a waiting thread sleeps: about the 50 us for which it sleeps then, so it never wastes over half."""

_STOP_S: Final = 0.05
"""How often a thread that waits for others asks whether to stop: signals interrupt no wait for a lock."""


def _thread_name() -> str:
    return threading.current_thread().name


class ThreadsMachine:
    """Locks, threads and time of this process.

    => `lockstat`: mutexes count (kern/lockstat.py). `lockdebug`: mutexes check (kern/lockdebug.py). `lockwatch`: they
       say who holds and who waits for them (kern/lockwatch.py), and the attribute is where to ask. `locktrace`: what
       lockstat counts is kept too, with its times (kern/locktrace.py), and the attribute is where it is. `lockholds`:
       what holds of shared locks touch is counted (kern/lockholds.py), likewise.
    """

    name = "threads"

    def __init__(
        self,
        *,
        lockstat: bool = False,
        lockdebug: bool = False,
        lockwatch: bool = False,
        locktrace: bool = False,
        lockholds: bool = False,
    ) -> None:
        self.lockstat = lockstat
        self.lockdebug = lockdebug
        self.lockwatch = LockWatch(threading.Lock, threading.get_ident) if lockwatch else None
        self.locktrace = LockTrace(threading.Lock, _thread_name) if locktrace else None
        self.lockholds = LockHolds(threading.Lock, virtual=False) if lockholds else None
        self._debug = LockDebug(threading.Lock, threading.get_ident) if lockdebug else None

    def raw_lock(self) -> RawLock:
        """Make a `threading.Lock`."""
        return threading.Lock()

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        """Make a mutex of this rank over a `threading.Lock`."""
        return Mutex(
            rank,
            index,
            raw_lock=threading.Lock,
            clock_ns=time.perf_counter_ns,
            lockstat=self.lockstat,
            debug=self._debug,
            watch=self.lockwatch,
            trace=self.locktrace,
            holds=self.lockholds,
        )

    def condvar(self) -> Condvar:
        """Make a condition variable whose waiters sleep on a `threading.Lock` each."""
        return Condvar(threading.Lock)

    def event(self) -> "PolledEvent":
        """Make an event whose sleepers look by themselves."""
        return PolledEvent()

    def counters(self, names: tuple[str, ...]) -> CounterPage:
        """Make a page of zeroed counters."""
        return CounterPage(names)

    def words(self, count: int, *, apart: bool = False) -> SharedWords:
        """Make an array of zeroed words."""
        return SharedWords(count, apart=apart)

    def ram(self, nbytes: int) -> "MappedRam":
        """Map memory of this process's own."""
        return MappedRam(nbytes)

    def disk(self, transfer: Callable[..., T]) -> Callable[..., T]:
        """Return `transfer`: the host has a disk of its own."""
        return transfer

    def lined(self, cls: type[T], field: str) -> type[T]:
        """Return `cls`: the host has cache lines of its own."""
        return cls

    def spawn(self, name: str, body: Callable[[], None], cpu: int | None = None) -> "OsThread":
        """Start an OS thread that runs `body`; the host decides on which processor."""
        return OsThread(name, body)

    def wait_for(self, tasks: Sequence[Task], stop: Callable[[], bool]) -> bool:
        """Join the threads, and ask between two looks whether to stop."""
        while not all(task.join(_STOP_S) for task in tasks):
            if stop():
                return False
        return True

    def clock_ns(self) -> int:
        """Return `time.perf_counter_ns()`."""
        return time.perf_counter_ns()

    def me(self) -> int:
        """Return the identity of the calling thread; it may be given again after the thread has ended."""
        return threading.get_ident()

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        """Hold Ctrl-C back while the main thread is inside the allocator, if Python's own handler would raise it."""
        sleeps = (Condvar.wait, PolledEvent.sleep_until, OsThread.join, ThreadsMachine.sleep)
        return interrupts_held_back(tuple(function.__code__ for function in sleeps))

    def sleep(self, seconds: float) -> None:
        """Sleep, as the host's clock has it."""
        time.sleep(seconds)

    def socket_of(self, cpu: int) -> int:
        """Return 0: a simulated CPU runs wherever the host puts its thread."""
        return 0

    def charge(self, ns: int) -> None:
        """Do nothing: on this machine work takes the time that it takes."""

    def stacks(self) -> tuple[Stack, ...]:
        """Return what every thread of this process is doing, by name; for the report of a hang."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return tuple(
            Stack(ident, names.get(ident, "not ours"), tuple(traceback.format_stack(frame)))
            for ident, frame in sys._current_frames().items()
        )

    def abandon(self) -> None:
        """Do nothing: nobody can end a thread; those that hang end with the process."""


class PolledEvent:
    """An event whose sleepers look again and again: what they wait for may be made true without a word to anybody.

    => After SPINS looks a sleeper gives its processor up for 50 us at a time.
    """

    def notify(self) -> None:
        """Do nothing: the sleepers look by themselves."""

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Poll until `ready()`, yielding the processor, and with it the GIL; False if the time ran out before."""
        give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
        polls = 0
        while not ready():
            if give_up_s is not None and time.monotonic() > give_up_s:
                return False
            time.sleep(0 if polls < SPINS else 50e-6)
            polls += 1
        return True


class MappedRam:
    """An anonymous mapping: what nobody touches is not committed.

    => Everybody gets a view made from the mapping: slices of one view share a count of views, which the free-threaded
       3.13 does not keep atomically. Nor is the mapping closed: it goes with its last view.
    """

    def __init__(self, nbytes: int) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self._map = mmap.mmap(-1, nbytes, flags=flags)

    def view(self) -> memoryview:
        """Return a private view of all of it."""
        return memoryview(self._map)


class OsThread:
    """A started thread that keeps the error which ended it.

    => A daemon thread: if it hangs for good, the process can still end, and `join` has said so.
    """

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.error: BaseException | None = None  # written by the thread before it ends, read after join
        self._body = body
        self._over = False  # written by the thread, once; polled by who joins it
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as error:  # noqa: BLE001  # kept for whoever joins; nothing is swallowed
            self.error = error
        finally:
            self._over = True

    def join(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for the thread's end; return whether it has ended."""
        give_up_s = time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        # Up to Python 3.12 a join that Ctrl-C breaks off takes the thread for ended from then on, though it runs.
        while not self._over and time.monotonic() < give_up_s:
            time.sleep(50e-6)
        return self._over and not self._thread.is_alive()
