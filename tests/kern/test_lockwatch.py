"""The watching mutex: who holds it, who waits for it, and the hooks that hold a holder up."""

import threading
from functools import partial

import pytest

from tests.anon.rig import until
from tests.kern.tasks import await_event, begin, finish
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.kern.lockwatch import LockState, LockWatch, Watched, WatchingHandle
from uvmfree.machine.threads import ThreadsMachine


def watching() -> tuple[ThreadsMachine, LockWatch]:
    machine = ThreadsMachine(lockwatch=True)
    assert machine.lockwatch is not None
    return machine, machine.lockwatch


def test_holder_and_waiter_are_known_while_they_are_and_no_longer() -> None:
    machine, watch = watching()
    mutex = machine.mutex(UVM_CPU, 2)
    machine.mutex(UVM_FPAGEQLOCK)
    mine, theirs = mutex.handle("uvm_pagealloc"), mutex.handle("uvm_pagefree")
    idle = LockState("uvm_fpageqlock", None, ())
    assert watch.states() == (LockState("uvm_cpu[2]", None, ()), idle)
    mine.acquire()
    assert not theirs.try_acquire()
    got = threading.Event()

    def wanting() -> None:
        with theirs:
            assert watch.held_by(machine.me()) == ("uvm_cpu[2]",)
            got.set()

    waiter = begin(wanting)
    until(lambda: watch.states()[0].waiters)
    state = watch.states()[0]
    assert state.holder == (machine.me(), "uvm_pagealloc")
    assert [caller for _, caller in state.waiters] == ["uvm_pagefree"]
    assert watch.held_by(machine.me()) == ("uvm_cpu[2]",)
    mine.release()
    await_event(got)
    finish(waiter)
    assert watch.states() == (LockState("uvm_cpu[2]", None, ()), idle)
    assert watch.held_by(machine.me()) == ()


def test_a_holder_is_forgotten_while_it_still_holds_the_lock() -> None:
    """Afterwards the name that would be wiped out may be the next holder's."""
    lock, forgotten = threading.Lock(), list[bool]()
    watched = Watched("uvm_cpu[0]", threading.Lock())

    def release() -> None:
        forgotten.append(watched.holder is None)
        lock.release()

    inner = LockHandle(lock.acquire, partial(lock.acquire, False), release)
    watching = WatchingHandle(watched, LockWatch(threading.Lock, threading.get_ident), inner, lock.acquire, "x")
    watching.acquire()
    assert watched.holder == (threading.get_ident(), "x")
    watching.release()
    assert forgotten == [True]


def test_the_list_of_mutexes_grows_under_its_lock() -> None:
    """Two threads that make one each would lose one."""
    made: list[threading.Lock] = []

    def raw_lock() -> threading.Lock:
        made.append(threading.Lock())
        return made[-1]

    watch = LockWatch(raw_lock, threading.get_ident)
    (own,) = made
    with own:
        adding = begin(lambda: watch.add("uvm_cpu[0]"))
        assert not adding.join(0.05)
        assert watch.states() == ()
    finish(adding)
    assert [state.name for state in watch.states()] == ["uvm_cpu[0]"]


def test_hooks_run_inside_and_outside_of_the_lock() -> None:
    machine, watch = watching()
    mutex = machine.mutex(UVM_CPU, 0)
    handle = mutex.handle("x")
    (watched,) = watch.named("uvm_cpu[0]")
    assert watch.named("uvm_cpu[1]") == ()
    seen: list[tuple[str, tuple[str, ...]]] = []
    watched.on_taken = lambda: seen.append(("taken", watch.held_by(machine.me())))
    watched.on_dropped = lambda: seen.append(("dropped", watch.held_by(machine.me())))
    with handle:
        pass
    assert handle.try_acquire()
    handle.release()
    assert seen == [("taken", ("uvm_cpu[0]",)), ("dropped", ())] * 2
    watched.on_taken = watched.on_dropped = None
    with handle:
        pass
    assert len(seen) == 4


@pytest.mark.parametrize("traced", [False, True])
def test_a_lock_that_was_held_is_contended_even_if_it_comes_free_at_once(traced: bool) -> None:
    """The watcher looks first, notes the waiter, and then waits: by then the lock may be free."""
    machine = ThreadsMachine(lockstat=True, lockwatch=True, locktrace=traced)
    assert machine.lockwatch is not None
    mutex = machine.mutex(UVM_CPU, 0)
    mine, theirs = mutex.handle("mine"), mutex.handle("theirs")
    (watched,) = machine.lockwatch.named("uvm_cpu[0]")
    noting = watched.lock

    class DropsIt:
        """The lock that guards the list of waiters; who takes it finds the mutex free afterwards."""

        def __enter__(self) -> None:
            noting.acquire()
            while drop:
                drop.pop()()

        def __exit__(self, *_: object) -> None:
            noting.release()

    drop = [mine.release]
    watched.lock = DropsIt()  # type: ignore[assignment]
    mine.acquire()
    theirs.acquire()
    theirs.release()
    held, waited = mutex.snapshot(by_caller=True)
    assert (held.caller, held.acquired, held.contended) == ("mine", 1, 0)
    assert (waited.caller, waited.acquired, waited.contended) == ("theirs", 1, 1)
    assert waited.wait_ns_total == waited.wait_ns_max >= waited.wait_ns_min > 0
    assert sum(waited.wait_hist) == 1


def test_stacks_name_the_threads_and_what_they_do() -> None:
    machine = ThreadsMachine()
    over = threading.Event()
    here = threading.Event()

    def sleeping_for_the_test() -> None:
        here.set()
        await_event(over)

    task = begin(sleeping_for_the_test, "sleeper")
    await_event(here)
    stacks = {stack.name: stack for stack in machine.stacks()}
    over.set()
    finish(task)
    assert "sleeping_for_the_test" in "".join(stacks["sleeper"].frames)
    assert any(stack.ident == machine.me() for stack in stacks.values())
