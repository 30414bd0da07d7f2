"""How far the counters may lag behind the lists, derived from a program on paper (docs/locking.md has the proof).

=> In hand for CPU i: what was changed on the global list and not yet on the counters, by whoever holds the lock of
   CPU i. Pages taken make a counter too high, by at most `refill`; pages handed back make it too low, by at most what
   the CPU had cached.
=> A run of pages off the global list is taken by way of one CPU: at most its size too high for each. Otherwise a
   contiguous allocation holds all CPU locks, so it is alone, and no more than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.model.operations import Op
from tests.model.page_operations import Alloc, Cycle, Discard, Free, Run, Touch
from tests.model.system_operations import Ask, Churn
from uvmfree.param import Param
from uvmfree.uvm.designs import traits_of


@dataclass(frozen=True)
class Limits:
    """Bounds on uvmexp.free minus the pages on the global list; the same hold for uvmexp.zeropages.

    => `cached_max[i]`: pages that CPU i can ever hold in its cache while the program runs.
    => `exact`: there is no lag. `spills`: caches are bounded. `anon`: the pagedaemon frees pages.
    => `refill`: pages that a miss takes. `run_max`: the most that one contiguous allocation takes.
    """

    npages: int
    exact: bool
    spills: bool
    anon: bool
    refill: int
    run_max: int
    cached_max: tuple[int, ...]

    @classmethod
    def of(cls, param: Param, cpus: Sequence[Sequence[Op]], *, conducted: int, anon: bool) -> Limits:
        """Derive the bounds of a program; `conducted`: operations of its conductor."""
        # Each may free a page on any CPU: that which it was sent to, or the lowest one if that has gone.
        calls = conducted + param.ncpus * sum(op == Ask("call") for ops in cpus for op in ops)
        idle: list[Sequence[Op]] = [()] * (param.ncpus - len(cpus))
        return cls(
            npages=param.npages,
            exact=param.design == "fpageqlock",
            spills=bool(traits_of(param).bound),
            anon=anon,
            refill=traits_of(param).refill,
            run_max=max((op.asked.size for ops in cpus for op in ops if isinstance(op, Run)), default=0),
            # What the pagedaemon and its I/O thread free, one page at a time, is accounted to any CPU.
            cached_max=tuple(max(_cached_max(param, ops, calls), int(anon)) for ops in (*cpus, *idle)),
        )

    def gap(self, others: Sequence[int]) -> tuple[int, int]:
        """Return the bounds for whoever holds uvm_fpageqlock, and the locks of all CPUs but the others."""
        if self.exact:
            return 0, 0
        high = max(self.refill, self.run_max) * len(others)
        return -sum(self.cached_max[index] for index in others), high

    def call(self, index: int, caller: str, cached: int) -> tuple[int, int]:
        """Return how many pages a call that holds the lock of CPU `index` can have taken, and can have put back.

        => `cached`: what the CPU had cached when the lock was taken.
        """
        match caller:
            case "uvm_pagealloc":
                return self.refill, 0
            case "uvm_redistribute" | "uvm_cpu_attach":
                return 0, cached
            case "uvm_pagefree":  # a spill, of single pages all with the one that came; or what the pagedaemon frees
                return 0, max((cached + 1) * self.spills, int(self.anon))
            case "uvm_pglistalloc":  # by way of this CPU, or with all the locks, and then once for all
                return self.run_max, cached
            case "uvm_pageidlezero" | "uvm_audit" | "observer":
                return 0, 0
        raise AssertionError(f"{caller} holds the lock of CPU {index}: what it may have in hand is not known")

    def value(self) -> tuple[int, int]:
        """Return the bounds on what an unlocked reader reads.

        => Never above all pages: what was taken and is still counted stands on no list. Below zero it may be: what
           was handed back and is not yet counted may have been taken again, and that counted.
        """
        return (0 if self.exact else -sum(self.cached_max)), self.npages


def _cached_max(param: Param, ops: Sequence[Op], calls: int) -> int:
    """Return the most pages that a CPU's cache can hold: all that it frees, and what its misses bring in besides."""
    spare = traits_of(param).refill - 1
    cached = calls * (spare + 1)
    for op in ops:
        match op:
            case Alloc(npages=n):
                cached += n * spare
            case Free(npages=n):
                cached += n
            case Cycle(npages=n) | Touch(npages=n):
                cached += n * (spare + 1)
            case Churn(npages=n, times=times):
                cached += n * times * (spare + 1)
            case Discard():
                cached += 1
            case Run():
                return _bounded(param, param.npages)  # what was collected is freed, if the rest does not come
    return _bounded(param, cached)


def _bounded(param: Param, cached: int) -> int:
    # Beyond the bound comes a page for each thread that frees on the CPU: its player, and its xc thread.
    bound = traits_of(param).bound
    hoard = bound + 2 if bound else param.npages
    return min(cached, hoard, param.npages)
