"""Our answer: the per-CPU lists of the proposal over a depot of units, within a budget that CPUs lend each other.

A hit is percpu's. The store is a stack of *units* under uvm_fpageqlock: lists of 32 pages handed on by pointer
(uvm/units.py). How much a CPU may keep is a matter of *credits* (uvm/credits.py): one allows two units.

    miss       take as many units as there are credits, then unlink their pages into the lists, own lock only
    overflow   chain as many units off the cold ends, own lock only, then push them
    pull       before either, if short of credits: an idle CPU's, or half of what another has more, pages included
    idle       a CPU without an operation for 100 ms gives its pages back; one that works is never flushed
    steal      if the store has none: a unit of any CPU's, by trylock; then all stopped (uvm/lastlook.py); then fail

=> A CPU with all 16 credits takes uvm_fpageqlock once in 512 operations at most, for 16 items, if units are whole and
   its pages of one freelist.
=> The sum of the credits never changes. So all caches together hold at most `budget` pages.
=> A run of pages is taken out of the store, one item a page, and stops no CPU if the store has one.
=> No allocation fails while a page that it may have is free anywhere.
=> uvmexp.free counts the pages in the store, by one atomic update per exchange. What is cached is in no counter.

Source: counting over recorded traffic; the depot of Bonwick and Adams, "Magazines and Vmem" (USENIX 2001).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from uvmfree.kern.lock import LockHandle
from uvmfree.param import PAGES_MAX, Param, seconds, tunable, whole, yes_or_no
from uvmfree.uvm.cpu import Found, Want
from uvmfree.uvm.credits import Credits
from uvmfree.uvm.designs.percpu import Percpu, PercpuCpu, PercpuTunables
from uvmfree.uvm.lastlook import LastLook
from uvmfree.uvm.locked import tried
from uvmfree.uvm.page import PageList, VmPage
from uvmfree.uvm.sockets import UnitsDesign
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.units import chained, parted, unchain, zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class DepotTunables:
    """The tunables of the depot."""

    unit: int = tunable(32, "pages", "in a unit; 16 of them are 512 pages, an exchange in 512 operations")
    exchange: int = tunable(16, "units", "in an exchange at most; so a CPU can use 16 credits, for 1,024 pages")
    budget: int | None = tunable(None, "pages", "in all caches together; None is 4,096, or 128 a CPU if that is more")
    per_socket: bool = tunable(False, "yes or no", "whether each socket has a store, and a lock, of its own")
    spare_s: float = tunable(0.02, "seconds", "without an operation before all its credits are lent: two ticks")

    def __post_init__(self) -> None:
        whole("unit", self.unit, 1, 4096)
        whole("exchange", self.exchange, 1, 4096)
        whole("budget", PAGES_MAX if self.budget is None else self.budget, 2 * self.unit, PAGES_MAX, " of pages")
        yes_or_no("per_socket", self.per_socket)
        seconds("spare_s", self.spare_s)


class DepotCpu(PercpuCpu):
    """A CPU of the proposal but for miss and overflow. `_bound`: a page less than its credits allow."""

    __slots__ = ("_parts", "_socket", "looks")

    _design: Depot  # type: ignore[assignment]  # it is no Percpu, and nothing here takes it for one

    def setup(self) -> None:
        """Take a handle of the depot's lock."""
        self._by_color, self._socket, self.looks = False, self._design.socket_of(self.index), 0
        parts = [(part, self.handle(lock, "uvm_pagealloc")) for lock, part in self._design.guarded()]
        self._parts = parts[self._socket :] + parts[: self._socket]
        self._bound = self._design.most(self.index) - 1

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: of each freelist the whole cache, then the depot; of all of them, what other CPUs have."""
        found = super()._get(want, start)
        if found is None and self._design.steal(self, want) and (found := super()._get(want, start)) is not None:
            return *found[:2], False  # it was no page of its own list (R11)
        self.looks = self._design.last.done
        return found

    def _finish(self, want: Want, found: Found | None, asked: int | None, color: int | None) -> VmPage | None:
        """Look once more with everything stopped before it fails."""
        return super()._finish(want, found or self._design.last.find(self, want, color), asked, color)

    def _fetch(self, want: Want, free_list: int, start: int, span: int) -> Found | None:
        """Take as many units from the depot as there are credits; what the reserve keeps stays there (R6)."""
        if self._design.pull(self) and self.cached():
            found = super()._get(replace(want, freelists=(free_list,)), start)  # what came with the credits, first
            return found and (*found[:2], False)
        npages = min((self._bound + 1) // 2, self._room() + 1)
        for store, lock in self._parts:
            lock.acquire()
            try:
                free, sure = self._design.store.free, self._design.store.sure
                if not (self.may_take(free, want) and self.allows(sure, want)):
                    return None
                most = min(npages, sure - self._state.uvmexp.reserve_kernel)
                units = store.units(self.index, free_list, want.queues, most, 2 * self._design.tunables.exchange)
            finally:
                lock.release()
            if units:
                break
        else:
            return None
        self.took(sum(map(len, units)), zeros(units))
        pg = min(units[0], key=lambda pg: (pg.color - start) & self._colormask)
        units[0].remove(pg)
        pg.on = self._system
        unchain(units, self.grid)
        self._spill_at = 0
        return pg, units[0].queue, False

    def _overflow(self) -> int:
        """Push the coldest half of what this CPU may keep onto the depot, if no credit is to be had."""
        if self._room() >= 0 or (self._design.pull(self) and self._room() >= 0):
            return 0
        return self.hand_back(self.chain(max((self._bound + 1) // 2, -self._room())), [self._parts[0][1]])

    def hand_back(self, parts: Sequence[PageList], locks: Sequence[LockHandle]) -> int:  # type: ignore[override]
        """Put units into the depot, in as many holds as it takes to have few items in each."""
        hand_back, tunables = super().hand_back, self._design.tunables
        own = locks if len(locks) == 1 else locks[self._socket : self._socket + 1]
        return sum(hand_back(few, own) for few in parted(parts, tunables.unit, 2 * tunables.exchange))

    def allow(self, npages: int) -> int:
        """Note how many pages it may keep from now on; return how many it has beyond; with the guard held."""
        self._bound = npages - 1
        return max(0, -self._room() - 1)

    def chain(self, npages: int, freelists: Collection[int] | None = None) -> list[PageList]:
        """Chain so many of the coldest pages into units; with the guard held."""
        return chained(self.grid, self.index, npages, self._design.tunables.unit, freelists)

    def receive(self, units: Sequence[PageList]) -> int:
        """Unlink units that come from elsewhere into the lists; with the guard held. Returns how many pages."""
        self.filled += (moved := unchain(units, self.grid))
        self._spill_at = 0
        return moved

    def chop(self) -> list[PageList]:
        """Chain all that is cached; with the guard held. O(pages)."""
        return self.chain(npages) if (npages := self.cached()) else []

    def leave(self, heir: DepotCpu) -> None:  # type: ignore[override]
        """Leave all pages to the depot, and all credits to the heir, from whom others borrow them."""
        self._design.credits.bequeath(self.index, heir.index)
        heir.allow(self._design.most(heir.index))
        super().leave(heir)


class Depot(UnitsDesign[DepotCpu]):
    """The design. `credits`, `store`, `last`: who guards them is said there. `_others`: CPUs' locks, to be tried."""

    name = "depot"
    summary = "our answer: units of pages by pointer over a shared stack, a budget of credits that follows the load"
    cpu_class = DepotCpu
    Tunables = DepotTunables
    CAUSES = ("timer", "pressure", "explicit")
    tunables: DepotTunables

    def __init__(self, state: UvmState) -> None:
        """Deal out the credits, then put all pages into the store."""
        tunables, ncpus = state.tunables, state.param.ncpus
        self.credits = Credits(_credits(state.param, tunables), ncpus, tunables.exchange, tunables.spare_s)
        self.credits.watch(
            state.machine.clock_ns, lambda i: (cpu := self.cpus[i]).frees - cpu.booked + cpu.cpuhit + cpu.cpumiss
        )
        self.last = LastLook(partial(self.stopped, "uvm_rescue"), self._look, state.lwp_of)
        super().__init__(state)
        self._others = [mutex.handle("uvm_pull") for mutex in self.cpu_locks]
        self._stoppers["uvm_rescue"] = self.all_locks("uvm_rescue")

    def most(self, index: int) -> int:
        """Return how many pages a CPU's credits allow; with its guard held."""
        return 2 * self.tunables.unit * min(self.credits.of[index], self.tunables.exchange)

    def pull(self, cpu: DepotCpu) -> bool:
        """Have a CPU borrow credits, with the pages that they covered; with its guard held, and no shared lock."""
        for index in self.credits.lenders(cpu.index):
            with tried(self._others[index]) as got:
                if got and self.credits.lend(index, cpu.index):
                    cpu.allow(self.most(cpu.index))
                    self._move(self.cpus[index], cpu, self.cpus[index].allow(self.most(index)))
                    return True
        return False

    def steal(self, cpu: DepotCpu, want: Want) -> bool:
        """Move a unit from any CPU that has pages of the freelists; with the guard of `cpu` held."""
        for index in chain(range(cpu.index + 1, len(self.cpus)), range(cpu.index)):
            if self.cached(index):
                with tried(self._others[index]) as got:
                    if got and self._rob(self.cpus[index], cpu, want):
                        return True
        return False

    def _look(self, cpu: DepotCpu, want: Want, color: int | None) -> Found | None:
        """Take a page from a CPU that has one, or from the store, with everything stopped; None: it may have none."""
        if not any(self._rob(lender, cpu, want) for lender in self.cpus) and not (
            cpu.may_take(self.store.free, want) and cpu.receive(self.lift(cpu.index, want, cpu._room()))
        ):
            return None
        came = [one for one in want.freelists if any(map(len, chain(*(rows[one] for rows in cpu.grid))))]
        return cpu._search(replace(want, freelists=(came[0],)), cpu._start_color(color))[0]

    def _rob(self, lender: DepotCpu, cpu: DepotCpu, want: Want) -> int:
        room = cpu._room() + 1  # one page goes out; what is cached may be of other freelists
        return self._move(lender, cpu, min(self.tunables.unit, max(1, room)), want.freelists)

    def _move(self, lender: DepotCpu, cpu: DepotCpu, npages: int, freelists: Collection[int] | None = None) -> int:
        """Move the coldest pages of a CPU to another, with both guards held; return how many."""
        lender.drained += (moved := cpu.receive([] if lender.stopped else lender.chain(npages, freelists)))
        return moved

    def tick_s(self) -> float:
        """Look every 50 ms, by default: twice in the time after which a CPU is idle."""
        return self.state.param.redistribute_interval_s / 20

    def tick(self, index: int) -> None:
        """Have an idle CPU's pages handed back; one that works keeps its own, and one whose guard is held works."""
        if self.credits.idle_ns(index) >= 2e9 * self.tick_s() and self.cached(index):
            with tried(self._redistribute[0][index]) as got:
                if got:
                    self.redistribute_guarded(self.cpus[index], "timer")

    def check(self) -> Iterator[str]:
        """Check that no credit was lost or made, and that no CPU keeps more than its credits allow."""
        yield from super().check()
        yield from self.credits.check()
        for cpu in self.cpus:
            if cpu.cached() > max(self.most(cpu.index), 1):
                yield f"CPU {cpu.index} caches {cpu.cached()} pages, its credits allow {self.most(cpu.index)}"

    @classmethod
    def traits(cls, param: Param, tunables: DepotTunables) -> Traits:
        """What percpu says, but for its bound, the units that it moves, and that it steals."""
        most = min(tunables.exchange, _credits(param, tunables)) * tunables.unit
        of_percpu = Percpu.traits(param, PercpuTunables(refill=1, hoard_max=2 * most))
        return replace(of_percpu, colors="units", refill=most, causes=of_percpu.causes - {"retry"}, steals=True)


def _credits(param: Param, tunables: DepotTunables) -> int:
    return (max(4096, 128 * param.ncpus) if tunables.budget is None else tunables.budget) // (2 * tunables.unit)
