"""What strands wait for besides locks: events, the disk, and the raw lock of which condition variables are made.

=> Waking a sleeper takes the sleeper `wakeup` nanoseconds. A wakeup is a shared step: it comes in the order of time,
   so that a timeout that is due before it is not overtaken.
=> A wakeup that comes in time counts, though the sleeper gets to run after its deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, TypeVar

from uvmfree.machine.virtual.lines import PAGE_BYTES
from uvmfree.machine.virtual.scheduler import Scheduler
from uvmfree.machine.virtual.strands import Strand

T = TypeVar("T")

NS: Final = 1_000_000_000


class VirtualRawLock:
    """A lock without name and holder, as `threading.Lock`; taking and dropping it costs nothing.

    => `_sleepers` are handed the lock in the order in which they came.
    """

    __slots__ = ("_locked", "_scheduler", "_sleepers", "_wakeup_ns")

    waited_for = "a wakeup"

    def __init__(self, scheduler: Scheduler, wakeup_ns: int) -> None:
        self._scheduler, self._wakeup_ns = scheduler, wakeup_ns
        self._locked = False
        self._sleepers: deque[Strand] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or sleep until it is handed over or `timeout` seconds have passed."""
        if not self._locked:
            self._locked = True
            return True
        if not blocking:
            return False
        scheduler = self._scheduler
        return _sleep(scheduler, self, self._sleepers, None if timeout < 0 else scheduler.now + round(timeout * NS))

    def release(self) -> None:
        """Hand the lock to who has slept longest, or drop it; RuntimeError if nobody has it."""
        if not self._locked:
            raise RuntimeError("release unlocked lock")
        scheduler = self._scheduler
        if self._sleepers and scheduler.now > scheduler.head:
            scheduler.sync()
        if self._sleepers:
            scheduler.wake(self._sleepers.popleft(), scheduler.now + self._wakeup_ns)
        else:
            self._locked = False

    def locked(self) -> bool:
        """Whether anybody holds the lock."""
        return self._locked

    def __enter__(self) -> bool:
        if self._locked:
            return self.acquire()
        self._locked = True
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._sleepers:
            self.release()
        else:
            self._locked = False


class VirtualEvent:
    """Sleepers that look again at a condition of their own when they are notified; holds no state."""

    __slots__ = ("_scheduler", "_sleepers", "_wakeup_ns")

    waited_for = "an event"

    def __init__(self, scheduler: Scheduler, wakeup_ns: int) -> None:
        self._scheduler, self._wakeup_ns = scheduler, wakeup_ns
        self._sleepers: deque[Strand] = deque()

    def notify(self) -> None:
        """Wake all who sleep on it."""
        scheduler = self._scheduler
        if self._sleepers and scheduler.now > scheduler.head:
            scheduler.sync()
        while self._sleepers:
            scheduler.wake(self._sleepers.popleft(), scheduler.now + self._wakeup_ns)

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Sleep until `ready()`; False if the time ran out before."""
        scheduler = self._scheduler
        due_ns = None if timeout_s is None else scheduler.now + round(timeout_s * NS)
        if scheduler.now > scheduler.head:
            scheduler.sync()
        while not ready():
            if not _sleep(scheduler, self, self._sleepers, due_ns):
                return ready()
        return True


class VirtualDisk:
    """A disk: each transfer has a latency, which many can wait for at once; their bytes follow each other.

    => Source: the usual model of a device with a deep queue. Who transfers sleeps: the CPU is free for others.
    """

    __slots__ = ("_free_at", "_latency_ns", "_page_ns", "_scheduler")

    def __init__(self, scheduler: Scheduler, latency_ns: int, page_ns: int) -> None:
        self._scheduler, self._latency_ns, self._page_ns = scheduler, latency_ns, page_ns
        self._free_at = 0

    def timed(self, transfer: Callable[..., T]) -> Callable[..., T]:
        """Let `transfer(file, bytes or how many, place)` take its time."""

        def timed(file: int, data: int | memoryview, place: int) -> T:
            scheduler, nbytes = self._scheduler, data if isinstance(data, int) else len(data)
            if scheduler.now > scheduler.head:
                scheduler.sync()
            self._free_at = max(scheduler.now, self._free_at) + nbytes * self._page_ns // PAGE_BYTES
            scheduler.sleep(self._free_at + self._latency_ns - scheduler.now)
            return transfer(file, data, place)

        return timed


def _sleep(scheduler: Scheduler, awaits: object, sleepers: deque[Strand], due_ns: int | None) -> bool:
    """Sleep among `sleepers` until woken or the time is up; whether woken."""
    me = scheduler.current
    sleepers.append(me)
    woken = False
    try:
        woken = scheduler.park(awaits, due_ns)
    finally:
        if not woken and me in sleepers:
            sleepers.remove(me)
    return woken
