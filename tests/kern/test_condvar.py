"""The condition variable: who is woken, in which order, and that no wakeup is lost to a timeout."""

import threading
from collections.abc import Callable
from typing import Any

from tests.kern.tasks import WAIT_S, await_event, begin, finish, run_all
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import XCALL
from uvmfree.kern.mutex import Condvar
from uvmfree.machine.threads import OsThread, ThreadsMachine


class Waiters:
    """Threads that wait on one condition variable, in the order in which they were begun."""

    def __init__(self, count: int) -> None:
        machine = ThreadsMachine(lockdebug=True)
        self.handle: LockHandle = machine.mutex(XCALL).handle("here")
        self.cv = machine.condvar()
        self.woken: list[int] = []  # guarded by the mutex
        self.ended = [threading.Event() for _ in range(count)]
        self.tasks: list[OsThread] = []
        for number in range(count):
            here = threading.Event()
            self.tasks.append(begin(lambda number=number, here=here: self._wait(number, here)))  # type: ignore[misc]
            await_event(here)
            with self.handle:  # to be had only when the waiter is on the list
                pass

    def _wait(self, number: int, here: threading.Event) -> None:
        with self.handle:
            here.set()
            assert self.cv.wait(self.handle, WAIT_S)
            self.woken.append(number)
        self.ended[number].set()


def test_a_signal_wakes_the_longest_waiter_and_only_that_one() -> None:
    waiters = Waiters(3)
    for number in range(3):
        with waiters.handle:
            waiters.cv.signal()
        await_event(waiters.ended[number])
        assert waiters.woken == list(range(number + 1))
    finish(*waiters.tasks)


def test_a_broadcast_wakes_all() -> None:
    waiters = Waiters(4)
    with waiters.handle:
        waiters.cv.broadcast()
        assert waiters.woken == []  # none before the mutex is dropped
    finish(*waiters.tasks)
    assert sorted(waiters.woken) == [0, 1, 2, 3]


def test_a_signal_to_nobody_is_not_kept() -> None:
    machine = ThreadsMachine()
    handle, cv = machine.mutex(XCALL).handle("here"), machine.condvar()
    with handle:
        cv.signal()
        cv.broadcast()
        assert not cv.wait(handle, 0.001)
        assert not cv.wait(handle, -1.0)  # a time that has passed already is no wait


def test_one_that_timed_out_takes_no_signal_from_the_next() -> None:
    waiters = Waiters(0)
    with waiters.handle:
        assert not waiters.cv.wait(waiters.handle, 0.001)
    woken: list[bool] = []
    here = threading.Event()

    def wait() -> None:
        with waiters.handle:
            here.set()
            woken.append(waiters.cv.wait(waiters.handle, WAIT_S))

    task = begin(wait)
    await_event(here)
    with waiters.handle:
        waiters.cv.signal()
    finish(task)
    assert woken == [True]


class LateLock:
    """A lock on which a timed wait runs out while `meanwhile` runs: what a signal that comes too late looks like."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._meanwhile = meanwhile

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout < 0:
            return self._lock.acquire(blocking)
        self._meanwhile()
        return False

    def release(self) -> None:
        self._lock.release()


def test_a_signal_that_races_a_timeout_counts_as_a_signal() -> None:
    handle = ThreadsMachine(lockdebug=True).mutex(XCALL).handle("here")

    def signalled() -> None:
        with handle:
            cv.signal()

    late: Any = lambda: LateLock(signalled)  # noqa: E731
    cv = Condvar(late)
    with handle:
        assert cv.wait(handle, 1.0)
    untouched: Any = lambda: LateLock(lambda: None)  # noqa: E731
    cv = Condvar(untouched)
    with handle:
        assert not cv.wait(handle, 1.0)


def test_no_wakeup_is_lost_between_two_that_hand_a_turn_to_and_fro() -> None:
    machine = ThreadsMachine()
    mutex = machine.mutex(XCALL)
    cvs = [machine.condvar(), machine.condvar()]
    turn = [0]

    def play(me: int) -> None:
        handle = mutex.handle(f"player {me}")
        for _ in range(500):
            with handle:
                while turn[0] != me:
                    assert cvs[me].wait(handle, WAIT_S)
                turn[0] = 1 - me
                cvs[1 - me].signal()

    run_all(lambda: play(0), lambda: play(1))
    assert turn == [0]


def test_the_mutex_is_held_again_when_a_wait_ends_by_an_error() -> None:
    handle = ThreadsMachine(lockdebug=True).mutex(XCALL).handle("here")

    def interrupted() -> None:
        raise KeyboardInterrupt

    late: Any = lambda: LateLock(interrupted)  # noqa: E731
    cv = Condvar(late)
    ended = ""
    with handle:
        try:
            cv.wait(handle, 1.0)
        except KeyboardInterrupt:
            ended = "by the error"
        cv.signal()  # nobody is left on the list: the error took the waiter off
    assert ended == "by the error"
    assert handle.try_acquire()
    handle.release()
