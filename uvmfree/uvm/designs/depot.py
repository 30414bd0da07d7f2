"""Our answer: the per-CPU lists of the proposal over a depot of units, within a budget that CPUs lend each other.

A hit is percpu's: the CPU's own lock, its own lists by colour, nothing that another CPU touches. Only miss and
overflow differ. The store is a stack of *units*, lists of 32 pages that change hands by pointer (uvm/units.py), under
uvm_fpageqlock. How many pages a CPU may keep is a matter of *credits*: one allows two units.

    miss       take as many units as there are credits, then unlink their pages into the lists, own lock only
    overflow   chain as many units off the cold ends, own lock only, then push them
    pull       before either, as long as it has fewer credits than it can use: all that an idle CPU has, or half of
               what another has more, by trylock, with the pages that these credits covered
    idle       a CPU without an operation for 100 ms gives its pages back; one that works is never flushed
    steal      if the store has none: a unit of any CPU's, by trylock; then with everything stopped; only then fail

=> An exchange moves half of what the CPU may keep. So a CPU with all 16 credits takes uvm_fpageqlock at most once in
   512 operations, whatever the load, as long as units are whole; a hold has at most 32 items (docs/designs/depot.md).
=> Credits are dealt out at boot, and moved with both CPUs' locks held: their sum never changes. So all caches together
   hold at most `budget` pages, however many CPUs there are.
=> No allocation fails while a page that it may have is free anywhere.
=> uvmexp.free counts the pages in the store, by one atomic update per exchange. What is cached is in no counter.

Source: counting over recorded traffic; the depot of Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from uvmfree.errors import BindError
from uvmfree.param import PAGES_MAX, Param, seconds, tunable, whole
from uvmfree.uvm.cpu import Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.percpu import NEVER, PercpuCpu
from uvmfree.uvm.page import ZEROS, PageList, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.units import Units, chained, unchain

LOOKS: Final = 8
"""CPUs that a pull looks at: all of 256 would cost a miss 256 cache lines. Who has less than its share looks at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepotTunables:
    """The tunables of the depot."""

    unit: int = tunable(32, "pages", "in a unit; with 16 an exchange is 512 pages, once in 512 operations")
    exchange: int = tunable(16, "units", "in an exchange at most, and credits that a CPU can use: it keeps 1,024 pages")
    budget: int | None = tunable(None, "pages", "in all caches together; None: 4,096, or 128 a CPU if that is more")
    idle_s: float = tunable(0.1, "seconds", "without an operation, after which a CPU's pages go back")
    spare_s: float = tunable(0.02, "seconds", "without an operation, after which all its credits are to be had: a tick")

    def __post_init__(self) -> None:
        whole("unit", self.unit, 1, 4096)
        whole("exchange", self.exchange, 1, 4096)
        if self.budget is not None:
            whole("budget", self.budget, 2 * self.unit, PAGES_MAX, " of pages, or None")
        seconds("idle_s", self.idle_s)
        seconds("spare_s", self.spare_s)

    def deal(self, ncpus: int) -> list[int]:
        """Deal the credits out to the CPUs, as evenly as can be, and no more than they can use."""
        budget = max(4096, 128 * ncpus) if self.budget is None else self.budget
        total = min(budget // (2 * self.unit), ncpus * self.exchange)
        return [total // ncpus + (index < total % ncpus) for index in range(ncpus)]


class DepotCpu(PercpuCpu):
    """A CPU of the proposal but for miss and overflow; guarded by the CPU's own lock.

    => `_spill_at`: as there, and 0 after credits were pulled from it.
    """

    __slots__ = ("_units",)

    _design: Depot

    def setup(self) -> None:
        """Take a handle of the depot's lock."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._units, self._by_color = self._design.store, False

    def inherit(self, before: DepotCpu) -> None:
        """Take the cache over, and note when to ask whether it is full."""
        super().inherit(before)
        self.full()

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: of each freelist the whole cache, then the depot; of all freelists, what other CPUs have."""
        found = super()._get(want, start)
        if found is None and self._design.steal(self, want):
            found = super()._get(want, start)
        return found

    def _finish(self, want: Want, found: Found | None, asked: int | None, color: int | None) -> VmPage | None:
        """Look once more with everything stopped before it fails, and again where others were faster."""
        while found is None and self._design.rescue(self, want):
            self._acquire()
            try:
                found, _ = self._search(want, self._start_color(color))
            finally:
                self._release()
        return super()._finish(want, found, asked, color)

    def _fetch(self, want: Want, free_list: int, start: int, span: int) -> Found | None:
        """Take units from the depot, as many as there are credits; what the reserve keeps stays there (R6)."""
        if self._design.pull(self) and self.cached():
            found = super()._get(replace(want, freelists=(free_list,)), start)  # what came with the credits, first
            return found and (*found[:2], False)
        most = self._design.most(self.index)
        npages = min(most // 2, most - self.kept())
        self._fpageqlock.acquire()
        try:
            free = self._units.free
            if not self.may_take(free, want):
                return None
            npages = min(npages, free - self._state.uvmexp.reserve_kernel)
            units = self._units.units(free_list, want.queues, npages, 2 * self._design.tunables.exchange)
        finally:
            self._fpageqlock.release()
        if not units:
            return None
        npages, nzeros = sum(map(len, units)), _zeros(units)
        pg = min(units[0], key=lambda pg: (pg.color - start) & self._colormask)
        units[0].remove(pg)
        pg.on = None
        unchain(units, self.grid)
        self.took(npages, nzeros)
        self.full()
        return pg, units[0].queue, False

    def _room(self) -> int:
        """Return that there is none: _spill() asks again, with the guard held, since others pull credits."""
        return -1

    def _spill(self) -> None:
        """Push the coldest half of what this CPU may keep onto the depot, if it is full and no credit is to be had."""
        try:
            self._acquire_free()
        except BindError:
            return  # another thread took the CPU over, and will spill when it frees a page
        try:
            if not self.full() or (self._design.pull(self) and not self.full()):
                return
            most = self._design.most(self.index)
            units = self.chain(max(most // 2, self.kept() - most, 1))
            npages, nzeros = sum(map(len, units)), _zeros(units)  # counted now: others will take them
            self._fpageqlock.acquire()
            try:
                for unit in units:
                    self._units.splice(unit)
            finally:
                self._fpageqlock.release()
            self.gave(npages, nzeros)
        finally:
            self._release_free()
        self._state.pageout.wake_waiters()

    def full(self) -> bool:
        """Whether the cache holds what it may; notes when to ask again; with the guard held."""
        room = self._design.most(self.index) - self.kept()
        at = self.frees + room - 1
        self._spill_at = NEVER if at > NEVER > self.frees else at
        return room <= 0

    def kept(self) -> int:
        """Return how many pages are in the cache, or being zeroed, by this CPU's own counters."""
        return self.frees + self.filled - self.cpuhit - self.cpumiss - self.drained

    def chain(self, npages: int, freelists: Collection[int] | None = None) -> list[PageList]:
        """Chain so many of the coldest pages into units; with the guard held."""
        return chained(self.grid, npages, self._units.unit, freelists)

    def chop(self) -> list[PageList]:
        """Chain all that is cached; with the guard held. O(pages)."""
        return self.chain(self.cached())

    def leave(self, heir: DepotCpu) -> None:
        """Leave all pages to the depot, all credits to the heir, from whom others pull them."""
        super().leave(heir)
        credits = self._design.credits
        credits[heir.index], credits[self.index] = credits[heir.index] + credits[self.index], 0


class Depot(Design[DepotCpu]):
    """The design of the depot.

    => `credits[i]`: guarded by CPU i's lock. Who looks for some reads it without, and again with. Their `total` and
       `fair`, a CPU's share, are immutable.
    => `_hand`, `_seen`, `_since_ns`: stored by whoever looks at a CPU, without a lock. They only choose whom to ask
       for credits and whose pages go back; a store that is lost makes a CPU look idle, or busy, a moment longer.
    """

    name = "depot"
    summary = "our answer: units of pages by pointer over a shared stack, and a budget of credits that follows the load"
    cpu_class = DepotCpu
    Tunables = DepotTunables
    CAUSES = ("timer", "pressure", "explicit")
    uses = frozenset(("count_cached", "remote_drain", "redistribute_interval_s", "redistribute_min_gap_s"))
    store: Units

    def __init__(self, state: UvmState) -> None:
        ncpus = state.param.ncpus
        self.credits: list[int] = state.tunables.deal(ncpus)
        self.total = sum(self.credits)
        self.fair = self.total // ncpus
        self._hand, self._seen, self._since_ns = 0, [-1] * ncpus, [0] * ncpus
        super().__init__(state)
        self._lenders = [mutex.handle("uvm_pull") for mutex in self.cpu_locks]
        self._rescuers = self.all_locks("uvm_rescue")

    def new_store(self) -> Units:
        """Have a stack of units for a store."""
        return Units(self.state.param.nfreelists, self.tunables.unit)

    def most(self, index: int) -> int:
        """Return how many pages a CPU may keep; with its guard held."""
        return 2 * self.tunables.unit * min(self.credits[index], self.tunables.exchange)

    def pull(self, cpu: DepotCpu) -> bool:
        """Lend a CPU credits, and the pages that they covered, from the next one that can spare some; whether it did.

        => With its guard held, and no shared lock. Looks at LOOKS CPUs; at all, for one that has less than its share.
        """
        mine, poor = self.credits[cpu.index], self.credits[cpu.index] < self.fair
        for _ in range(0 if mine >= self.tunables.exchange else len(self.cpus) if poor else LOOKS):
            self._hand = index = (self._hand + 1) % len(self.cpus)
            if index == cpu.index or self.spare(index, mine) < 2 - poor or not self._lenders[index].try_acquire():
                continue
            try:
                lender, lent = self.cpus[index], min(self.spare(index, mine), self.tunables.exchange - mine)
                if lent > 0 and not lender.stopped:
                    self.credits[index] -= lent
                    self.credits[cpu.index] += lent
                    lender._spill_at = 0
                    self._move(lender, cpu, max(0, lender.kept() - self.most(index)))
                    return True
            finally:
                self._lenders[index].release()
        return False

    def spare(self, index: int, mine: int) -> int:
        """Return how many credits a CPU can spare for one that has `mine`: all if it is idle, or half of the more."""
        idle = self.idle_ns(index) >= self.tunables.spare_s * 1e9
        return self.credits[index] if idle else (self.credits[index] - mine) // 2

    def idle_ns(self, index: int) -> int:
        """Return for how long a CPU has done nothing, as far as anybody looked."""
        cpu, now_ns = self.cpus[index], self.state.machine.clock_ns()
        if (ops := cpu.frees + cpu.cpuhit + cpu.cpumiss) != self._seen[index]:
            self._since_ns[index], self._seen[index] = now_ns, ops
        return now_ns - self._since_ns[index]

    def steal(self, cpu: DepotCpu, want: Want) -> bool:
        """Move a unit from any CPU that has pages of the freelists; with the guard of `cpu` held, others' by trylock."""
        for index in chain(range(cpu.index + 1, len(self.cpus)), range(cpu.index)):
            if self.cached(index) and self._lenders[index].try_acquire():
                try:
                    if self._move(self.cpus[index], cpu, self._handful(cpu), want.freelists):
                        return True
                finally:
                    self._lenders[index].release()
        return False

    def rescue(self, cpu: DepotCpu, want: Want) -> bool:
        """Do the same with everything stopped, no lock held before; False: no page that it may have is free."""
        with ExitStack() as held:
            for handle in self._rescuers:
                held.enter_context(handle)
            cpu.check_running()
            if any(self._move(lender, cpu, self._handful(cpu), want.freelists) for lender in self.cpus):
                return True
            return any(map(self.store.has, want.freelists)) and cpu.may_take(self.store.free, want)

    def _handful(self, cpu: DepotCpu) -> int:
        return min(self.tunables.unit, max(1, self.most(cpu.index)))

    def _move(self, lender: DepotCpu, cpu: DepotCpu, npages: int, freelists: Collection[int] | None = None) -> int:
        """Move the coldest pages of a CPU to another, with both guards held; return how many."""
        moved = 0 if lender.stopped else unchain(lender.chain(npages, freelists), cpu.grid)
        lender.drained += moved
        cpu.filled += moved
        cpu._spill_at = 0
        return moved

    def tick_s(self) -> float:
        """Look often enough that no page is with an idle CPU for twice the time."""
        return min(self.state.param.redistribute_interval_s, self.tunables.idle_s / 2)

    def tick(self, index: int) -> None:
        """Have an idle CPU's pages handed back; one that works keeps its own."""
        if self.idle_ns(index) >= self.tunables.idle_s * 1e9 and self.cached(index):
            self.redistribute(index, "timer")

    def check(self) -> Iterator[str]:
        """Check that no credit was lost or made, and that no CPU keeps more than its credits allow."""
        yield from super().check()
        if sum(self.credits) != self.total or min(self.credits) < 0:
            yield f"the CPUs have credits {self.credits}, {self.total} were dealt out"
        for cpu in self.cpus:
            if cpu.cached() > max(self.most(cpu.index), 1):
                yield f"CPU {cpu.index} caches {cpu.cached()} pages, its credits allow {self.most(cpu.index)}"

    @classmethod
    def traits(cls, param: Param, tunables: DepotTunables) -> Traits:
        """Bounded by its credits; an idle CPU keeps nothing; pages of the depot come in the order of units."""
        most = min(tunables.exchange, sum(tunables.deal(param.ncpus))) * tunables.unit
        return Traits(
            colors="cache",
            zeros=True,
            lifo=True,
            freed="cache",
            bound=2 * most,
            refill=most,
            idle=0,
            causes=frozenset({*cls.CAUSES, "pglistalloc"}),
            free="store",
            short="all" if param.count_cached else "store",
            gate="store",
            steals=True,
        )


def _zeros(units: list[PageList]) -> int:
    return sum(len(unit) for unit in units if unit.queue == ZEROS)
