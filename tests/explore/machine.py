"""A Machine whose every step a scheduler decides: the allocator runs on it under `interleave_test.explore`.

Locks and threads are those of `threading`, which the explorer replaces while a schedule runs. What the explorer does
not explore is modelled here:

=> Time. `clock_ns()` says what the test set. A timed wait ends when the test moves the clock past its end, at any
   switch point, whether or not other threads could run (the explorer itself ends one only when nobody can).
=> The counter page. Each load and each store is a step of its own, and an atomic update is one step; so is the store
   of an update's operand, which belongs to its owner. `words[slot] += 1` without a lock loses updates here.

=> Not modelled: atomic operations weaker than a whole step, and memory that is seen out of order.
=> Make it inside a model, once for each schedule. The book of lockdebug is an instrument: it adds no switch point.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from uvmfree.kern.lockdebug import LockDebug
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Condvar, Mutex
from uvmfree.machine.threads import MappedRam, OsThread

T = TypeVar("T")

NS = 1_000_000_000
READINGS = 300
"""Readings of the clock between which no time passes; a program has so many only if threads wait for it to pass."""

READING_NS = NS // 1000
"""How far each reading after that moves the clock: threads that try again and again come to the end of their wait."""


class Unlocked:
    """A lock that excludes nobody, for data that no switch point divides."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return None


class ClockLock:
    """A `threading.Lock` whose timed acquire ends when the machine's clock says so.

    => The first acquire is no switch point: nobody else knows the lock then. What cannot matter is not tried.
    """

    def __init__(self, machine: "ExploreMachine") -> None:
        self._machine = machine
        self._lock = threading.Lock()
        self._new = True
        self._sleepers: list[threading.Event] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        machine = self._machine
        if self._new:
            self._new = False
            with machine.atomic():
                return self._lock.acquire()
        if timeout < 0:
            return self._lock.acquire(blocking)
        due_ns = machine.now_ns + round(timeout * NS)
        while not self._try():
            if machine.now_ns >= due_ns:
                return False
            wake = threading.Event()
            # No switch point since the lock was found held: who releases it, or moves the clock, sees the sleeper.
            self._sleepers.append(wake)
            machine.alarms.append((due_ns, wake))
            wake.wait()
            self._sleepers = [other for other in self._sleepers if other is not wake]
            machine.alarms = [alarm for alarm in machine.alarms if alarm[1] is not wake]
        return True

    def release(self) -> None:
        with self._machine.atomic():
            self._lock.release()
            for wake in self._sleepers:
                wake.set()
        self._machine.step()

    def locked(self) -> bool:
        return self._lock.locked()

    def _try(self) -> bool:
        with self._machine.atomic():
            return self._lock.acquire(False)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class SteppedPage:
    """A counter page on which every access is a step; the face of `CounterPage`."""

    def __init__(self, names: tuple[str, ...], step: Callable[[], None]) -> None:
        self.names = names
        self.closed = False
        self.step = step
        self.words = [0] * len(names)

    def slot(self, name: str) -> int:
        return self.names.index(name)

    def view(self) -> "SteppedPage":
        return self

    def unlocked(self) -> "SteppedPage":
        return self

    def load(self, name: str) -> int:
        return self[self.names.index(name)]

    def adder(self, name: str) -> "SteppedAdder":
        return SteppedAdder(self, self.slot(name))

    def close(self) -> None:
        self.closed = True

    def __getitem__(self, slot: int) -> int:
        self.step()
        return self.words[slot]

    def __setitem__(self, slot: int, value: int) -> None:
        self.step()
        self.words[slot] = value


class SteppedAdder:
    """An atomic updater with an operand of its own: two threads that use one at a time take each other's operand."""

    def __init__(self, page: SteppedPage, slot: int) -> None:
        self._page = page
        self._slot = slot
        self._operand = 0
        self.operations = 0

    def add(self, n: int) -> None:
        self._operand = n
        self._page.step()
        self._page.words[self._slot] += self._operand
        self.operations += 1


class SteppedWords:
    """Words of which every load, store and swap is a step; the face of `SharedWords`."""

    def __init__(self, count: int, step: Callable[[], None]) -> None:
        self._words, self._step = [0] * count, step

    def view(self) -> "SteppedWords":
        return self

    def read(self, first: int, end: int) -> list[int]:
        return [self[index] for index in range(first, end)]

    def swapper(self) -> Callable[[int, int, int], bool]:
        def swap(index: int, was: int, becomes: int) -> bool:
            self._step()
            if self._words[index] != was:
                return False
            self._words[index] = becomes
            return True

        return swap

    def __getitem__(self, index: int) -> int:
        self._step()
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._step()
        self._words[index] = value


class SteppedEvent:
    """An event whose sleepers look at every step that they get."""

    def __init__(self, machine: "ExploreMachine") -> None:
        self._machine = machine

    def notify(self) -> None:
        pass

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        due_ns = None if timeout_s is None else self._machine.clock_ns() + round(timeout_s * NS)
        while not ready():
            if due_ns is not None and self._machine.clock_ns() >= due_ns:
                return False
            self._machine.step()
        return True


class ExploreMachine:
    """Locks, threads and time under the explorer's control."""

    lockstat = False

    def __init__(self, *, lockdebug: bool = True) -> None:
        from interleave_test import no_interleave  # not to be had before Python 3.12

        self.atomic = no_interleave
        self.lockdebug = lockdebug
        self.now_ns = 100 * NS
        self._readings = 0
        self.alarms: list[tuple[int, threading.Event]] = []
        self._ids: dict[int, int] = {}
        self._gate = threading.Event()
        self._debug = LockDebug(Unlocked, self.me) if lockdebug else None  # type: ignore[arg-type]

    def raw_lock(self) -> ClockLock:
        return ClockLock(self)

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        return Mutex(rank, index, raw_lock=threading.Lock, clock_ns=self.clock_ns, lockstat=False, debug=self._debug)

    def condvar(self) -> Condvar:
        return Condvar(self.raw_lock)

    def counters(self, names: tuple[str, ...]) -> Any:
        return SteppedPage(names, self.step)

    def words(self, count: int, *, apart: bool = False) -> SteppedWords:
        return SteppedWords(count, self.step)

    def spawn(self, name: str, body: Callable[[], None], cpu: int | None = None) -> OsThread:
        return OsThread(name, body)

    def ram(self, nbytes: int) -> MappedRam:
        return MappedRam(nbytes)

    def disk(self, transfer: Callable[..., T]) -> Callable[..., T]:
        return transfer

    def socket_of(self, cpu: int) -> int:
        return cpu

    def lined(self, cls: type[T], field: str) -> type[T]:
        return cls

    def event(self) -> "SteppedEvent":
        return SteppedEvent(self)

    def clock_ns(self) -> int:
        self._readings += 1
        if self._readings > READINGS:
            self._pass(READING_NS)
        return self.now_ns

    def me(self) -> int:
        """Number the threads in the order in which they first ask: a message then reads the same when replayed."""
        return self._ids.setdefault(threading.get_ident(), len(self._ids))

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        return nullcontext()

    def sleep(self, seconds: float) -> None:
        self.step()

    def step(self) -> None:
        """Let the scheduler switch here."""
        self._gate.set()

    def advance(self, seconds: float) -> None:
        """Move the clock, and end the timed waits that are due."""
        self._pass(round(seconds * NS))
        self.step()

    def _pass(self, ns: int) -> None:
        self.now_ns += ns
        with self.atomic():
            for due_ns, wake in self.alarms:
                if due_ns <= self.now_ns:
                    wake.set()
