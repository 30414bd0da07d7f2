"""The virtual Machine: N CPUs in deterministic virtual time, for the same allocator that runs on real threads.

=> The same seed is the same run, in whatever process and with whatever kind of strand.
=> Time passes where a cost is charged (machine/costs.py), by `charge()` and by `sleep()`; Python's does not count.
=> It belongs to the OS thread that made it, whose strand is `main`, of no CPU.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final, TypeVar, cast

from uvmfree.errors import HangError, ParamError
from uvmfree.kern.lock import LockHandle, RawLock
from uvmfree.kern.lockdebug import LockDebug
from uvmfree.kern.lockholds import LockHolds
from uvmfree.kern.lockrank import LockRank
from uvmfree.kern.locktrace import LockTrace
from uvmfree.kern.lockwatch import LockWatch
from uvmfree.kern.mutex import Condvar, Mutex
from uvmfree.machine.costs import LOOKS, Costs, costs_for
from uvmfree.machine.face import Stack, Task
from uvmfree.machine.virtual.checked import CheckedScheduler, Journal
from uvmfree.machine.virtual.events import NS, VirtualDisk, VirtualEvent, VirtualRawLock
from uvmfree.machine.virtual.fifo import Fifo
from uvmfree.machine.virtual.jitter import Jitter
from uvmfree.machine.virtual.lines import Lines, VirtualRam
from uvmfree.machine.virtual.locks import Prices, Taken
from uvmfree.machine.virtual.policies import POLICIES
from uvmfree.machine.virtual.scheduler import Scheduler
from uvmfree.machine.virtual.strands import Place, Strand, kind_named
from uvmfree.machine.virtual.topology import moves, socket_of
from uvmfree.machine.virtual.watchdog import watch
from uvmfree.machine.virtual.words import VirtualSharedWords, VirtualWords
from uvmfree.param import NCPUS_MAX

T = TypeVar("T")

TICK_NS: Final = 100_000
"""How often who waits for tasks first asks whether to stop, in virtual time: a hundred steps of each CPU."""
TICK_NS_MAX: Final = 100_000_000
TICK_HOST_S: Final = 0.05
"""How often it shall ask by the host's clock. Ticks become longer or shorter for that: Scheduler.stand_by()."""

FIRST_LOOK_S: Final = 1e-6
"""How long after it was found held it is first looked whether a lock has come free; each time after twice as long."""

ABANDONED_WAITS: Final = 1000
"""Parts of a second in which strands that were given up may still put in order what they hold."""

_UNFINISHED: Final[set[Scheduler]] = set()
"""Schedulers with strands that have not ended: collected, a greenlet would run on in the middle of another run."""


class VirtualMachine:
    """Locks, strands and time of a machine that is not there.

    => `costs`: the name of a set, or a table. `lock`: the policy of shared locks. `seed`: of the jitter.
    => `quantum_ns`: how far a CPU may run ahead on its own lock; 0 is strict. `strands`: "greenlet" or "baton".
    => `hang_s`: how long, by the host's clock, a strand may run without a shared step.
    => `check`: assert the invariants of the scheduler, and keep a `journal` (virtual/checked.py); slow.
    => `lockstat`, `lockdebug`, `lockwatch`, `locktrace`, `lockholds`: as on threads. ParamError names what is wrong.

    >>> machine = uvmfree.VirtualMachine(ncpus=8, costs="xeon-2s", seed=1)
    >>> def work():  # a thread that plays CPU 7, whose work outside of the allocator takes a microsecond a page
    ...     with uvm.run_on(7) as cpu:
    ...         for pg in [cpu.pagealloc() for _ in range(100)]:
    ...             machine.charge(1000)
    ...             cpu.pagefree(pg)
    >>> with uvmfree.boot(machine, npages=8192, ncpus=8, design="fpageqlock") as uvm:
    ...     task = machine.spawn("CPU 7", work, 7)
    ...     print(machine.wait_for([task], lambda: False), machine.clock_ns() > 100_000)
    True True
    """

    name = "virtual"

    def __init__(
        self,
        *,
        ncpus: int = 4,
        costs: str | Costs = "xeon-2s",
        lock: str = "ttas",
        seed: int = 1,
        quantum_ns: int = 1000,
        strands: str | None = None,
        hang_s: float = 60.0,
        check: bool = False,
        lockstat: bool = False,
        lockdebug: bool = False,
        lockwatch: bool = False,
        locktrace: bool = False,
        lockholds: bool = False,
    ) -> None:
        for field, value, least, most in (
            ("ncpus", ncpus, 1, NCPUS_MAX),
            ("seed", seed, 0, 2**63),
            ("quantum_ns", quantum_ns, 0, NS),
        ):
            if type(value) is not int or not least <= value <= most:
                raise ParamError(f"{field}={value!r}: must be a whole number from {least} to {most}")
        if type(hang_s) not in (int, float) or not 0 < hang_s < math.inf:
            raise ParamError(f"hang_s={hang_s!r}: must be a number of seconds above 0")
        if lock not in POLICIES:
            raise ParamError(f"lock={lock!r}: must be one of {', '.join(POLICIES)}")
        if strands not in (None, "greenlet", "baton"):
            raise ParamError(f"strands={strands!r}: must be 'greenlet' or 'baton'")
        self.costs = costs if isinstance(costs, Costs) else costs_for(costs)
        self.ncpus, self.lock, self.seed, self.quantum_ns = ncpus, lock, seed, quantum_ns
        kind = kind_named(strands)
        self.strands = kind.name
        table = moves(self.costs, ncpus)
        self._jitter = Jitter(seed, self.costs.count("jitter_percent"), lambda: self.scheduler.cpu)
        self._kind, self._hang_s = kind, hang_s
        self._places = [Place() for _ in range(ncpus)]
        self._made = 0
        self._plain: list[tuple[type, str, object]] = []
        self._named: dict[str, int] = {}
        main = Strand(self, "main", 0, -1, Place(), self._jitter.factors("main"))
        self.scheduler = (CheckedScheduler if check else Scheduler)(kind, main, quantum_ns)
        self._lines = Lines(self.scheduler, table, self.costs.count("cold_after_pages"))
        self._prices = Prices(self.scheduler, self.costs, self._jitter, self._lines)
        self.journal = Journal(self.scheduler) if check else None
        self._wakeup_ns = self.costs.ns("wakeup")
        self._disk = VirtualDisk(self.scheduler, self.costs.ns("disk_latency"), self.costs.ns("disk_page"))
        self.lockstat, self.lockdebug = lockstat, lockdebug
        self.lockwatch = LockWatch(self.raw_lock, self.me) if lockwatch else None
        self.locktrace = LockTrace(self.raw_lock, lambda: self.scheduler.current.name) if locktrace else None
        self.lockholds = LockHolds(self.raw_lock, virtual=True) if lockholds else None
        self._debug = LockDebug(self.raw_lock, self.me) if lockdebug else None

    def raw_lock(self) -> RawLock:
        """Make a lock without name, which costs nothing but a sleeper's wakeup."""
        return VirtualRawLock(self.scheduler, self._wakeup_ns)

    def mutex(self, rank: LockRank, index: int | None = None) -> Mutex:
        """Make a mutex: a CPU's own, by the kind of its rank; else a shared one, of the machine's policy."""
        return VirtualMutex(
            self,
            rank,
            index,
            raw_lock=self.raw_lock,
            clock_ns=self.clock_ns,
            lockstat=self.lockstat,
            debug=self._debug,
            watch=self.lockwatch,
            trace=self.locktrace,
            holds=self.lockholds,
        )

    def condvar(self) -> Condvar:
        """Make a condition variable."""
        return Condvar(self.raw_lock)

    def counters(self, names: tuple[str, ...]) -> Any:
        """Make zeroed words, one to a line."""
        return VirtualWords(names, self.scheduler, self._lines, self.costs.ns("atomic"))

    def words(self, count: int, *, apart: bool = False) -> VirtualSharedWords:
        """Make an array of zeroed words, whose lines CPUs own and share."""
        return VirtualSharedWords(count, apart, self.scheduler, self._lines, self.costs.ns("atomic"))

    def event(self) -> VirtualEvent:
        """Make an event, for those who wait without a lock."""
        return VirtualEvent(self.scheduler, self._wakeup_ns)

    def ram(self, nbytes: int) -> VirtualRam:
        """Map memory; storing a page takes `zero_page`."""
        return VirtualRam(nbytes, self.scheduler, self.costs.ns("zero_page"))

    def disk(self, transfer: Callable[..., T]) -> Callable[..., T]:
        """Return a transfer that takes `disk_latency`, and `disk_page` for each page, one after the other."""
        return self._disk.timed(transfer)

    def socket_of(self, cpu: int) -> int:
        """Return a CPU's socket, by the table of costs."""
        return socket_of(self.costs, cpu)

    def lined(self, cls: type[T], field: str) -> type[T]:
        """Return a subclass whose objects are a cache line each, fetched by who stores to `field`.

        => Until there is a CPU to fetch it the field is a plain slot, which is stored to without a call.
        """
        made = self._lines.lined(cls, field)
        if self.scheduler.over.is_set():
            self._plain.append((made, field, made.__dict__[field]))
            delattr(made, field)
        return made

    def _fetch_lines(self) -> None:
        """Have stores to objects that are lines fetch them: from now on there are CPUs."""
        while self._plain:
            setattr(*self._plain.pop())

    def spawn(self, name: str, body: Callable[[], None], cpu: int | None = None) -> Strand:
        """Start a strand, on a CPU or on none, now."""
        if cpu is not None and not 0 <= cpu < self.ncpus:
            raise ParamError(f"cpu={cpu}: the virtual machine has CPUs 0 to {self.ncpus - 1}")
        self._fetch_lines()
        scheduler = self.scheduler
        self._made += 1
        place = Place() if cpu is None else self._places[cpu]
        named = self._named[name] = self._named.get(name, 0) + 1
        factors = self._jitter.factors(f"{name}/{cpu}/{named}")
        strand = Strand(self, name, self._made, -1 if cpu is None else cpu, place, factors)
        scheduler.strands[strand.number] = strand
        _UNFINISHED.add(scheduler)
        if scheduler.over.is_set():
            scheduler.over.clear()
            watch(scheduler, self._hang_s)

        def life() -> Strand:
            try:
                scheduler.raise_pending()
                body()
                if scheduler.now > scheduler.head:
                    scheduler.sync()  # its end comes in its turn, too: others still do what they do before
            except BaseException as error:  # noqa: BLE001  # kept for whoever joins; nothing is swallowed
                strand.error = error
                if isinstance(error, KeyboardInterrupt):
                    scheduler.interrupt(KeyboardInterrupt())
            if len(scheduler.strands) == 2:
                _UNFINISHED.discard(scheduler)
            return scheduler.end(strand)

        self._kind.start(strand, life)
        scheduler.push(scheduler.now, strand)
        return strand

    def join(self, strand: Strand, timeout_s: float) -> bool:
        """Wait for the end of a strand, at most so many virtual seconds; whether it has ended."""
        scheduler = self.scheduler
        return self._joined(strand, lambda awaits: scheduler.park(awaits, scheduler.now + round(timeout_s * NS)))

    def wait_for(self, tasks: Sequence[Task], stop: Callable[[], bool]) -> bool:
        """Wait until all these strands have ended, and ask now and then, by the host's clock, whether to stop."""
        tick_ns, asked_s = TICK_NS, time.monotonic()
        for strand in cast("Sequence[Strand]", tasks):
            while not self._joined(strand, partial(self.scheduler.stand_by, ns=tick_ns)):
                now_s = time.monotonic()
                tick_ns = (
                    min(2 * tick_ns, TICK_NS_MAX) if now_s - asked_s < TICK_HOST_S else max(tick_ns // 2, TICK_NS)
                )
                asked_s = now_s
                if stop():
                    return False
        return True

    def _joined(self, strand: Strand, wait: Callable[[str], bool]) -> bool:
        if not strand.over:
            scheduler = self.scheduler
            me, came_ns = scheduler.current, scheduler.now
            strand.joiners.append(me)
            try:
                wait(f"the end of {strand.name}")
            finally:
                strand.joiners.remove(me)
                scheduler.now = max(scheduler.now, came_ns)  # it may have ended before its joiner's clock
        return strand.over

    def clock_ns(self) -> int:
        """Return the clock of the running strand."""
        return self.scheduler.now

    def words_waited_ns(self) -> int:
        """Return how long atomic updates have waited for the one before of their line, of all strands."""
        return self._lines.waited_ns

    @contextmanager
    def acts_as(self, cpu: int) -> Iterator[None]:
        """Have the main strand act as a CPU, whose cache then has what it touches; before any strand is started.

        => Handles of locks that are made meanwhile count nothing, and are for who acts so.
        """
        self._fetch_lines()
        scheduler = self.scheduler
        before, scheduler.cpu = scheduler.cpu, cpu
        try:
            yield
        finally:
            scheduler.cpu = before

    @property
    def acting(self) -> bool:
        """Whether the one strand that there is acts as a CPU, and nobody looks at what it does."""
        watched = self.journal or self._debug or self.lockwatch or self.locktrace or self.lockholds
        return self.scheduler.over.is_set() and self.scheduler.cpu >= 0 and watched is None

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass, with the CPU free for others."""
        self.scheduler.sleep(round(seconds * NS))

    def charge(self, ns: int) -> None:
        """Let time pass in work of the strand's own, with the jitter of such work; ParamError if it is negative."""
        if ns < 0:
            raise ParamError(f"charge({ns}): must be nanoseconds, 0 or more")
        scheduler = self.scheduler
        scheduler.now += round(ns * scheduler.current.jitter())

    def interrupts_held_back(self) -> AbstractContextManager[None]:
        """Do nothing: while the main strand waits Ctrl-C is held back (virtual/interrupt.py)."""
        return nullcontext()

    def me(self) -> int:
        """Return the number of the running strand."""
        return self.scheduler.current.number

    def stacks(self) -> tuple[Stack, ...]:
        """Return what every strand is doing, but for the one that asks."""
        frames = [(strand, self._kind.frame(strand)) for strand in self.scheduler.strands.values()]
        return tuple(
            Stack(strand.number, strand.name, tuple(traceback.format_stack(frame)))
            for strand, frame in frames
            if frame is not None and strand is not self.scheduler.current
        )

    def abandon(self) -> None:
        """Raise an error wherever a strand waits, until all have ended."""
        scheduler = self.scheduler
        scheduler.abandon(HangError("the run hangs, and was given up"))
        for _ in range(ABANDONED_WAITS):
            with suppress(HangError):
                scheduler.sleep(NS // ABANDONED_WAITS)
            if len(scheduler.strands) == 1:
                return


class VirtualMutex(Mutex):
    """A mutex whose handles charge their caller."""

    def __init__(self, machine: VirtualMachine, rank: LockRank, index: int | None, **instruments: Any) -> None:
        super().__init__(rank, index, **instruments)
        self._home = index if rank.kind in ("cpu", "off") else None
        policy = Fifo if self._home is not None else POLICIES[machine.lock]
        self._machine, self._prices = machine, machine._prices
        self._journal, self._sleep = machine.journal, machine.sleep
        self._lock = policy(machine.scheduler, self.name, machine.costs)
        if self._home is not None and self._home < machine.ncpus:
            self._lock.cpu = self._lock.open_to = self._home

    def handle(self, caller: str) -> LockHandle:
        """Make a handle; one for who acts as a CPU before there is another strand counts nothing."""
        if not self._machine.acting:
            return super().handle(caller)
        taken = self._prices.taken(self._lock, self.rank.kind, caller, self._home, alone=True)
        return LockHandle(taken.acquire, partial(taken.acquire, False), taken.release, self)

    def raw_for(self, caller: str) -> RawLock:
        """Return the lock as this caller takes it."""
        taken = self._prices.taken(self._lock, self.rank.kind, caller, self._home)
        if self._journal is None or caller == LOOKS:
            return taken
        return self._journal.checked(self._lock, caller, taken)

    def comes_free(self, timeout_s: float) -> bool:
        """Whether nobody holds the mutex, or nobody does any more within `timeout_s`; neither counted nor checked."""
        left_s, nap_s = timeout_s, FIRST_LOOK_S
        while self._lock.holder is not None:
            if left_s <= 0:
                return False
            self._sleep(min(nap_s, left_s))
            left_s, nap_s = left_s - nap_s, 2 * nap_s
        return True

    def wrest(self) -> None:
        """Release the mutex in the place of a holder that has gone without doing so; for the end of a system."""
        super().wrest()
        if self._lock.holder is not None:
            self._lock.drop()

    def freed_ns_of(self, raw: RawLock) -> Callable[[], int] | None:
        """Return what tells when this access of it was last over."""
        return raw.freed_ns if isinstance(raw, Taken) else None

    def guards(self, touched: object) -> None:
        """Let a hold cost what the list says was touched from now on."""
        super().guards(touched)
        self._lock.guarded = self._guarded
