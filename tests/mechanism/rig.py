"""What the tests of the whole mechanism share: designs with their options, machines, bounded waits."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvmfree
from tests.conformance.steps import counted
from tests.kern.tasks import WAIT_S, begin, finish
from uvmfree.kern.lock import RawLock
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import OsThread, ThreadsMachine
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.page import VmPage

BOTH = ("fpageqlock", "percpu")
"""The designs whose mechanisms these tests know to the page; what every design has to do, tests/conformance asks."""

VARIANTS: dict[str, dict[str, Any]] = {
    **{design: {"design": design} for design in BOTH},
    "percpu, refill": {"design": "percpu", "refill": 8},
    "percpu, bounded": {"design": "percpu", "hoard_max": 12},
    "percpu, bounded, refill, colour": {"design": "percpu", "hoard_max": 8, "refill": 4, "search": "colour"},
    "percpu, colour": {"design": "percpu", "search": "colour"},
    "percpu, retry": {"design": "percpu", "drain_retry": True},
    "percpu, counted, remote": {"design": "percpu", "count_cached": True, "remote_drain": True},
}
"""Every design as it is, and the proposal with its options."""

SMALL: dict[str, Any] = {"npages": 64, "ncpus": 2, "ncolors": 4, "pagesize": 1 << 14, "redistribute_interval_s": 3600}
"""A system that is small, and does nothing by itself for as long as a test takes.

=> Pages of 16 KiB make its watermarks small too: 10 pages are the kernel's, freemin is 16, freetarg 21 (R24).
"""

Boot = Callable[..., uvmfree.Uvm]


def until(true: Callable[[], object]) -> None:
    """Let other threads run until something is true that then stays so; bounded."""
    machine = ThreadsMachine()
    give_up_ns = machine.clock_ns() + round(WAIT_S * 1e9)
    while not true():
        assert machine.clock_ns() < give_up_ns
        machine.sleep(50e-6)


class MutexMachine(ThreadsMachine):
    """Keeps the mutexes that were made on it, by name, so that a test may hold one."""

    def __init__(self, *, lockstat: bool = False) -> None:
        super().__init__(lockstat=lockstat, lockdebug=True)
        self.made: dict[str, Mutex] = {}

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        mutex = super().mutex(rank, index)
        self.made[mutex.name] = mutex
        return mutex


class _Hooked:
    """A lock that calls the machine's `then` once, right after it was released."""

    def __init__(self, machine: "ReleaseMachine", name: str) -> None:
        self._machine = machine
        self._name = name
        self._lock = threading.Lock()
        self.acquire, self.locked = self._lock.acquire, self._lock.locked

    def release(self) -> None:
        self._lock.release()
        if self._machine.at == self._name:
            self._machine.at = ""
            self._machine.then()


class ReleaseMachine(ThreadsMachine):
    """Runs `then()` just after the mutex named `at` was released the next time, by the thread that released it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = ""
        self.then: Callable[[], object] = lambda: None

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        name = rank.name if index is None else f"{rank.name}[{index}]"
        made: list[RawLock] = [_Hooked(self, name), threading.Lock()]  # type: ignore[list-item]
        take = iter(made)
        return Mutex(rank, index, raw_lock=lambda: next(take), clock_ns=self.clock_ns, lockstat=False, debug=None)


def own_lock(design: str, index: int) -> str:
    """Return the name of the lock that guards a CPU's lists."""
    locks = REGISTRY[design].LOCKS
    return locks[0].name if locks[0].kind == "shared" else f"{locks[0].name}[{index}]"


@contextmanager
def played(uvm: uvmfree.Uvm, index: int, lwp: Any) -> Iterator[Cpu]:
    """Play a CPU as that kind of thread, and check afterwards that no page was lost."""
    with uvm.run_on(index, lwp=lwp) as cpu:
        yield cpu
    uvm.audit()


def rebound(uvm: uvmfree.Uvm, index: int) -> None:
    """Let another thread take a CPU over, and leave it again."""

    def body() -> None:
        with uvm.run_on(index):
            pass

    finish(begin(body, "taker"))


def take_everything(uvm: uvmfree.Uvm) -> list[VmPage]:
    """Take every page of a system, reserves and caches too, by ascending frame number."""
    npages = uvm.param.npages
    pages = uvm.pglistalloc(npages, nsegs=npages)
    return sorted(pages, key=lambda pg: pg.pfn)


def free_on(uvm: uvmfree.Uvm, index: int, pages: list[VmPage]) -> None:
    for pg in pages:
        uvm.cpus[index].pagefree(pg)


def free_globally(uvm: uvmfree.Uvm, pages: list[VmPage]) -> None:
    """Free pages of which every CPU can have its share."""
    free_on(uvm, 0, pages)
    uvm.redistribute(0)


def calls_over(uvm: uvmfree.Uvm) -> None:
    """Return when every cross-call that was sent has run, also those that their sender waits for no more."""
    uvm.xcall.wait(uvm.xcall.broadcast(lambda cpu: None), WAIT_S)


def one_pass(uvm: uvmfree.Uvm) -> None:
    """Let the daemon make a pass, and return when it is over, caches are drained, and the daemon sleeps again.

    => The daemon itself goes on without an xc thread that comes late; so a pass is not over when the daemon sleeps.
    """
    uvm.kick_pdaemon()  # takes the daemon off the list of sleepers, if it is there
    until(lambda: uvm.pageout._daemon._waiters)
    calls_over(uvm)


def left_alone(uvm: uvmfree.Uvm, pages: list[VmPage] | None = None) -> list[VmPage]:
    """Bring a started system of which every page is taken to where nobody helps a sleeper; return the taken pages.

    => Needs redistribute_min_gap_s=3600. Something is being paged out, so the daemon sleeps (R19) and wakes nobody
       (R21); and it has just drained the caches, so it does not do that again. `uvm.pageout.done(1)` ends it.
    => `pages`: all of them, if they were taken before the start; where there are idle threads they have to be, since
       afterwards one may be in the hands of such a thread (R16, R28). Else they are taken here.
    """
    pages = take_everything(uvm) if pages is None else pages
    uvm.pageout.start(1)
    for index in range(uvm.param.ncpus):
        free_on(uvm, index, pages[index : index + 1])
    one_pass(uvm)
    assert not any(uvm.cached_pages())
    return pages[uvm.param.ncpus :]


def asleep(uvm: uvmfree.Uvm, count: int) -> list[OsThread]:
    """Start threads that wait for pages; return when all sleep, and the daemon has found nothing to do for them."""
    got = [begin(lambda: uvm.wait()) for _ in range(count)]
    until(lambda: uvm.pageout.waiters == count)
    one_pass(uvm)
    return got


def all_free(uvm: uvmfree.Uvm) -> int:
    return uvm.uvmexp.free + sum(uvm.cached_pages())


def state(uvm: uvmfree.Uvm) -> object:
    """Return all that a failed call must leave as it was: counters, places, and the order of every list."""
    order = [
        (walked.where, walked.queue, walked.free_list, walked.color, [pg.pfn for pg in walked.real])
        for walked in uvm.design.walk()
        if walked.real
    ]
    return counted(uvm), order, uvm.redistributions()


def settle(uvm: uvmfree.Uvm) -> None:
    """Check that all has been freed and nothing lost.

    => A page in the hands of an idle thread is on no list (R16); it comes back when that is done with it.
    """

    def all_back() -> bool:
        uvm.redistribute()
        return (uvm.uvmexp.free, uvm.cached_pages()) == (uvm.param.npages, (0,) * uvm.param.ncpus)

    uvm.audit()
    if uvm.param.idlezero:
        until(all_back)
    else:
        assert all_back()
    assert uvm.counter_lag() == 0
    uvm.audit()
