"""The mutex: what a handle is when nothing is counted or checked, and that handles exclude each other."""

import threading
from typing import Any

import pytest

from tests.kern.tasks import run_all
from uvmfree.kern.lockrank import RANKS, UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.kern.mutex import TURN_S, Mutex
from uvmfree.machine.threads import ThreadsMachine


def test_a_handle_that_counts_nothing_is_the_raw_lock() -> None:
    """The hot path pays for a lock what the raw lock costs, not one call more."""
    made: list[Any] = []

    def raw_lock() -> Any:
        made.append(threading.Lock())
        return made[-1]

    mutex = Mutex(UVM_CPU, 3, raw_lock=raw_lock, clock_ns=lambda: 1, lockstat=False, debug=None)
    handle = mutex.handle("here")
    owners = {handle.acquire.__self__, handle.release.__self__, handle.try_acquire.func.__self__}  # type: ignore[attr-defined]
    assert owners == {made[0]}
    assert (handle.acquire, handle.release) == (made[0].acquire, made[0].release)
    assert mutex.snapshot() == ()
    mutex.retire(handle)
    assert mutex.snapshot(by_caller=True) == ()


def test_names_are_those_of_the_kernel() -> None:
    machine = ThreadsMachine()
    assert machine.mutex(UVM_FPAGEQLOCK).name == "uvm_fpageqlock"
    assert machine.mutex(UVM_CPU, 3).name == "uvm_cpu[3]"
    assert {"uvm_cpu", "uvm_fpageqlock", "xcall", "uvm_pageout_lock"} <= {rank.name for rank in RANKS}


@pytest.mark.parametrize("lockstat", [False, True], ids=["", "lockstat"])
@pytest.mark.parametrize("lockdebug", [False, True], ids=["", "lockdebug"])
class TestEveryKindOfHandle:
    def test_two_handles_of_one_mutex_exclude_each_other(self, lockstat: bool, lockdebug: bool) -> None:
        mutex = ThreadsMachine(lockstat=lockstat, lockdebug=lockdebug).mutex(UVM_CPU, 0)
        one, two = mutex.handle("one"), mutex.handle("two")
        one.acquire()
        tried: list[bool] = []
        run_all(lambda: tried.append(two.try_acquire()))
        one.release()

        def take() -> None:
            tried.append(two.try_acquire())
            two.release()

        run_all(take)
        assert tried == [False, True]

    def test_a_context_manager_that_releases_after_an_error(self, lockstat: bool, lockdebug: bool) -> None:
        handle = ThreadsMachine(lockstat=lockstat, lockdebug=lockdebug).mutex(UVM_CPU, 0).handle("here")
        with pytest.raises(KeyError), handle:
            raise KeyError
        assert handle.try_acquire()
        handle.release()

    def test_plain_data_under_it_is_exact(self, lockstat: bool, lockdebug: bool) -> None:
        machine = ThreadsMachine(lockstat=lockstat, lockdebug=lockdebug)
        mutex = machine.mutex(UVM_FPAGEQLOCK)
        total = [0]

        def add() -> None:
            handle = mutex.handle("add")
            for _ in range(500):
                handle.acquire()
                total[0] += 1
                handle.release()

        run_all(*[add] * 4)
        assert total == [2000]
        if lockstat:
            (record,) = mutex.snapshot()
            assert record.acquired == 2000


@pytest.mark.parametrize(("timeout_s", "turns"), [(0.01, 1), (1.0, 20), (2.5, 50)])
def test_a_lock_that_is_held_is_waited_for_as_long_as_was_said(timeout_s: float, turns: int) -> None:
    """In turns: where one ends late, the wait takes longer, and is not given up before its last one."""
    tries: list[tuple[bool, float]] = []

    class Held:
        """A lock that somebody else has all the time."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            tries.append((blocking, timeout))
            return False

        def release(self) -> None:
            raise AssertionError("it was not taken")

        def locked(self) -> bool:
            return True

        def __enter__(self) -> bool:
            return self.acquire()

        def __exit__(self, *error: object) -> None:
            self.release()

    mutex = Mutex(UVM_CPU, 0, raw_lock=Held, clock_ns=lambda: 1, lockstat=False, debug=None)
    assert not mutex.comes_free(timeout_s)
    assert tries == [(True, TURN_S)] * turns


def test_a_lock_that_comes_free_is_left_free() -> None:
    """At the third turn somebody gives it back: whoever asked does not keep it."""
    lock = threading.Lock()
    lock.acquire()
    turns = iter([False, False, True])

    class Given:
        """That lock, given back just before the third try."""

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if next(turns, False):
                lock.release()
            return lock.acquire(False)

        def release(self) -> None:
            lock.release()

        def locked(self) -> bool:
            return lock.locked()

        def __enter__(self) -> bool:
            return self.acquire()

        def __exit__(self, *error: object) -> None:
            self.release()

    mutex = Mutex(UVM_CPU, 0, raw_lock=Given, clock_ns=lambda: 1, lockstat=False, debug=None)
    assert mutex.comes_free(1.0)
    assert not lock.locked()
