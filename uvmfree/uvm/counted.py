"""What can be read of a system: what its CPUs and its locks count, and where its free pages are.

=> Nothing is changed by reading, but for a lock that is taken where that is said; count_anew() is no reading.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from uvmfree.errors import ArgumentError
from uvmfree.kern.eventlog import EventLog
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.lockstat import LockStat
from uvmfree.kern.mutex import Mutex
from uvmfree.kern.xcall import Xcall
from uvmfree.param import Param
from uvmfree.uvm.anonmaps import AnonMaps
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.drainer import Drainer
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.pglist import PgList
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.uvmexp import CpuStats, UvmExp


class Counted:
    """A system, as far as it is read; its parts are made by Uvm."""

    param: Param
    uvmexp: UvmExp
    events: EventLog
    xcall: Xcall[Cpu]
    pageout: Pageout
    _state: UvmState
    _design: Design[Any]
    _drainer: Drainer
    _pglist: PgList
    _anon_maps: AnonMaps
    _observer: list[LockHandle]

    def redistributions(self) -> dict[str, int]:
        """Return how many redistributions moved pages, by cause; `rate-limited`: those that were not done for that.

        => Causes: timer (P9), pressure (P10), explicit, retry (`drain_retry`), pglistalloc (P7); and a design's own.
        """
        return {
            **dict.fromkeys(("timer", "pressure", "explicit", "retry"), 0),
            **self._design.redistributions(),
            "pglistalloc": self._pglist.drained,
            "rate-limited": self._drainer.rate_limited,
        }

    def counter_lag(self) -> int:
        """Return by how many pages uvmexp.free is ahead of the global list."""
        free, listed = self.free_and_listed()
        return free - listed

    def free_and_listed(self) -> tuple[int, int]:
        """Return uvmexp.free and the pages in the store, both of one moment under the design's shared locks.

        => Counted as an acquisition of each by the caller `observer`.
        => The same twice where nothing is counted that could lag: where uvmexp.free is summed up by who asks.
        """
        with ExitStack() as held:
            for handle in self._observer:
                held.enter_context(handle)
            self._check_open()
            free = self.uvmexp.free
            return free, sum(self._design.stock()) if self._design.publishes else free

    def lockstat(self, *, by_caller: bool = False) -> tuple[LockStat, ...]:
        """Return what the locks counted, one record per lock, or per lock and caller that took it.

        => Since boot, or count_anew().
        => ArgumentError unless the system was booted with lockstat=True.
        """
        if not self.param.lockstat:
            raise ArgumentError("the locks of this system count nothing; boot(..., lockstat=True) makes them")
        records = (record for mutex in self._mutexes() for record in mutex.snapshot(by_caller=by_caller))
        return tuple(record for record in records if record.acquired or not by_caller)

    def cpu_stats(self) -> tuple[CpuStats, ...]:
        """Return what each CPU counted since boot, by CPU; exact at rest."""
        return tuple(cpu.stats() for cpu in self._design.cpus)

    def cached_pages(self) -> tuple[int, ...]:
        """Return how many pages stand in each CPU's cache, one number a CPU; without a lock, O(lists)."""
        return tuple(self._design.cached(index) for index in range(self.param.ncpus))

    def free_frames(self) -> list[list[int]]:
        """Return the frame numbers on each free list, head last, without a lock; exact at rest. O(npages)."""
        return [[pg.pfn for pg in walked.real] for walked in self._design.walk()]

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
            *self._design.shared_locks,
            *self._design.cpu_locks,
            self.xcall.mutex,
            self.pageout.mutex,
            *self._anon_maps.mutexes(),
        )

    def _check_open(self) -> None:
        raise AssertionError("a system knows whether it is open")
