"""A booted system: the public face over one design, its threads and its memory.

=> `boot()` builds it, `with uvm:` starts its threads and ends them. What needs no threads works before.
=> Everything that belongs to one system hangs on it; two systems in one process share nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from uvmfree.errors import ArgumentError, BindError, ClosedError, ParamError
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.kern.lockstat import LockStat
from uvmfree.kern.machine import Machine
from uvmfree.kern.threads import ThreadsMachine
from uvmfree.kern.xcall import Xcall
from uvmfree.param import Param
from uvmfree.uvm.allocator import Cpu, Lwp, UvmState
from uvmfree.uvm.audit import audit
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.physmem import PhysMem, split
from uvmfree.uvm.uvmexp import COUNTERS, CpuStats, UvmExp, tune

OBSERVER: Final = "observer"
"""The caller under which lockstat counts what watching a run costs; to be left out of a run's figures."""


def boot(machine: Machine | None = None, **tunables: Any) -> Uvm:
    """Build a system; keyword arguments are fields of Param.

    => ParamError names a tunable that does not exist, or is out of range, and the limit.
    => `machine` is what it runs on: real threads by default.
    """
    try:
        param = Param(**tunables)
    except TypeError:
        unknown = ", ".join(sorted(set(tunables) - set(Param.__dataclass_fields__)))
        known = ", ".join(Param.__dataclass_fields__)
        raise ParamError(f"no tunable is called {unknown}; there are {known}") from None
    if param.design not in REGISTRY:
        raise ParamError(f"design={param.design!r}: must be one of {', '.join(REGISTRY)}")
    if machine is None:
        machine = ThreadsMachine(lockstat=param.lockstat, lockdebug=param.lockdebug)
    return Uvm(param, machine)


class Uvm:
    """A system of pages, CPUs and counters.

    => `uvmexp`: the counters. `xcall`: cross-calls. `param`: what it was booted with. `physmem`: RAM.
    => `machine`: the Machine that it runs on, for those who drive it.
    """

    def __init__(self, param: Param, machine: Machine) -> None:
        """Boot: lay out memory, put all pages on free lists. Use boot() instead."""
        self.param = param
        self.machine = machine
        self.physmem = PhysMem(split(param.npages, param.nfreelists), param.ncolors, param.pagesize)
        self._counters = machine.counters(COUNTERS)
        marks = tune(param.npages, param.ncpus, param.pagesize)
        # What kind of thread is who. Replaced whole under _binding, never changed in place: a reader without a
        # lock loads one reference and sees one state or the next.
        self._lwps: dict[int, Lwp] = {}
        self._players: dict[int, int] = {}  # CPU -> the thread that plays it; guarded by _binding
        self._binding = machine.raw_lock()
        self._state = UvmState(
            param=param,
            machine=machine,
            physmem=self.physmem,
            counters=self._counters,
            marks=marks,
            fpageqlock=machine.mutex(UVM_FPAGEQLOCK),
            cpu_mutexes=tuple(machine.mutex(UVM_CPU, index) for index in range(param.ncpus)),
            cpus=[],
            lwp_of=lambda: self._lwps.get(machine.me(), "user"),
        )
        self.uvmexp = UvmExp(
            self._counters,
            marks,
            lambda: self._state.cpus,
            npages=param.npages,
            ncolors=param.ncolors,
            pagesize=param.pagesize,
        )
        self._design = REGISTRY[param.design](self._state)
        self.xcall: Xcall[Cpu] = Xcall(
            machine,
            param.ncpus,
            self._state.cpus.__getitem__,
            on_timer=self._design.on_timer,
            interval_s=param.redistribute_interval_s,
            on_start=lambda: self._set_lwp("kernel"),
        )
        self._observer = self._state.fpageqlock.handle(OBSERVER)
        self._started = False
        self._closed = False

    def __enter__(self) -> Uvm:
        """Start the threads of the system."""
        self._check_open()
        if not self._started:
            self._started = True
            self.xcall.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Run the queued cross-calls, end the threads, refuse further calls, let go of all pages; idempotent.

        => HangError or XcallError if a thread hung or died; the system is closed all the same.
        => Do not close a system that a thread still plays a CPU of: its next call raises ClosedError.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.xcall.close()
        finally:
            self._design.stop(self._check_open)
            self._counters.close()
            self.physmem.close()

    @property
    def cpus(self) -> Sequence[Cpu]:
        """The CPUs, by number; an entry is the object that plays the CPU now. Good for single-threaded use."""
        return tuple(self._state.cpus)

    @contextmanager
    def run_on(self, index: int, lwp: Lwp = "user") -> Iterator[Cpu]:
        """Bind the calling thread to a CPU and yield the Cpu, built by this thread so that it shares nothing.

        => One thread at a time plays a CPU: BindError if another does. An object of this CPU that was had
           before raises BindError from now on.
        => `lwp`: what kind of thread this is; a "kernel" thread may use the kernel reserve (R5).
        """
        if type(index) is not int or not 0 <= index < self.param.ncpus:
            raise ArgumentError(f"run_on({index!r}): there are CPUs 0 to {self.param.ncpus - 1}")
        if lwp not in ("user", "kernel", "pagedaemon"):
            raise ArgumentError(f"lwp={lwp!r}: must be 'user', 'kernel' or 'pagedaemon'")
        self._check_open()
        me = self.machine.me()
        with self._binding:
            if index in self._players:
                raise BindError(f"CPU {index} is played by thread {self._players[index]} already")
            self._players[index] = me
        before = self._lwps.get(me, "user")
        self._set_lwp(lwp)
        try:
            yield self._design.bind(index)
        finally:
            self._set_lwp(before)
            with self._binding:
                del self._players[index]

    def redistribute(self, cpu: int | None = None) -> int:
        """Hand the cached pages of one CPU, or of all, to the global list (P8); return how many were moved."""
        self._check_open()
        if cpu is None:
            return sum(self._design.redistribute(index) for index in range(self.param.ncpus))
        if type(cpu) is not int or not 0 <= cpu < self.param.ncpus:
            raise ArgumentError(f"redistribute({cpu!r}): there are CPUs 0 to {self.param.ncpus - 1}")
        return self._design.redistribute(cpu)

    def audit(self) -> None:
        """Walk everything at rest; AuditError lists what is wrong (uvm/audit.py)."""
        self._check_open()
        audit(self._state, self._design)

    def counter_lag(self) -> int:
        """Return by how many pages uvmexp.free is ahead of the global list, at one moment under uvm_fpageqlock.

        => Counted as an acquisition by the caller `observer`.
        """
        self._check_open()
        with self._observer:
            return self.uvmexp.free - self._design.global_free()

    def lockstat(self, *, by_caller: bool = False) -> tuple[LockStat, ...]:
        """Return what the locks counted since boot, one record per lock or per lock and caller.

        => ArgumentError unless the system was booted with lockstat=True.
        """
        if not self.param.lockstat:
            raise ArgumentError("the locks of this system count nothing; boot(..., lockstat=True) makes them")
        mutexes = (self._state.fpageqlock, *self._state.cpu_mutexes, self.xcall.mutex)
        return tuple(record for mutex in mutexes for record in mutex.snapshot(by_caller=by_caller))

    def cpu_stats(self) -> tuple[CpuStats, ...]:
        """Return what each CPU counted since boot; exact at rest."""
        return tuple(cpu.stats() for cpu in self._state.cpus)

    def cached_pages(self) -> tuple[int, ...]:
        """Return how many pages stand in each CPU's cache, by walking the lists' lengths without a lock."""
        return tuple(cpu.cached_pages() for cpu in self._state.cpus)

    def _set_lwp(self, lwp: Lwp) -> None:
        me = self.machine.me()
        with self._binding:
            others = {thread: kind for thread, kind in self._lwps.items() if thread != me}
            self._lwps = others if lwp == "user" else {**others, me: lwp}

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the system is closed; boot() another")


def designs() -> dict[str, str]:
    """Return a one-line description of each design, by name."""
    return {name: design.summary for name, design in REGISTRY.items()}
