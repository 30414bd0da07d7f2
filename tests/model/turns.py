"""A Machine on which threads take turns, one at a time, and time passes when all sleep: nothing is left to luck.

=> A thread gives its turn away where it would block: at a lock that is taken, and so at every sleep, since condition
   variables and idle threads sleep on locks. The next turn goes to who has been ready longest.
=> If nobody is ready the clock goes on to the first deadline. Of those that have the same one the lower thread number
   comes first, and the test's own thread last.
=> If nobody will ever be ready, or threads go on and on without an end, the test fails: a lost wakeup, a livelock.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockdebug import LockDebug
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Condvar, Mutex
from uvmfree.machine.threads import MappedRam
from uvmfree.machine.words import CounterPage, SharedWords

T = TypeVar("T")

TURNS_MAX = 10_000
"""Turns until the test's own thread has its next one: far more than anything here takes."""

WAIT_S = 60.0
"""How long a thread may keep its turn: a thousand times what any takes, if the host is busy with other things."""

NS = 10**9


class GivenUp(SystemExit):
    """Ends the threads of a machine that a failed test left behind."""


class Turn:
    """A thread, as far as turns go: it holds its `turn` lock while others run."""

    def __init__(self, machine: "TurnsMachine", name: str, number: int) -> None:
        self.name, self.number = name, number
        self.error: BaseException | None = None
        self.over = False
        self.deadline_ns: int | None = None
        self.turn = threading.Lock()
        self.turn.acquire()
        self.joiners = TurnsLock(machine)
        self.thread: threading.Thread | None = None

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end, in machine time."""
        return self.over or self.joiners.acquire(True, timeout_s)


class TurnsLock:
    """A lock: a flag, and the threads that sleep until it is handed to them."""

    def __init__(self, machine: "TurnsMachine") -> None:
        self._machine = machine
        self._taken = False
        self._sleepers: deque[Turn] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._taken:
            self._taken = True
            return True
        if not blocking:
            return False
        me = self._machine.current
        self._sleepers.append(me)
        self._machine.sleep(None if timeout < 0 else timeout)
        if me in self._sleepers:  # time is up
            self._sleepers.remove(me)
            return False
        return True

    def release(self) -> None:
        assert self._taken
        if self._sleepers:
            self._machine.wake(self._sleepers.popleft())
        else:
            self._taken = False

    def locked(self) -> bool:
        return self._taken

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class TurnsEvent:
    """An event whose sleepers look each time that they have a turn."""

    def __init__(self, machine: "TurnsMachine") -> None:
        self._machine = machine

    def notify(self) -> None:
        pass

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        due_ns = None if timeout_s is None else self._machine.now_ns + round(timeout_s * NS)
        while not ready():
            if due_ns is not None and self._machine.now_ns >= due_ns:
                return False
            self._machine.let_others()
        return True


class TurnsMachine:
    """Locks, threads and time; the thread that makes it is the first to have a turn."""

    lockstat = False
    lockdebug = True

    def __init__(self) -> None:
        self.now_ns = 0
        self._threads = [Turn(self, "test", 0)]
        self.current = self._threads[0]
        self._ready: deque[Turn] = deque()
        self._asleep: list[Turn] = []
        self._turns = 0
        self.trouble = ""  # why the test cannot go on
        self._given_up = False
        self._debug = LockDebug(self.raw_lock, self.me)

    # What a system asks for.

    def raw_lock(self) -> RawLock:
        return TurnsLock(self)

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        return Mutex(rank, index, raw_lock=self.raw_lock, clock_ns=self.clock_ns, lockstat=False, debug=self._debug)

    def condvar(self) -> Condvar:
        return Condvar(self.raw_lock)

    def socket_of(self, cpu: int) -> int:
        return cpu // 2

    def counters(self, names: tuple[str, ...]) -> CounterPage:
        return CounterPage(names)

    def clock_ns(self) -> int:
        return self.now_ns

    def me(self) -> int:
        return self.current.number

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        return nullcontext()

    def words(self, count: int, *, apart: bool = False) -> SharedWords:
        return SharedWords(count, apart=apart)

    def ram(self, nbytes: int) -> MappedRam:
        return MappedRam(nbytes)

    def disk(self, transfer: Callable[..., T]) -> Callable[..., T]:
        return transfer

    def lined(self, cls: type[T], field: str) -> type[T]:
        return cls

    def event(self) -> "TurnsEvent":
        return TurnsEvent(self)

    def let_others(self) -> None:
        """Give the turn to whoever is ready, and take it again after them."""
        self._ready.append(self.current)
        self._next()

    def spawn(self, name: str, body: Callable[[], object], cpu: int | None = None) -> Turn:
        """Make a thread that will have its first turn when others sleep."""
        turn = Turn(self, name, len(self._threads))
        turn.joiners.acquire()
        self._threads.append(turn)
        self._ready.append(turn)
        turn.thread = threading.Thread(target=self._run, args=(turn, body), name=name, daemon=True)
        turn.thread.start()
        return turn

    # What a test asks for.

    def settle(self) -> None:
        """Let all others run until they sleep."""
        while self._ready:
            self.let_others()

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever sleeps until a moment in between, or the last one, wakes at that moment."""
        self.sleep(seconds)
        self.settle()

    def give_up(self) -> None:
        """End every thread that is left; only after a system was closed, or has failed."""
        self._given_up = True
        for turn in self._threads[1:]:
            if turn.thread is not None and turn.thread.is_alive():
                self.current = turn
                turn.turn.release()
                turn.thread.join(WAIT_S)

    # How turns are taken.

    def sleep(self, timeout_s: float | None) -> None:
        """Give the turn away until somebody wakes this thread, or time is up."""
        me = self.current
        me.deadline_ns = None if timeout_s is None else self.now_ns + round(timeout_s * NS)
        self._asleep.append(me)
        self._next()

    def wake(self, turn: Turn) -> None:
        """Make a thread that sleeps ready; one whose time is up is ready already."""
        if turn in self._asleep:
            self._asleep.remove(turn)
            self._ready.append(turn)

    def _next(self) -> None:
        """Give the turn to the next that is ready, and wait for one's own."""
        if self._given_up:
            raise GivenUp
        me = self.current
        self.current = self._chosen()
        if self.current is not me:
            self.current.turn.release()
            if me.over:
                return
            got = self._await(me)
            assert got, f"{self.current.name} does not give its turn away"
        assert not self.trouble, self.trouble

    def _chosen(self) -> Turn:
        """Return whose turn it is; in trouble the test's own thread's, for which it all ends here."""
        if not self._ready:
            self._go_on()
        self._turns += 1
        if self._turns > TURNS_MAX:
            self.trouble = f"{self.current.name} runs on and on"
        chosen = self._threads[0] if self.trouble else self._ready.popleft()
        if chosen.number == 0:
            self._turns = 0
        return chosen

    def _go_on(self) -> None:
        """Let time pass until the first deadline."""
        deadlines = [turn.deadline_ns for turn in self._asleep if turn.deadline_ns is not None]
        if not deadlines:
            self.trouble = f"nobody will wake {', '.join(turn.name for turn in self._asleep)}"
            return
        self.now_ns = min(deadlines)
        due = [turn for turn in self._asleep if turn.deadline_ns == self.now_ns]
        for turn in sorted(due, key=lambda turn: turn.number or len(self._threads)):
            self.wake(turn)

    def _await(self, turn: Turn) -> bool:
        """Wait for a turn: as long as there is a test for it, or if it is the test's own, not without end."""
        got = turn.turn.acquire(timeout=-1 if turn.number else WAIT_S)
        if self._given_up:
            raise GivenUp
        return got

    def _run(self, turn: Turn, body: Callable[[], object]) -> None:
        try:
            self._await(turn)
            body()
        except BaseException as error:  # noqa: BLE001  # kept for whoever joins
            turn.error = error
        turn.over = True
        if not self._given_up:
            turn.joiners.release()
            self._next()
