"""The parts of a system, how they are tied together, and what can be read of them.

=> Nothing is changed by reading, but for a lock that is taken where that is said; count_anew() is no reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from uvmfree.errors import ArgumentError, ClosedError, ForkError, HangError
from uvmfree.kern.eventlog import EventLog
from uvmfree.kern.lockstat import LockStat
from uvmfree.kern.mutex import Mutex
from uvmfree.kern.xcall import Xcall
from uvmfree.machine.face import Machine
from uvmfree.param import Param
from uvmfree.uvm.anonmaps import AnonMaps
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.drainer import Drainer
from uvmfree.uvm.hotplug import Hotplug
from uvmfree.uvm.idle import IdleThreads
from uvmfree.uvm.locked import held
from uvmfree.uvm.ownthreads import OwnThreads
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.pdaemon import Pagedaemon
from uvmfree.uvm.pglist import PgList
from uvmfree.uvm.physmem import PhysMem, split
from uvmfree.uvm.players import Players
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.uvmexp import COUNTERS, CpuStats, DaemonStats, UvmExp, Watermarks, tune

OBSERVER: Final = "observer"
"""The caller under which lockstat counts what watching a run costs; to be left out of a run's figures."""


class Parts:
    """What belongs to one system; uvm/system.py does with it what its users ask for."""

    def __init__(self, param: Param, machine: Machine, design: type[Design[Any]], tunables: Any) -> None:
        """Make them all: lay out memory, put all pages on free lists."""
        self.param, self.machine = param, machine
        self.traits = design.traits(param, tunables)
        segments, page = split(param.npages, param.nfreelists), machine.lined(VmPage, "on")
        self.physmem = PhysMem(segments, param.ncolors, param.pagesize, machine.ram, page)
        self.events = EventLog(machine.raw_lock, machine.clock_ns)
        self._counters = machine.counters(COUNTERS)
        self._players = Players(machine)
        self.uvmexp = UvmExp(
            self._counters,
            tune(param.npages, param.ncpus, param.pagesize),
            self._cpus,
            self._daemon_stats,
            npages=param.npages,
            ncolors=param.ncolors,
            pagesize=param.pagesize,
            free=self._free,
        )
        self.pageout = Pageout(
            machine,
            self._counters,
            self._marks,
            self._countable_now,
            self._players.is_pagedaemon,
            self._needs_scan,
        )
        self._state = UvmState(
            param=param,
            tunables=tunables,
            machine=machine,
            physmem=self.physmem,
            counters=self._counters,
            uvmexp=self.uvmexp,
            pageout=self.pageout,
            events=self.events,
            lwp_of=self._players.lwp,
            countable=self._countable,
            relieve=self._relieve,
            check_open=self._check_open,
        )
        self.design: Design[Any] = design(self._state)
        self.xcall: Xcall[Cpu] = Xcall(
            machine,
            param.ncpus,
            self.design.cpus.__getitem__,
            on_timer=self._on_timer,
            interval_s=self.design.tick_s(),
            on_start=partial(self._players.set_lwp, "kernel", own=True),
        )
        self._drainer = Drainer(self._state, self.design, self.xcall)
        self.pagedaemon = Pagedaemon(
            machine,
            self.pageout,
            partial(self._drainer.drain, "pressure"),
            self.events,
            self.design.reclaiming,
            self._is_closed,
        )
        self._anon_maps = AnonMaps(self._state, self.design, self.pagedaemon, self.wait)
        self._pglist = PgList(self._state, self.design)
        idle = IdleThreads(
            machine, param.ncpus, self.design.cpus.__getitem__, self._players.is_busy, param.idle_interval_s
        )
        self._observer = [mutex.handle(OBSERVER) for mutex in self.design.shared_locks]
        self._hotplug = Hotplug(self._state, self.design, self.xcall)
        self._threads = OwnThreads(
            machine,
            self._players,
            self.pageout,
            self.pagedaemon,
            self.xcall,
            self._anon_maps,
            idle if param.idlezero else None,
        )
        self._started = False
        self._closed = False
        self._forked = False  # stored in the child of a fork, which has one thread

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until pages may be had, then try again (uvm_wait, R18); False if the time ran out.

        => The CPU that the caller plays is idle meanwhile. No lock may be held.
        => ClosedError when the system closes, HangError if the pagedaemon has died or was never started.
        """
        self._check_open()
        if not self._started:
            raise HangError("the pagedaemon was not started; use the system in a `with` block")
        index = self._players.mine()
        self._players.set_busy(index, False)
        try:
            return self.pageout.wait(timeout_s)
        finally:
            self._players.set_busy(index, True)

    def redistributions(self) -> dict[str, int]:
        """Return how many redistributions moved pages, by cause; `rate-limited`: those that were not done for that.

        => Causes: timer (P9), pressure (P10), explicit, retry (`drain_retry`), pglistalloc (P7); and a design's own.
        """
        return {
            **dict.fromkeys(("timer", "pressure", "explicit", "retry"), 0),
            **self.design.redistributions(),
            "pglistalloc": self._pglist.drained,
            "rate-limited": self._drainer.rate_limited,
        }

    def counter_lag(self) -> int:
        """Return by how many pages uvmexp.free is ahead of the global list; O(lists of the store)."""
        free, listed = self.free_and_listed()
        return free - listed

    def free_and_listed(self) -> tuple[int, int]:
        """Return uvmexp.free and the pages in the store, both of one moment under the design's shared locks.

        => Counted as an acquisition of each by the caller `observer`.
        => The same twice where nothing is counted that could lag: where uvmexp.free is summed up by who asks.
        """
        with held(self._observer):
            self._check_open()
            free = self.uvmexp.free
            return free, sum(self.design.stock()) if self.design.publishes else free

    def lockstat(self, *, by_caller: bool = False) -> tuple[LockStat, ...]:
        """Return what the locks counted, one record per lock, or per lock and caller that took it.

        => Since boot, or count_anew(). O(locks), or O(locks x callers).
        => ArgumentError unless the system was booted with lockstat=True.
        """
        if not self.param.lockstat:
            raise ArgumentError("the locks of this system count nothing; boot(..., lockstat=True) makes them")
        records = (record for mutex in self._mutexes() for record in mutex.snapshot(by_caller=by_caller))
        return tuple(record for record in records if record.acquired or not by_caller)

    def cpu_stats(self) -> tuple[CpuStats, ...]:
        """Return what each CPU counted since boot, by CPU; exact at rest. O(CPUs x lists)."""
        return tuple(cpu.stats() for cpu in self.design.cpus)

    def cached_pages(self) -> tuple[int, ...]:
        """Return how many pages stand in each CPU's cache, one number a CPU; without a lock, O(lists)."""
        return tuple(self.design.cached(index) for index in range(self.param.ncpus))

    def free_frames(self) -> list[list[int]]:
        """Return the frame numbers on each free list, head last, without a lock; exact at rest. O(npages)."""
        return [[pg.pfn for pg in walked.real] for walked in self.design.walk()]

    def count_anew(self) -> None:
        """Have locks, the event log and uvm_wait forget what they counted: maxima and histograms begin now.

        => While no CPU is at work, or in virtual time. What CPUs and uvmexp count is not forgotten: it is subtracted.
        """
        for mutex in self._mutexes():
            mutex.restart()
        self.events.restart()
        self.pageout.restart()

    def _mutexes(self) -> tuple[Mutex, ...]:
        """Return all locks of the system that have a rank."""
        return (
            *self.design.shared_locks,
            *self.design.cpu_locks,
            self.xcall.mutex,
            self.pageout.mutex,
            *self._anon_maps.mutexes(),
        )

    # What a part asks of one that is made after it:

    def _cpus(self) -> Sequence[Cpu]:
        return self.design.cpus

    def _free(self) -> int:
        return self.design.free()

    def _marks(self) -> Watermarks:
        return self.uvmexp.marks

    def _countable_now(self) -> int:
        return self._countable(self.uvmexp.free)

    def _needs_scan(self) -> bool:
        return self.pagedaemon.needs_scan()

    def _relieve(self) -> bool:
        return self._drainer.drain("retry")

    def _is_closed(self) -> bool:
        return self._closed

    def _on_timer(self, index: int) -> None:
        self.design.tick(index)
        self.pageout.wake_waiters()

    def _daemon_stats(self) -> DaemonStats:
        daemon = self.pagedaemon
        return DaemonStats(
            pdwoke=daemon.pdwoke,
            pdrevs=daemon.pdrevs,
            pdscans=daemon.pdscans,
            pdfreed=self._anon_maps.pdfreed(),
            pdpageouts=self._anon_maps.pdpageouts(),
            waiters=self.pageout.waiters,
        )

    def _countable(self, free: int) -> int:
        """Return what counts as free, with so many pages on the global list (Q3)."""
        return free + sum(self.cached_pages()) if self.param.count_cached and self.traits.free == "store" else free

    def _check_open(self) -> None:
        if self._forked:
            raise ForkError("this system is the parent process's; boot() another in the child of a fork")
        if self._closed:
            raise ClosedError("the system is closed; boot() another")
