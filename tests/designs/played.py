"""A real system as the player of a pattern: any design through the public face, in one strand of virtual time.

=> `lock_of(name)`: what kind of lock a name is of; a lock of "store" guards pages of the store, one of "depot" is
   another that CPUs share, None is neither.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import uvmfree
from tests.designs.patterns import Counts
from tests.designs.reference import NCOLORS, NCPUS, NPAGES
from uvmfree.kern.lockrank import UVM_CPU, UVM_FPAGEQLOCK
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import OBSERVER, Uvm

NOT_PAGES = ("xcall", "uvm_pageout_lock", "uvm_pageqlock", "swapio", UVM_CPU.name)
"""Locks that have nothing to do with where a free page stands, and the CPUs' own."""


def lock_of(name: str, others: set[str]) -> str | None:
    """Tell a lock by its name: with one kind of shared lock that is the store's, with two uvm_fpageqlock is."""
    kind = name.partition("[")[0]
    if kind in NOT_PAGES:
        return None
    return "store" if kind == UVM_FPAGEQLOCK.name or others <= {kind} else "depot"


class Played:
    """A booted system that patterns are played on; closed at the end of a `with` block."""

    def __init__(self, design: str, *, ncpus: int = NCPUS, npages: int = NPAGES, **tunables: Any) -> None:
        self.ncpus = ncpus
        machine = uvmfree.VirtualMachine(ncpus=ncpus, seed=1, lockstat=True)
        sizes = {"ncpus": ncpus, "npages": npages, "ncolors": NCOLORS}
        self.uvm: Uvm = uvmfree.boot(machine=machine, design=design, lockstat=True, **sizes, **tunables)
        self._cpus = self.uvm.cpus
        self._before = Counts(0, 0, 0, 0, 0)

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
        parked = getattr(self.uvm.design, "parked", lambda: 0)
        return sum(self.uvm.cached_pages()) + int(parked())

    def counts(self, most_cached: int) -> Counts:
        """Return what has been counted since the system was started."""
        locks = {"store": 0, "depot": 0, None: 0}
        callers = [lock for lock in self.uvm.lockstat(by_caller=True) if lock.caller != OBSERVER]
        kinds = {lock.name.partition("[")[0] for lock in callers} - set(NOT_PAGES)
        for lock in callers:
            locks[lock_of(lock.name, kinds)] += lock.acquired
        stats = self.uvm.cpu_stats()
        moved, atomics = sum(cpu.filled + cpu.drained for cpu in stats), sum(cpu.atomics for cpu in stats)
        before = self._before
        return Counts(
            locks["store"] - before.store,
            locks["depot"] - before.depot,
            moved - before.moved,
            most_cached,
            atomics - before.atomics,
        )
