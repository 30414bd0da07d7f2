"""OpenBSD 7.6: two magazines of 8 pages a CPU over one list, and counters that all CPUs share.

    allocate   from the active magazine; it is empty: swap the two; both are: refill one with 8 pages, all or nothing
    free       to the active magazine; it is full: empty the other one into the list, if it has any, and swap
    hand back  the pagedaemon drains one CPU, the one that it happens to run on: here CPU 0

Between two holds of the list's lock lie at least 8 operations: of two magazines one is always half way. A hold moves
8 pages, page by page. But each allocation from a magazine counts in two words that all CPUs share, each free in one.

=> Locks: none for the magazines, interrupts are off (splvm); uvm_fpageqlock for the list.
=> Bounds: 16 pages a CPU. Nothing decays: they stay until the CPU wants them.
=> Counts as free: what is on the list. A refill asks the reserves, a hit does not.
=> Pages of the later freelists stand for memory that devices want: they are never cached.
=> Not in it: colours (R7), pages known to be zero (R8).

Source: uvm_pmr_cache_get, _put, _alloc, _free, _drain in sys/uvm/uvm_pmemrange.c, sys/uvm/uvm_percpu.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from uvmfree.kern.lockrank import CPU_OFF, UVM_FPAGEQLOCK
from uvmfree.param import Param, tunable, whole, yes_or_no
from uvmfree.uvm.cpu import Cpu, Found, Want
from uvmfree.uvm.design import Design
from uvmfree.uvm.page import UNKNOWN, PageList, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.uvmexp import CpuStats

COUNTERS: Final = ("percpucaches", "pcphit", "pcpmiss")
"""The counters that all CPUs share: pages in magazines, allocations that found the active one filled, and none."""

CACHED_FREELIST: Final = 0
"""The freelist whose pages are cached; a free of another one goes to the list (a pmemrange that is kept for DMA)."""

DAEMON_CPU: Final = 0
"""The CPU that the pagedaemon runs on, whose magazines it drains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenbsdTunables:
    """The tunables of the two magazines."""

    magazine: int = tunable(8, "pages", "in a magazine: UVM_PMR_CACHEMAGSZ")
    counters: bool = tunable(True, "yes or no", "whether the shared counters are kept; off shows what they cost")

    def __post_init__(self) -> None:
        whole("magazine", self.magazine, 1, 4096)
        yes_or_no("counters", self.counters)


class OpenbsdCpu(Cpu):
    """A CPU with two magazines; guarded by "interrupts off".

    => `active`, `other`: frees and allocations go to the first.
    => `_caches`, `_hit`, `_miss`: updaters of the shared counters.
    """

    __slots__ = ("_caches", "_fpageqlock", "_hit", "_miss", "_size", "_store", "active", "other")

    _design: OpenbsdMagazine
    active: PageList
    other: PageList
    idle_zeroing = False

    def setup(self) -> None:
        """Take a handle of the list's lock, and updaters of the shared counters."""
        self._fpageqlock = self.handle(self._design.shared_locks[0], "uvm_pagealloc")
        self._store, self._size = self._design.store, self._design.tunables.magazine
        self._caches, self._hit, self._miss = map(self._design.adder, COUNTERS)

    def empty(self) -> None:
        """Have empty magazines."""
        self.active, self.other = self._own_list(CACHED_FREELIST), self._own_list(CACHED_FREELIST)

    def lists(self) -> Iterable[PageList]:
        """Return the magazines, the colder one first."""
        return self.other, self.active

    def inherit(self, before: OpenbsdCpu) -> None:
        """Take the magazines over, and what was counted."""
        self.active, self.other = before.active, before.other
        self._caches.operations += before._updates()

    def chop(self) -> list[PageList]:
        """Take all that is cached."""
        if cached := self.cached():
            self._caches.add(-cached)
        return super().chop()

    def stats(self) -> CpuStats:
        """Return what this CPU counted, the updates of the shared counters among the atomic operations."""
        stats = super().stats()
        return stats if self.stopped else replace(stats, atomics=stats.atomics + self._updates())

    def stop(self, refuse: Callable[[], object]) -> None:
        """Keep what was counted, and refuse."""
        if not self.stopped:
            self._free.operations += self._updates()
        super().stop(refuse)

    def _updates(self) -> int:
        return sum(adder.operations for adder in (self._caches, self._hit, self._miss))

    def _get(self, want: Want, start: int) -> Found | None:
        """Find a page: active, other, a refill; else one from the list (uvm_pmr_getone)."""
        if want.freelists[0] != CACHED_FREELIST:
            return self.take_one(want, want.freelists, 0, self._fpageqlock, self._store)
        local = True
        if self.active:
            self._hit.add(1)
        else:
            if not self.other:
                local = False
                self._miss.add(1)
                if not self._refill():
                    return self.take_one(want, want.freelists, 0, self._fpageqlock, self._store)
            self.active, self.other = self.other, self.active
        pg = self.active.pop()
        pg.on = self._system
        self._caches.add(-1)
        return pg, UNKNOWN, local

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page into the active magazine; empty the other one for it if it is full."""
        if pg.free_list != CACHED_FREELIST:
            self.put_back([pg], self._fpageqlock, self._store)
            return
        if len(self.active) >= self._size:
            if self.other:
                spilled, self.other = self.other, self._own_list(CACHED_FREELIST)
                self._caches.add(-len(spilled))
                self.put_back(spilled, self._fpageqlock, self._store)
            self.active, self.other = self.other, self.active
        pg.on = self.active
        self.active.append(pg)
        self._caches.add(1)

    def _refill(self) -> bool:
        """Fill the other magazine from the list, unless the reserves or the freelist have no whole one (R6)."""
        pages: list[VmPage] = []
        with self._fpageqlock:
            self._asked = free = self._store.free
            if free > self._state.uvmexp.reserve_kernel + self._size:
                pages = [pg for part in self._store.take(CACHED_FREELIST, 0, self._size, UNKNOWN) for pg in part]
                if len(pages) < self._size:
                    for pg in pages:
                        self._store.push(pg, UNKNOWN)
                    pages = []
        if not pages:
            return False
        self.other.adopt(pages)
        self._caches.add(len(pages))
        self.took(len(pages))
        return True


class Uncounted:
    """Stands in for the updater of a counter that is off."""

    operations = 0

    def add(self, n: int) -> None:
        """Count nothing."""


class OpenbsdMagazine(Design[OpenbsdCpu]):
    """One global list, and two magazines for each CPU.

    => `shared`: COUNTERS, updated atomically; read without a lock, and exact when everything is stopped.
    """

    name = "openbsd_magazine"
    summary = "OpenBSD 7.6: two magazines of 8 pages a CPU over one list, and counters that all CPUs share"
    cpu_class = OpenbsdCpu
    LOCKS = (CPU_OFF, UVM_FPAGEQLOCK)
    Tunables = OpenbsdTunables
    CAUSES = ("pressure", "explicit")

    def __init__(self, state: UvmState) -> None:
        self.shared = state.machine.counters(COUNTERS)
        super().__init__(state)

    @classmethod
    def traits(cls, param: Param, tunables: OpenbsdTunables) -> Traits:
        """No colours, no zeros, small caches that nobody flushes in peace."""
        others = super().traits(param, tunables)
        return replace(
            others, colors=None, zeros=False, bound=2 * tunables.magazine, refill=tunables.magazine, idle=None
        )

    def adder(self, name: str) -> Any:
        """Return an updater of a shared counter, for one CPU."""
        return self.shared.adder(name) if self.tunables.counters else Uncounted()

    def redistribute(self, index: int, cause: str) -> int:
        """Hand a CPU's magazines to the list; under pressure only those of the CPU that the pagedaemon is on."""
        return 0 if cause == "pressure" and index != DAEMON_CPU else super().redistribute(index, cause)

    def check(self) -> Iterator[str]:
        """Check the counter of what is in magazines."""
        yield from super().check()
        counted, cached = self.shared.load("percpucaches"), sum(cpu.cached() for cpu in self.cpus)
        if self.tunables.counters and counted != cached:
            yield f"percpucaches is {counted}, {cached} pages are in magazines"
