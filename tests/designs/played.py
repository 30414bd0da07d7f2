"""A real system as the player of a pattern: any design through the public face, in one strand of virtual time.

=> Of the locks that CPUs share, those of a design's last rank guard its store; others are its depot's.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import uvmfree
from tests.designs.patterns import Counts
from tests.designs.reference import NCOLORS, NCPUS, NPAGES
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import OBSERVER, Uvm


class Played:
    """A booted system that patterns are played on; closed at the end of a `with` block."""

    def __init__(self, design: str, *, ncpus: int = NCPUS, npages: int = NPAGES, **tunables: Any) -> None:
        self.ncpus = ncpus
        machine = uvmfree.VirtualMachine(ncpus=ncpus, seed=1, lockstat=True, lockholds=True)
        sizes = {"ncpus": ncpus, "npages": npages, "ncolors": NCOLORS}
        self.uvm: Uvm = uvmfree.boot(machine=machine, design=design, lockstat=True, **sizes, **tunables)
        self._cpus = self.uvm.cpus
        self._before = Counts(0, 0, 0, 0, 0, 0)

    def __enter__(self) -> Played:
        self.uvm.__enter__()
        self._before = self.counts(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.uvm.audit()
        finally:
            self.uvm.close()

    def alloc(self, cpu: int, color: int | None = None) -> VmPage:
        """Allocate one page."""
        pg = self._cpus[cpu].pagealloc(color=color) if color is not None else self._cpus[cpu].pagealloc()
        assert pg is not None
        return pg

    def free(self, cpu: int, page: VmPage) -> None:
        """Free one page."""
        self._cpus[cpu].pagefree(page)

    def tick(self) -> None:
        """Let a second pass, and a little more: the timers of all CPUs are through."""
        self.uvm.machine.sleep(1.001)

    def cached(self) -> int:
        """Count what is in caches, and parked between them."""
        return sum(self.uvm.cached_pages()) + self.uvm.design.parked()

    def longest_hold(self, caller: str) -> int:
        """Return the most items that a hold of a shared lock touched, of those by a caller."""
        holds = self.uvm.machine.lockholds
        assert holds is not None
        return max((max(one.items) for one in holds.snapshot() if one.caller == caller), default=0)

    def counts(self, most_cached: int) -> Counts:
        """Return what has been counted since the system was started."""
        names = {mutex.name: mutex.rank.name for mutex in self.uvm.design.shared_locks}
        store = next(reversed(names.values()), "none is shared")
        taken = [
            (names[lock.name] == store, lock.acquired)
            for lock in self.uvm.lockstat(by_caller=True)
            if lock.name in names and lock.caller != OBSERVER
        ]
        stats = self.uvm.cpu_stats()
        moved, atomics = sum(cpu.filled + cpu.drained for cpu in stats), sum(cpu.atomics for cpu in stats)
        before = self._before
        return Counts(
            sum(times for of_store, times in taken if of_store) - before.store,
            sum(times for of_store, times in taken if not of_store) - before.depot,
            moved - before.moved,
            0,
            most_cached,
            atomics - before.atomics,
        )
