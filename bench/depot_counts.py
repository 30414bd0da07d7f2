"""What each part of `depot` is worth, counted in the order of the traces: no threads, no times, no pages.

How: a CPU is a number of pages and of credits (those of the product, uvm/credits.py, on the trace's own clock).
Caches are empty at the start; runs of pages are left out. By task over 8 and 32 CPUs, as recorded on 2. Counted:
locks of the depot, and of other CPUs to borrow, for 1,000 operations, and the most pages in all caches. Nothing is
judged: the figures of docs/designs/depot.md are from here.

What could fool it: the trace keeps two CPUs busy at a time, however many it is dealt out over.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bench.harness import TRACES, Claim, Record, main
from uvmfree.uvm.credits import Credits
from uvmfree.workload.trace import ALLOC, Trace, bundled_trace, read_trace

CPUS: Final = (2, 8, 32)
TICK_NS: Final = 50 * 10**6

CLAIM = Claim("depot-counts", "locks for 1,000 operations, as it is, the worst trace and size", "locks", None)


@dataclass(frozen=True)
class Variant:
    """What is different; the defaults are the design.

    => `grow`: exchanges begin at 4 units and double in a stream.
    => `oldest`: of the CPUs that are looked at, who has been idle longest is asked first.
    => `fast`: the clock of idleness goes so many times as fast as the trace, which takes so many times as long on
       more CPUs than it was recorded on. `spare_exchanges`: exchanges of others until an idle CPU lends.
    """

    unit: int = 32
    most: int = 16
    spare_s: float = 0.02
    lend: bool = True
    budget: bool = True
    idle_return: bool = True
    grow: bool = False
    oldest: bool = False
    fast: int = 1
    spare_exchanges: int | None = None


VARIANTS: Final = {
    "as it is": Variant(),
    "equal shares, no lending": Variant(lend=False),
    "16 credits each, no budget": Variant(budget=False),
    "lent after 1 s of idleness": Variant(spare_s=1.0),
    "idle CPUs keep their pages": Variant(idle_return=False),
    "exchanges that grow": Variant(grow=True),
    "exchanges of 8 units": Variant(most=8),
    "as it is, idle 3 times as soon": Variant(fast=3),
    "who is idle longest lends": Variant(oldest=True),
    "who is idle longest, 3 times as soon": Variant(oldest=True, fast=3),
    "idle for 24 exchanges of others": Variant(oldest=True, spare_exchanges=24),
    "24 exchanges, idle 3 times as soon": Variant(oldest=True, spare_exchanges=24, fast=3),
}


class Counts:
    """A depot of numbers."""

    def __init__(self, ncpus: int, how: Variant) -> None:
        self.how, self.ncpus, self.now_ns, self.locks, self.parked_max = how, ncpus, 0, 0, 0
        self.exchanges = 0
        self.pages, self.operations = [0] * ncpus, [0] * ncpus
        self.way, self.size = [0] * ncpus, [0] * ncpus  # of the last exchange, for those that grow
        total = max(4096, 128 * ncpus) // (2 * how.unit) if how.budget else how.most * ncpus
        self.tick_ns = TICK_NS // how.fast
        self.credits = self.asleep = Credits(total, ncpus, how.most, how.spare_s / how.fast)
        self.credits.watch(lambda: self.now_ns, self.operations.__getitem__)
        if how.spare_exchanges is not None:
            self.credits = Credits(total, ncpus, how.most, how.spare_exchanges / 1e9)
            self.credits.watch(lambda: self.exchanges, self.operations.__getitem__)

    def play(self, trace: Trace) -> float:
        """Do what the trace does; return locks for 1,000 operations."""
        lanes = trace.cpu if self.ncpus == trace.ncpus else [task % self.ncpus for task in trace.task]
        due_ns = trace.time_ns[0]
        for kind, cpu, at_ns, order in zip(trace.kind, lanes, trace.time_ns, trace.order, strict=True):
            while at_ns >= due_ns:
                self.now_ns, due_ns = due_ns, due_ns + self.tick_ns
                self.tick()
            self.now_ns = at_ns
            if not order:
                self.operate(cpu, 1 if kind == ALLOC else -1)
        return 1000 * self.locks / sum(self.operations)

    def operate(self, cpu: int, way: int) -> None:
        """Allocate, 1, or free, -1; an exchange comes before the one, and after the other."""
        if way < 0:
            self.pages[cpu] += 1
        short = self.pages[cpu] == 0 if way > 0 else self.pages[cpu] >= self.allowed(cpu)
        if short and self.how.lend:
            self.borrow(cpu)
            short = self.pages[cpu] == 0 if way > 0 else self.pages[cpu] >= self.allowed(cpu)
        if short:
            self.pages[cpu] += way * max(1, self.exchange(cpu, way))
            self.locks += 1
            self.exchanges += 1
        self.parked_max = max(self.parked_max, sum(self.pages))
        if way > 0:
            self.pages[cpu] -= 1
        self.operations[cpu] += 1

    def allowed(self, cpu: int) -> int:
        """Return how many pages a CPU may keep."""
        return 2 * self.how.unit * min(self.credits.of[cpu], self.how.most)

    def exchange(self, cpu: int, way: int) -> int:
        """Return how many pages are exchanged."""
        units = self.allowed(cpu) // 2 // self.how.unit
        if self.how.grow:
            units = min(units, 2 * self.size[cpu] if self.way[cpu] == way else 4)
            self.way[cpu], self.size[cpu] = way, units
        return units * self.how.unit

    def borrow(self, cpu: int) -> None:
        """Borrow credits, with the pages that they covered."""
        lenders: Iterable[int] = self.credits.lenders(cpu)
        if self.how.oldest:
            lenders = sorted(lenders, key=self.credits.idle_ns, reverse=True)
        for lender in lenders:
            if self.credits.lend(lender, cpu):
                over = max(0, self.pages[lender] - self.allowed(lender))
                self.pages[lender] -= over
                self.pages[cpu] += over
                self.locks += 1
                return

    def tick(self) -> None:
        """Have what idle CPUs keep go back."""
        for cpu in range(self.ncpus):
            idle = self.asleep.idle_ns(cpu) >= 2 * self.tick_ns
            if self.how.idle_return and idle and self.pages[cpu]:
                self.pages[cpu] = 0
                self.locks += 1


def bench(smoke: bool) -> list[Record]:
    """Count all variants on all traces; a smoke run takes the short trace of the package."""
    files = [bundled_trace()] if smoke else sorted(TRACES.glob("*.perf.xz"))
    traces = [read_trace(file) for file in files]
    print("\nlocks for 1,000 operations / most parked")
    print(" " * 48 + "".join(f"{trace.name.partition('.')[0]:>18}" for trace in traces))
    worst = 0.0
    for name, how in VARIANTS.items():
        for ncpus in CPUS:
            cells = []
            for trace in traces:
                counts = Counts(ncpus, how)
                locks = counts.play(trace)
                cells.append(f"{f'{locks:.2f} / {counts.parked_max}':>18}")
                worst = max(worst, locks if how == Variant() else 0.0)
            print(f"    {f'{name}, {ncpus} CPUs':<44}" + "".join(cells))
    print()
    return [CLAIM.record([worst], judged=False)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
