"""Machines for tests: real threads, with one thing decided by the test instead of by luck."""

import threading
from collections.abc import Callable

from tests.kern.tasks import WAIT_S
from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import OsThread, ThreadsMachine
from uvmfree.machine.words import Adder, CounterPage


def _nothing() -> None:
    return None


class _Interposed:
    """A lock that calls the machine's `before_acquire` once, between the decision to take it and taking it."""

    def __init__(self, machine: "InterposingMachine", name: str) -> None:
        self._machine = machine
        self._name = name
        self._lock = threading.Lock()
        self.release, self.locked = self._lock.release, self._lock.locked

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._machine.at == self._name:
            self._machine.at = ""
            self._machine.then()
        return self._lock.acquire(blocking, timeout)


class InterposingMachine(ThreadsMachine):
    """Runs `then()` just before the mutex named `at` is taken the next time, whoever takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.then: Callable[[], None] = _nothing

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        name = rank.name if index is None else f"{rank.name}[{index}]"
        made: list[RawLock] = [_Interposed(self, name), threading.Lock()]  # type: ignore[list-item]
        take = iter(made)
        return Mutex(rank, index, raw_lock=lambda: next(take), clock_ns=self.clock_ns, lockstat=False, debug=None)


class ClockMachine(ThreadsMachine):
    """Tells the time that the test sets."""

    def __init__(self, now_s: float = 100.0, lockdebug: bool = True) -> None:
        super().__init__(lockdebug=lockdebug)
        self.now_s = now_s

    def clock_ns(self) -> int:
        return round(self.now_s * 1e9)


class StandingMachine(ThreadsMachine):
    """Has a time that stands still unless the test says that it `passes()`: no patience ends before.

    => `passes()` is asked by whoever reads the clock, and takes leaf locks at most.
    """

    def __init__(self, passes: Callable[[], bool]) -> None:
        super().__init__(lockdebug=True)
        self._passes = passes
        self._lock = threading.Lock()
        # All below is guarded by it. Time counts that lies between two readings at both of which it passed.
        self._now_ns, self._read_ns, self._passed = 0, 0, False

    def clock_ns(self) -> int:
        real_ns = super().clock_ns()
        passes = self._passes()
        with self._lock:
            if passes and self._passed:
                self._now_ns += max(0, real_ns - self._read_ns)
            self._read_ns, self._passed = real_ns, passes
            return self._now_ns


class _SlowThread(OsThread):
    """A thread that has all the time it needs where only `short_s` seconds are given to it."""

    short_s = 0.0

    def join(self, timeout_s: float) -> bool:
        return super().join(WAIT_S if timeout_s == self.short_s else timeout_s)


class HangMachine(ThreadsMachine):
    """Has one thread, of a given name, that hangs: of those who are joined for `short_s` it alone can be late.

    => So a test may give those who hang a short time, and the others end in it however busy the host is.
    """

    def __init__(self, hangs: str, short_s: float = 0.01, *, lockdebug: bool = False) -> None:
        super().__init__(lockdebug=lockdebug)
        self._hangs, self._short_s = hangs, short_s

    def spawn(self, name: str, body: Callable[[], None], cpu: int | None = None) -> OsThread:
        if name == self._hangs:
            return super().spawn(name, body)
        thread = _SlowThread(name, body)
        thread.short_s = self._short_s
        return thread


class _WatchedAdder(Adder):
    __slots__ = ("_machine", "_name")

    def __init__(self, adder: Adder, name: str, machine: "CounterMachine") -> None:
        super().__init__(adder.add, adder._page)
        self._name = name
        self._machine = machine

    def add(self, n: int) -> None:
        self._machine.before_add(self._name, n)
        super().add(n)


class _WatchedPage(CounterPage):
    def __init__(self, names: tuple[str, ...], machine: "CounterMachine") -> None:
        super().__init__(names)
        self._machine = machine

    def adder(self, name: str) -> Adder:
        return _WatchedAdder(super().adder(name), name, self._machine)


class CounterMachine(ThreadsMachine):
    """Calls `before_add(name, n)` before every atomic update of a shared counter."""

    def __init__(self) -> None:
        super().__init__(lockdebug=True)
        self.before_add: Callable[[str, int], object] = lambda name, n: None

    def counters(self, names: tuple[str, ...]) -> CounterPage:
        return _WatchedPage(names, self)
