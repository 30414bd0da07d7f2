"""Linux: a per-CPU page set whose size and batches tune themselves, over the lists of one zone.

    allocate   the watermark first, then the head of the set; a miss takes a batch, after another miss twice as many
    free       onto the head of the set; where it is as large as it may be, the coldest go back, a batch to a hold
    hand back  once a second a set that grew shrinks by an eighth; an allocation that fails drains every CPU once

=> Locks: the CPU's own, which its calls only try: whoever finds it taken, by a drain, goes to the zone for one page.
   uvm_fpageqlock is the zone's. Flags of the zone are read without one: a stale flag costs a spill, or saves one.
=> Bounds: from high_min (a CPU's share of the low watermark) to high_max (an eighth of memory, shared by all CPUs),
   both at least four batches. They are those of all CPUs, whichever are attached.
=> Counts as free: what is in the zone. The gate is before the set, without a lock (R6): below its watermark a caller
   may not have even what its own CPU caches.
=> Differs from the kernel: all freelists are one zone. Reserves are asked again under the lock, and a batch leaves a
   page above them: the kernel's may go below. The watermarks min, low, high are reserve_kernel, freemin, freetarg.
=> Not in it: colours (R7), pages known to be zero (R8), orders above 0, nodes.
=> linux_pageset.py has the set, and how it grows and shrinks; linux_zone.py the zone, and the way past a locked set.

Source: rmqueue_pcplist, rmqueue_bulk, free_frozen_page_commit, free_pcppages_bulk, drain_pages_zone in
mm/page_alloc.c, vmstat_update in mm/vmstat.c of Linux 6.7 to 6.19.
"""

from __future__ import annotations

from dataclasses import replace

from uvmfree.errors import BindError
from uvmfree.param import Param
from uvmfree.uvm.cpu import Found, Strat, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.linux_pageset import LinuxTunables, PageSet, Sizes
from uvmfree.uvm.designs.linux_zone import BELOW_HIGH, RECLAIM_ACTIVE, Zone
from uvmfree.uvm.freelist import in_turn
from uvmfree.uvm.page import FRESH, FRESH_ZERO, UNKNOWN, VmPage
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.uvmexp import CpuStats


class LinuxPcpCpu(PageSet):
    """A CPU with a page set, a stack for each freelist; guarded by the CPU's own lock.

    => `_plenty`: the high watermark with all CPUs attached. Above it a hit asks for nothing more.
    """

    __slots__ = ("_passed", "_plenty", "_slot", "_try_get", "_try_put", "_words", "_zone_alloc", "_zone_free")

    _design: LinuxPcp
    idle_zeroing = False

    def setup(self) -> None:
        """Take handles of the two locks, and views of what is read without one."""
        design, counters = self._design, self._state.counters
        get, put = (self.handle(design.guard(self.index), caller) for caller in ("uvm_pagealloc", "uvm_pagefree"))
        # Who releases stays when the Cpu is stopped: a call that looked before that may get the lock after.
        self._try_get, self._acquire, self._release = get.try_acquire, get.acquire, get.release
        self._try_put, self._acquire_free, self._release_free = put.try_acquire, put.acquire, put.release
        zone = design.shared_locks[0]
        self._zone_alloc, self._zone_free = self.handle(zone, "uvm_pagealloc"), self.handle(zone, "uvm_pagefree")
        self._words, self._slot = counters.unlocked(), counters.slot("free")
        self._passed = design.store.passed[self.index]
        self._plenty = design.plenty + 0  # a number of this thread's own
        self.begin(design.sizes, design.tunables, design.store)
        self._retries = True  # whatever drain_retry says: __alloc_pages_direct_reclaim()

    def stats(self) -> CpuStats:
        """Return what this CPU counted, by either way."""
        return self._design.store.passed[self.index].added_to(super().stats())

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page: the head of the set, if memory is not short."""
        if not self._try_get():
            return self._passed.alloc(self, self._zone_alloc, self._want(zero, use_reserve, strat, free_list), color)
        try:
            first = self._first
            if first and color is None and strat == "normal" and self._words[self._slot] > self._plenty:
                want = None
                pg = first.pop()
                pg.on = self._system
                self.pages -= 1
                self.free_count >>= 1
                if pg.color != self.nextcolor:
                    self.colormiss += 1
                self.nextcolor = (pg.color + 1) & self._colormask
                self.cpuhit += 1
                if zero:
                    self.zeromiss += 1
                    pg.flags = FRESH_ZERO
                else:
                    pg.flags = FRESH
            else:
                want = self._want(zero, use_reserve, strat, free_list)
                found, asked = self._search(want, self._start_color(color))
        finally:
            self._release()
        if want is not None:
            return self._finish(want, found, asked, color)
        if zero:
            self._pagezero(pg)
        return pg

    def pagefree(self, pg: VmPage) -> None:
        """Free one page onto the head of the set, which then may have to spill."""
        if not self._try_put():
            self._passed.free(self, self._zone_free, pg)
            return
        left = -1
        try:
            if pg.on is not self._system:
                raise self._refuse_free(pg)
            into = self._lists[pg.free_list]
            pg.on = into
            into.append(pg)
            self.frees += 1
            self.alloc_factor >>= 1
            if self.free_count < self._count_max:
                self.free_count += 1
            self.pages = pages = self.pages + 1
            if (pages >= self.high or self._flags[0]) and pages >= (limit := self._limit()):
                left = self._spill(self._to_free(limit), pg.free_list)
        except AttributeError:
            self.check_page(pg)
            raise
        finally:
            self._release_free()
        if left >= 0:
            self._spill_rest(left, pg.free_list)

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: the gate, then of one freelist after the other the head of the set, or a batch."""
        free, below = self._words[self._slot], self._flags[0] & BELOW_HIGH
        if not below and free <= self._state.uvmexp.freetarg:
            self._store.flag(BELOW_HIGH, True)
        if not self.may_take(free, want):
            return None
        self.free_count >>= 1
        for row in want.freelists:
            pages = self._lists[row]
            local = bool(pages)
            if local or self._fetch(want, row):
                self.pages -= 1
                pg = pages.pop()
                pg.on = self._system
                return pg, UNKNOWN, local
        return None

    def _fetch(self, want: Want, row: int) -> bool:
        """Take a batch into an empty stack (rmqueue_bulk): the colours in turn, as addresses have them."""
        wanted = self._to_take()
        self._zone_alloc.acquire()
        try:
            free = self._store.free
            if not self.may_take(free, want):
                return False
            most = max(1, free - self._state.uvmexp.reserve_kernel - 1)
            taken = self._store.take(row, self.nextcolor, min(wanted, most), UNKNOWN)
        finally:
            self._zone_alloc.release()
        batch = in_turn(map(reversed, taken))
        self._lists[row].adopt(batch[::-1])
        self.pages += len(batch)
        if batch:
            self.took(len(batch))
        return bool(batch)

    def _spill(self, npages: int, row: int) -> int:
        """Free the first chunk of the coldest pages; with the lock held. Return how many are left to free."""
        return npages - self.give_back(min(npages, self._sizes.chunk), self._zone_free, row)

    def _spill_rest(self, left: int, row: int) -> None:
        """Free the other chunks, for each of which both locks are taken anew, until one is not to be had."""
        try:
            while left > 0 and self._try_put():
                try:
                    before, left = left, self._spill(left, row)
                finally:
                    self._release_free()
                if left == before:
                    break  # a drain was quicker
        except BindError:
            pass  # another thread took the CPU over, and will spill when it frees a page
        self._design.store.check_high()  # not its own: that of a CPU that was stopped is gone
        self._state.pageout.wake_waiters()


class LinuxPcp(Design[LinuxPcpCpu]):
    """One zone, and a page set for each CPU."""

    name = "linux_pcp"
    summary = "Linux: per-CPU page sets that tune their size and batches, spill in batches, and decay"
    cpu_class = LinuxPcpCpu
    Tunables = LinuxTunables
    CAUSES = ("decay", "explicit", "retry")
    uses = frozenset(("count_cached", "redistribute_interval_s", "redistribute_min_gap_s"))
    store: Zone

    def make_store(self) -> Zone:
        """Make the zone, and derive the sizes of sets."""
        self.sizes, self.plenty = Sizes.of(self.state.param, self.tunables), self.state.uvmexp.freetarg
        return Zone(self.state)

    @classmethod
    def traits(cls, param: Param, tunables: LinuxTunables) -> Traits:
        """No colours, no zeros; a bound for each CPU; every freelist beyond the first may add a batch to it."""
        sizes = Sizes.of(param, tunables)
        return replace(
            super().traits(param, tunables),
            colors=None,
            zeros=False,
            bound=sizes.high_max + (param.nfreelists - 1) * sizes.batch,
            refill=sizes.batch << (tunables.scale_max if tunables.autotune else 0),
            idle=sizes.high_min if tunables.decay else None,
            causes=frozenset((*cls.CAUSES, "pglistalloc")) - (set() if tunables.decay else {"decay"}),
            gate="system",
        )

    def reclaiming(self, active: bool) -> None:
        """Note that the pagedaemon begins or ends."""
        self.store.flag(RECLAIM_ACTIVE, active)

    def tick(self, index: int) -> None:
        """Let a set shrink that has grown (vmstat_update)."""
        if self.tunables.decay:
            with self.guarding(index) as cpu:
                left = 0 if cpu.stopped else cpu.shrink()
            self._drain(index, "decay", left, self.sizes.chunk)

    def redistribute(self, index: int, cause: str) -> int:
        """Drain a set (drain_pages_zone); return how many pages. One that is empty costs no lock."""
        if cause not in self.CAUSES:
            return 0
        return self._drain(index, cause, self.cached(index), self.sizes.batch << self.tunables.scale_max)

    def _drain(self, index: int, cause: str, npages: int, chunk: int) -> int:
        """Give pages of a set back by chunks, for each of which both locks are taken anew."""
        (zone,), began_ns, left, moved = self._redistribute[1], self.state.machine.clock_ns(), npages, 1
        while left > 0 and moved:
            with self.guarding(index) as cpu:
                moved = 0 if cpu.stopped else cpu.give_back(min(left, chunk), zone)
                if moved and left == npages:
                    self.count(index, cause)
            left -= moved
        if pages := max(0, npages - left):
            self.state.events.add("redistribute", cause, index, began_ns, pages)
        return pages
