"""One who watches the counters of a system while its CPUs work, and knows how far off they may be.

Two kinds of looks, as fast as it can:

    unlocked    reads uvmexp as anybody may (P1): each value within the bounds of tests/threads/limits.py, whole (no
                value that the counter never had), and what only grows never less than before
    locked      holds uvm_fpageqlock, so that the global list stands still, and compares the counter with its length:
                the gap is at most what the CPUs have in hand at this very moment

=> What they have in hand at this moment is known in one of two ways. Either the observer tries to take the locks of
   the CPUs too: one that it got has nothing in hand. Or the locks are those of a SpyMachine, which note who holds
   them for which call, and how much the CPU had cached when it was taken.
=> Both are sound without luck: whoever has changed the global list and not yet the counters took the CPU's lock
   before this observer took uvm_fpageqlock, and holds it until the counters are changed. That is the claim under
   test; a counter that is changed later, or earlier, shows as a gap that nobody has in hand.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvmfree
from tests.kern.tasks import await_event
from tests.threads.limits import Limits
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK, LockRank
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.page import ZEROS, Place

OBSERVER = "observer"
"""The caller under which the observer takes locks."""
LINGER, LINGER_POLLS = 3, 20
LOOKS = 8
"""Looks between two pauses of the observer: without any it takes a whole processor from those it watches."""

READS = 16
"""Unlocked reads of each counter for one locked look."""

GROWING = (
    "cpuhit", "cpumiss", "colormiss", "pga_zerohit", "pga_zeromiss", "zeroaborts", "pdwoke", "pdrevs", "pdscans",
    "pdfreed", "pdpageouts",
)  # fmt: skip
"""Fields of a snapshot that only grow. `cached`, `colorhit` are differences of such, read one after the other."""


@dataclass
class Seen:
    """What an observer saw: the widest gaps, with the bound that held at that moment."""

    looks: int = 0
    reads: int = 0
    high: tuple[int, int] = (0, 0)
    low: tuple[int, int] = (0, 0)

    def wider(self, other: Seen) -> Seen:
        return Seen(
            self.looks + other.looks, self.reads + other.reads, max(self.high, other.high), min(self.low, other.low)
        )


@dataclass(frozen=True)
class Holder:
    """Who holds the lock of a CPU, for which call, and how many pages the CPU had cached when it was taken."""

    caller: str
    cached: int


class _SpyMutex(Mutex):
    """A lock that notes who holds it, and lets the observer look right after it was dropped."""

    holder: Holder | None = None  # one reference, written by whoever holds the lock
    cached: Callable[[], int] = staticmethod(lambda: 0)
    linger: Callable[[], None] = staticmethod(lambda: None)

    def handle(self, caller: str) -> LockHandle:
        plain = super().handle(caller)

        def acquire() -> None:
            plain.acquire()
            self.holder = Holder(caller, self.cached())

        def try_acquire() -> bool:
            got = plain.try_acquire()
            if got:
                self.holder = Holder(caller, self.cached())
            return got

        def release() -> None:
            self.holder = None
            plain.release()
            if caller != OBSERVER:
                self.linger()

        return LockHandle(acquire, try_acquire, release)


class PageLocksMachine(ThreadsMachine):
    """Keeps the page locks that were made on it, in lock order: those of the CPUs, then uvm_fpageqlock."""

    def __init__(self) -> None:
        super().__init__()
        self.cpu_locks: list[Mutex] = []
        self.fpageqlock: Mutex

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        mutex = self.made(rank, index)
        if rank is UVM_FPAGEQLOCK:
            self.fpageqlock = mutex
        elif rank is UVM_CPU:
            self.cpu_locks.append(mutex)
        return mutex

    def made(self, rank: LockRank, index: int | None) -> Mutex:
        return super().mutex(rank, index)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold them all: no idle thread and no xc thread is between two places."""
        with ExitStack() as held:
            for mutex in (*self.cpu_locks, self.fpageqlock):
                held.enter_context(mutex.handle(OBSERVER))
            yield


class SpyMachine(PageLocksMachine):
    """Makes page locks that note who holds them, and lets the observer look in between.

    => Every LINGER-th thread that drops a page lock waits until the observer has looked, or LINGER_POLLS polls: the
       moment between a list and its counter is a microsecond long, and would hardly ever be seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spies: list[_SpyMutex] = []  # of the CPUs
        self.looks: Callable[[], int] | None = None
        self._turns = itertools.count()

    def made(self, rank: LockRank, index: int | None) -> Mutex:
        if rank not in (UVM_CPU, UVM_FPAGEQLOCK):
            return super().made(rank, index)
        spy = _SpyMutex(rank, index, raw_lock=self.raw_lock, clock_ns=self.clock_ns, lockstat=False, debug=None)
        spy.linger = self._linger
        if rank is UVM_CPU:
            self.spies.append(spy)
        return spy

    def _linger(self) -> None:
        looks = self.looks
        if looks is not None and next(self._turns) % LINGER == 0:
            before = looks()
            for _ in range(LINGER_POLLS):
                if looks() > before:
                    break
                self.sleep(0)


class Observer:
    """Watches one system, on a thread of its own."""

    def __init__(self, uvm: uvmfree.Uvm, machine: PageLocksMachine, limits: Limits) -> None:
        self.seen = Seen()
        self._uvm, self._limits = uvm, limits
        self._design = uvm.design
        self._spies = machine.spies if isinstance(machine, SpyMachine) else []
        for spy in self._spies:
            spy.cached = lambda index=spy.index: uvm.cpus[index].cached()  # type: ignore[misc]
        self._machine = machine
        self._fpageqlock = machine.fpageqlock.handle(OBSERVER)
        self._cpu_locks = [mutex.handle(OBSERVER) for mutex in machine.cpu_locks]
        self._grown = dict.fromkeys(GROWING, 0)
        self._first, self._over = threading.Event(), threading.Event()

    def await_first(self) -> None:
        """Wait until it has looked once."""
        await_event(self._first)

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        """Look until told to stop; the last look is after that."""
        try:
            if isinstance(self._machine, SpyMachine):
                self._machine.looks = lambda: self.seen.looks
            over = False
            while not over:
                over = self._over.is_set()
                self._look_unlocked()
                self._look_locked()
                self._first.set()
                if self.seen.looks % LOOKS == 0:
                    self._machine.sleep(0)
        finally:
            if isinstance(self._machine, SpyMachine):
                self._machine.looks = None
            self._first.set()

    def _look_unlocked(self) -> None:
        exp = self._uvm.uvmexp
        low, high = self._limits.value()
        for _ in range(READS):
            free, zeropages = exp.free, exp.zeropages
            assert low <= free <= high, f"uvmexp.free is {free}, and must be from {low} to {high}"
            assert low <= zeropages <= high, f"uvmexp.zeropages is {zeropages}, and must be from {low} to {high}"
            self.seen.reads += 2
        snapshot = exp.snapshot()
        assert low <= snapshot.free <= high, snapshot
        assert 0 <= snapshot.paging <= exp.npages + 1, snapshot
        for name, before in self._grown.items():
            now = getattr(snapshot, name)
            assert now >= before, f"{name} went from {before} to {now}"
            self._grown[name] = now

    def _look_locked(self) -> None:
        with ExitStack() as held:
            held.enter_context(self._fpageqlock)
            low, high = self._spied() if self._spies else self._tried(held)
            exp = self._uvm.uvmexp
            standing, zeroed = self._standing()
            self._check("free", exp.free, standing, low, high)
            self._check("zeropages", exp.zeropages, zeroed, low, high)
            self.seen.looks += 1

    def _check(self, name: str, value: int, standing: int, low: int, high: int) -> None:
        gap = value - standing
        if not low <= gap <= high:
            holders = [spy.holder for spy in self._spies]
            raise AssertionError(
                f"uvmexp.{name} is {value}, {standing} such pages are on the global list: a gap of {gap:+}; "
                f"what is in hand allows {low:+} to {high:+} (uvm_fpageqlock held; holders of CPU locks: {holders})"
            )
        if name == "free":
            self.seen.high = max(self.seen.high, (gap, high))
            self.seen.low = min(self.seen.low, (gap, low))

    def _tried(self, held: ExitStack) -> tuple[int, int]:
        """Return the bounds of the gap, having tried to take the CPU locks; `held` gives back those that were got."""
        others = []
        for index, lock in enumerate(self._cpu_locks):
            if lock.try_acquire():
                held.callback(lock.release)
            else:
                others.append(index)
        return self._limits.gap(others)

    def _spied(self) -> tuple[int, int]:
        """Return the bounds of the gap by who holds the CPU locks now."""
        if self._limits.exact:
            return 0, 0
        low = high = 0
        for index, spy in enumerate(self._spies):
            holder = spy.holder
            if holder is not None:
                taken, put_back = self._limits.call(index, holder.caller, holder.cached)
                low, high = low - put_back, high + taken
        return low, high

    def _standing(self) -> tuple[int, int]:
        """Count the pages on the global list, and the zeroed ones, by its lists; with uvm_fpageqlock held."""
        npages = [0, 0]
        for walked in self._design.walk():
            if walked.place is not Place.GLOBAL:
                break  # caches come last, and are not locked
            if walked.owner is None:
                npages[walked.queue] += len(walked.pages) - walked.pages.ghosts
        standing, counted = sum(npages), sum(self._design.stock())
        assert standing == counted, f"{counted} counted, {standing} stand there"
        return standing, npages[ZEROS]
