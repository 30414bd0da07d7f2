"""The mark: the moment from which a run counts, after its warm-up, if it has one.

=> What keeps maxima and histograms begins anew there. What CPUs and the system count since boot is noted, and
   subtracted from what they have counted in the end.
=> In virtual time nobody runs meanwhile, and looking costs no CPU anything. Real threads have no warm-up: there a
   kernel thread may be inside a lock, and what would begin anew counts since boot.
"""

from dataclasses import fields, replace
from typing import Final, TypeVar

from uvmfree.measure.counting import Counts
from uvmfree.measure.machine_facts import VIRTUAL
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import CpuStats, UvmExpSnapshot, Watermarks

Counters = TypeVar("Counters", CpuStats, UvmExpSnapshot)

LEVELS: Final = frozenset(
    {"index", "cached", "pagesize", "npages", "ncolors", "free", "zeropages", "paging", "pdpending", "waiters"}
    | {mark.name for mark in fields(Watermarks)}
)
"""Fields that do not count what happened: they say how it is now."""


class Mark:
    """The counters of a system at a moment; each method returns what was counted since.

    => `counts`: what tallies the page operations of the system, if anything does.
    """

    def __init__(self, uvm: Uvm, counts: Counts | None = None) -> None:
        self._uvm = uvm
        if uvm.machine.name == VIRTUAL:
            uvm.count_anew()
        if counts is not None:
            counts.restart()
        self.began_ns = uvm.machine.clock_ns()
        self._cpus, self._uvmexp = uvm.cpu_stats(), uvm.uvmexp.snapshot()
        self._redistributions, self._ranged_pages = uvm.redistributions(), _ranged_pages(uvm)

    def cpus(self) -> tuple[CpuStats, ...]:
        """Return what each CPU counted; `cached` is what there is."""
        return tuple(map(_since, self._uvm.cpu_stats(), self._cpus))

    def uvmexp(self) -> UvmExpSnapshot:
        """Return what all of them counted, and the daemon; LEVELS are as they are."""
        return _since(self._uvm.uvmexp.snapshot(), self._uvmexp)

    def redistributions(self) -> dict[str, int]:
        """Return how many redistributions moved pages, by cause."""
        return {cause: times - self._redistributions[cause] for cause, times in self._uvm.redistributions().items()}

    def ranged_pages(self) -> int:
        """Return how many pages pglistalloc handed out."""
        return _ranged_pages(self._uvm) - self._ranged_pages


def _since(now: Counters, before: Counters) -> Counters:
    counted = (each.name for each in fields(now) if each.name not in LEVELS)
    return replace(now, **{name: getattr(now, name) - getattr(before, name) for name in counted})


def _ranged_pages(uvm: Uvm) -> int:
    """Return how many pages pglistalloc ever handed out: those in use, or freed since, that no CPU allocated."""
    design = uvm.design
    in_use = uvm.param.npages - sum(design.stock()) - sum(uvm.cached_pages()) - design.parked()
    return in_use - sum(cpu.allocs - cpu.frees for cpu in uvm.cpu_stats())
