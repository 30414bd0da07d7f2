"""The child of a fork: every call of the parent's system is refused at once, and the parent notices nothing."""

import json
import os
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import WAIT_S
from uvmfree.machine.words import CounterPage

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_child(body: Callable[[], object]) -> str:
    """Fork, run `body` in the child, and return what it returned as text; the child is ended if that takes long."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(body())
        except BaseException:  # noqa: BLE001 - told to the parent
            said = traceback.format_exc()
        os.write(there, said.encode())
        os._exit(0)
    os.close(there)
    try:
        if not select.select([here], [], [], WAIT_S)[0]:
            os.kill(pid, signal.SIGKILL)
            return "the child hangs"
        return os.read(here, 1 << 16).decode()
    finally:
        os.close(here)
        os.waitpid(pid, 0)


def name_of_error(call: Callable[[], object]) -> str:
    try:
        return f"no error, but {call()!r}"
    except uvmfree.UvmError as error:
        return f"{type(error).__name__}: {error}"


CALLS: dict[str, Callable[[Any], object]] = {
    "pagealloc": lambda uvm: uvm.cpu.pagealloc(),
    "pagealloc of a colour": lambda uvm: uvm.cpu.pagealloc(color=1),
    "pagefree": lambda uvm: uvm.cpu.pagefree(uvm.held),
    "pageidlezero": lambda uvm: uvm.cpu.pageidlezero(),
    "pagealloc of another CPU": lambda uvm: uvm.cpus[1].pagealloc(),
    "Uvm.pagefree": lambda uvm: uvm.pagefree(uvm.held),
    "pglistalloc": lambda uvm: uvm.pglistalloc(2),
    "pglistfree": lambda uvm: uvm.pglistfree([uvm.held]),
    "run_on": lambda uvm: uvm.run_on(1).__enter__(),
    "wait": lambda uvm: uvm.wait(),
    "kick_pdaemon": lambda uvm: uvm.kick_pdaemon(),
    "redistribute": lambda uvm: uvm.redistribute(),
    "recolor": lambda uvm: uvm.recolor(2),
    "detach": lambda uvm: uvm.detach(1),
    "audit": lambda uvm: uvm.audit(),
    "counter_lag": lambda uvm: uvm.counter_lag(),
    "broadcast": lambda uvm: uvm.xcall.broadcast(lambda cpu: None),
    "unicast": lambda uvm: uvm.xcall.unicast(lambda cpu: None, 1),
    "xc_wait": lambda uvm: uvm.xcall.wait(uvm.ticket),
    "touch": lambda uvm: uvm.anons.touch(uvm.cpu, 1, write=True),
    "discard": lambda uvm: uvm.anons.discard(uvm.cpu, 0),
    "starting": lambda uvm: uvm.__enter__(),
}


@pytest.fixture(params=list(uvmfree.DESIGNS))
def design(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def uvm(design: str) -> Iterator[Any]:
    """A running system whose CPU 0 this thread plays, with a page that it holds and an anon map."""
    made: Any = uvmfree.boot(npages=256, ncpus=2, design=design, lockstat=True)
    made.anons = made.anon_memory(8, 8)
    with made, made.run_on(0) as made.cpu:
        made.held = made.cpu.pagealloc()
        made.ticket = made.xcall.broadcast(lambda cpu: None)
        made.anons.touch(made.cpu, 0, write=True)
        yield made


def test_every_call_is_refused(uvm: Any) -> None:
    """All in one child: a call that is refused changes nothing for the next."""
    said = in_child(lambda: json.dumps({name: name_of_error(partial(call, uvm)) for name, call in CALLS.items()}))
    answers: dict[str, str] = json.loads(said) if said.startswith("{") else {"the child": said}
    assert [
        name for name, one in answers.items() if not one.startswith("ForkError: this system is the parent")
    ] == [], said
    assert answers.keys() == CALLS.keys()
    uvm.xcall.wait(uvm.ticket, WAIT_S)
    uvm.cpu.pagefree(uvm.held)
    uvm.audit()


@pytest.mark.parametrize("call", ["pagealloc", "pagefree", "redistribute", "wait", "broadcast", "xc_wait", "touch"])
def test_a_lock_that_another_thread_held_then_hangs_no_call(uvm: Any, call: str) -> None:
    """The child has the locks as they were, and not who would release them."""
    handles = [mutex.handle("another thread") for mutex in uvm._mutexes()]
    for handle in handles:
        handle.acquire()
    try:
        said = in_child(lambda: name_of_error(lambda: CALLS[call](uvm)))
    finally:
        for handle in handles:
            handle.release()
    assert said.startswith("ForkError: ")


def test_the_child_may_leave_the_blocks_that_it_is_in_and_boot_a_system(uvm: Any, design: str) -> None:
    def leave() -> object:
        uvm.close()
        uvm.__exit__(None, None, None)
        with uvmfree.boot(npages=4096, ncpus=2, design=design) as own, own.run_on(0) as cpu:
            own.xcall.wait(own.xcall.broadcast(lambda cpu: cpu.pagealloc()), WAIT_S)
            cpu.pagefree(cpu.pagealloc())
            own.audit()
        return "done"

    assert in_child(leave) == "done"


def test_a_system_that_runs_no_threads_is_the_parents_too(design: str) -> None:
    uvm = uvmfree.boot(npages=64, ncpus=1, design=design)
    free = uvm.uvmexp.free
    assert in_child(lambda: name_of_error(uvm.cpus[0].pagealloc)).startswith("ForkError: ")
    assert uvm.uvmexp.free == free
    uvm.audit()
    uvm.close()


def test_what_a_child_adds_the_parent_does_not_see() -> None:
    """Whatever way it takes: by an updater, by a view, both of which it had before."""
    page = CounterPage(("free", "paging"))
    adder, view = page.adder("free"), page.view()
    adder.add(7)

    def change() -> object:
        adder.add(100)
        view[page.slot("paging")] = 3
        return [page.load("free"), page.load("paging")]

    assert in_child(change) == "[107, 3]"
    assert (page.load("free"), page.load("paging")) == (7, 0)
    page.close()
