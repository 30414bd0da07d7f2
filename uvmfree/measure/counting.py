"""Counting from outside: any design, made to tell of every page that its CPUs allocate and free.

The classes of a design are subclassed, one layer above it: what a call did is looked at when it has returned. Nothing
is added to a design, and nothing to a system that is not counted.

=> For machines that run one strand at a time (machine/virtual): what is counted has no lock of its own.
=> Parked pages are exact: at the end of each operation the lengths of caches themselves are read, of all CPUs whose
   guard is held, or was since the last operation. Nobody changes a cache without it (uvm/design.py).
=> What a CPU's calls cost in virtual time is unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from uvmfree.kern.lockholds import LockHolds
from uvmfree.machine.face import Machine
from uvmfree.measure.tally import BLOCK_PAGES, STRANDED_AFTER_S, Held, Tally, histogram
from uvmfree.param import Param
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs import design_for
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.system import OBSERVER, Uvm

NOT_THE_RUN: Final = frozenset({OBSERVER, "uvm_audit", "uvm_cpu_attach"})
"""Callers whose holds of locks are not the workload's."""

CURVE_POINTS: Final = 512
"""Points of the curve of parked pages: more than a plot has pixels to tell apart. There are half as many at least."""


class Counts:
    """The counts of one system, from its boot on, or restart(); `holds`: of its machine.

    => `cpus`: the Cpus as they are now. `_always`: those that are looked at each time, where caches have no guard but
       a shared lock.
    => `_cached[i]`: pages in the cache of CPU i as it was last looked at; `parked`: their sum.
    => By frame number: `_freed_by`: the CPU that freed the page, while it is free, or -1; `_freed_at`: how many pages
       that CPU had handed out by then, of `_handed`.
    """

    def __init__(self, holds: LockHolds) -> None:
        self.cpus: Sequence[Cpu] = ()
        self._always: set[int] = set()
        self.parked = 0
        self._holds = holds
        self._cached: list[int] = []
        self._freed_by: list[int] = []
        self._freed_at: list[int] = []
        self._handed: list[int] = []
        self.restart()

    def restart(self) -> None:
        """Count from now on; what is parked, and who freed which page, stays known."""
        self._holds.restart()
        self._reuse_pages: Counter[int] = Counter()
        self._operations = self._allocations = self._color_right = self._failed = self._failed_beside = 0
        self._parked_max = self._parked_total = 0
        self._curve: list[int] = []
        self._curve_every = 1
        self._curve_left = 0

    def begin(self, state: UvmState, design: Design[Any]) -> None:
        """Count a system that has just been put together."""
        self.cpus = design.cpus
        if not design.cpu_locks and design.cpu_place is Place.CACHED:
            self._always = set(range(state.param.ncpus))
        self._cached, self._handed = [0] * state.param.ncpus, [0] * state.param.ncpus
        end = state.physmem.end
        self._freed_by, self._freed_at = [-1] * end, [0] * end

    def look(self) -> None:
        """Note the lengths of all caches that may have changed: those whose guard is held, or was meanwhile."""
        holds, cpus, cached = self._holds, self.cpus, self._cached
        for index in holds.left.union(holds.inside, self._always):
            now = cpus[index].cached()
            self.parked += now - cached[index]
            cached[index] = now
        holds.left.clear()

    def removed(self, pages: Sequence[VmPage]) -> None:
        """Note that pages were taken off the store by no CPU, each singly; for a lock whose list does not tell."""
        for pg in pages:
            self._freed_by[pg.pfn] = -1
        self._holds.touch(len(pages))

    def allocated(self, index: int, pg: VmPage | None, right: bool) -> None:
        """Note an allocation that is over; `right`: whether the page has the colour that was asked for."""
        self.operated()
        if pg is None:
            self._failed += 1
            self._failed_beside += self.parked > self._cached[index]
            return
        pfn, handed = pg.pfn, self._handed[index]
        self._allocations += 1
        self._color_right += right
        if self._freed_by[pfn] == index:
            self._reuse_pages[handed - self._freed_at[pfn]] += 1
        self._freed_by[pfn] = -1
        self._handed[index] = handed + 1

    def frees(self, index: int, pg: VmPage) -> None:
        """Note a page that a CPU is about to free: when the call returns, another CPU may have it already."""
        self._freed_by[pg.pfn] = index
        self._freed_at[pg.pfn] = self._handed[index]

    def operated(self) -> None:
        """Note that an operation is over."""
        self.look()
        parked = self.parked
        self._operations += 1
        self._parked_total += parked
        if parked > self._parked_max:
            self._parked_max = parked
        if not self._curve_left:
            if len(self._curve) == CURVE_POINTS:
                self._curve = [max(pair) for pair in zip(self._curve[::2], self._curve[1::2], strict=True)]
                self._curve_every *= 2
            self._curve.append(parked)
            self._curve_left = self._curve_every
        elif parked > self._curve[-1]:
            self._curve[-1] = parked
        self._curve_left -= 1

    def end(self, uvm: Uvm) -> Tally:
        """Return what was counted, and look at what is left, now and some seconds later; when no CPU is played."""
        held = tuple(
            Held(one.rank.name, one.caller, histogram(one.items), histogram(one.pages))
            for one in self._holds.snapshot()
            if one.items and one.caller not in NOT_THE_RUN
        )
        free, store = _blocks(uvm)
        return Tally(
            operations=self._operations,
            allocations=self._allocations,
            own=self._reuse_pages.total(),
            reuse_pages=histogram(self._reuse_pages),
            color_right=self._color_right,
            failed=self._failed,
            failed_beside=self._failed_beside,
            parked_pages_max=self._parked_max,
            parked_pages_total=self._parked_total,
            parked=tuple(self._curve),
            parked_every=self._curve_every,
            held=held,
            free_blocks=free,
            store_blocks=store,
            stranded_pages=_stranded(uvm),
        )


def counted_boot(machine: Machine, param: Param, counts: Counts) -> Uvm:
    """Boot a system that is counted from its first page operation on."""
    design = design_for(param)
    own = param.tunables_of(design.name, design.Tunables)
    return Uvm(param, machine, _counted_design(design, counts), own)


def _counted_design(design: type[Design[Any]], counts: Counts) -> type[Design[Any]]:
    """Return a design that does what that one does, and is counted."""
    base: Any = design

    def boot(self: Any, state: UvmState) -> None:
        base.__init__(self, state)
        counts.begin(state, self)

    def remove(self: Any, pages: Sequence[VmPage]) -> None:
        base.remove(self, pages)
        counts.removed(pages)

    cpu_class = _counted_cpu(base.cpu_class, counts)
    return type(design.__name__, (base,), {"__init__": boot, "remove": remove, "cpu_class": cpu_class})


def _counted_cpu(plain: type[Cpu], counts: Counts) -> type[Cpu]:
    """Return a class of CPUs that do what those of `plain` do, and are counted."""
    base: Any = plain
    alloc, free = base.pagealloc, base.pagefree

    def pagealloc(
        self: Cpu,
        zero: bool = False,
        use_reserve: bool = False,
        strat: str = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        start = self.nextcolor
        pg: VmPage | None = alloc(self, zero, use_reserve, strat, free_list, color)
        if color is not None:
            start = color & self._colormask
        counts.allocated(self.index, pg, pg is not None and pg.color == start)
        return pg

    def pagefree(self: Cpu, pg: VmPage) -> None:
        # Of anything else free() says what is wrong with it.
        if isinstance(pg, VmPage) and pg.on is self._system:
            counts.frees(self.index, pg)
        free(self, pg)
        counts.operated()

    return type(plain.__name__, (base,), {"__slots__": (), "pagealloc": pagealloc, "pagefree": pagefree})


def _blocks(uvm: Uvm) -> tuple[int, int]:
    """Count the aligned blocks of BLOCK_PAGES that have no page in use, and those with none in a cache either."""
    free: Counter[int] = Counter()
    store: Counter[int] = Counter()
    for pg in uvm.physmem:
        place = pg.place
        free[pg.pfn // BLOCK_PAGES] += place is Place.GLOBAL or place is Place.CACHED
        store[pg.pfn // BLOCK_PAGES] += place is Place.GLOBAL
    return tuple(sum(pages == BLOCK_PAGES for pages in each.values()) for each in (free, store))  # type: ignore[return-value]


def _stranded(uvm: Uvm) -> tuple[int, ...]:
    """Look how many pages some CPU cannot reach, some seconds later.

    => No CPU is played: what is empty stays empty, and need not be waited for.
    """
    stranded, slept_s = [0] * len(STRANDED_AFTER_S), 0
    for at, after_s in enumerate(STRANDED_AFTER_S):
        if not any(uvm.cached_pages()):
            break
        uvm.machine.sleep(after_s - slept_s)
        slept_s, cached = after_s, uvm.cached_pages()
        stranded[at] = sum(cached) - min(cached)
    return tuple(stranded)
