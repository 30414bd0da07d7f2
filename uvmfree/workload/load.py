"""A load: a workload bound to one system, for one run, with what has to be set up before and looked at after it.

=> Made before the system starts its threads, since an anon map has to be (Uvm.anon_memory).
"""

from collections.abc import Callable, Sequence
from typing import Final

from uvmfree.errors import HangError
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import STILL_S, Body, Lane, StoppedError
from uvmfree.workload.thinking import PageCpu

WAIT_S: Final = 0.25
"""How long one uvm_wait may last before the caller tries again: the longest that a sleep beside free pages may be."""

PROBE_S: Final = 5.0
"""Time after which an allocation at rest counts as failed, far beyond any pageout. Not a number of waits: as long as
the daemon may not drain the caches again (redistribute_min_gap_s), dozens end in vain within milliseconds."""


class Load:
    """A workload on one system.

    => `bodies`: what its CPUs run. `anons`: the map that the daemon reclaims from, if there is one.
    => `counts()`: what the load counted, by name; after the run. `outside_ns()`: the time that all CPUs have spent in
       the recorded gaps between operations so far, where a load has them, and `stall_ns()` in waiting for each other;
       None where not.
    """

    def __init__(
        self,
        uvm: Uvm,
        bodies: Sequence[Body],
        anons: AnonMemory | None = None,
        counts: Callable[[], dict[str, int]] = dict,
        outside_ns: Callable[[], int] | None = None,
        stall_ns: Callable[[], int] | None = None,
    ) -> None:
        self.bodies, self.anons, self.counts = bodies, anons, counts
        self.outside_ns, self.stall_ns = outside_ns, stall_ns
        self._uvm = uvm

    def settle(self) -> int:
        """Wait until nothing is being paged out; then return how many CPUs cannot get a page: false out-of-memory.

        => By then there is something to be had on every CPU: pages are free, or cached, or can be reclaimed.
        => HangError if pages stay on their way to swap. For when no thread plays a CPU.
        """
        uvm = self._uvm
        if not uvm.pageout.arrived.sleep_until(lambda: not uvm.uvmexp.paging, STILL_S):
            raise HangError(f"{uvm.uvmexp.paging} pages have been on their way to swap for {STILL_S:.0f} s")
        failed = 0
        if self.anons is not None:
            for cpu in uvm.cpus:
                pg = _probe(uvm, cpu)
                if pg is None:
                    failed += 1
                else:
                    cpu.pagefree(pg)
        return failed

    def release(self) -> None:
        """Check the stamps' bookkeeping and let go of the map's pages; AuditError lists what is wrong."""
        if self.anons is not None:
            self.anons.audit()
            self.anons.free_all(self._uvm.cpus[0])
            self.anons.audit()


def pagealloc_waiting(uvm: Uvm, cpu: PageCpu, lane: Lane, zero: bool = False) -> VmPage:
    """Allocate a page; where none is to be had wait for one, as a fault does (uvm_fault, R18).

    => Each failure counts in `lane.failed`, the time in `lane.stall_ns`. StoppedError, or HangError after STILL_S.
    """
    pg = cpu.pagealloc(zero)
    began_ns = uvm.machine.clock_ns() if pg is None else 0
    while pg is None:
        lane.failed += 1
        if lane.stopped:
            raise StoppedError("the run was stopped")
        tried_ns = uvm.machine.clock_ns()
        if tried_ns - began_ns > STILL_S * 1e9:
            raise HangError(f"CPU {lane.index} has waited {STILL_S:.0f} s for a page")
        uvm.wait(WAIT_S)
        lane.stall_ns += uvm.machine.clock_ns() - tried_ns
        pg = cpu.pagealloc(zero)
    return pg


def _probe(uvm: Uvm, cpu: Cpu) -> VmPage | None:
    """Allocate a page, waiting for one for a bounded time."""
    give_up_ns = uvm.machine.clock_ns() + round(PROBE_S * 1e9)
    pg = cpu.pagealloc()
    while pg is None and uvm.machine.clock_ns() < give_up_ns:
        uvm.wait(WAIT_S)
        pg = cpu.pagealloc()
    return pg
