"""What every design of the page allocator shares: its one face, the state it is given, the steps around its lists.

A design is two classes. The Design owns the global lists and answers for the system as a whole; its Cpu has
`pagealloc` and `pagefree`, the hot path. A Cpu object holds direct references to its own lock handle, lists and
masks and is built by the thread that plays the CPU, so that an allocation which is served locally loads nothing
that another CPU's thread counts references to.

=> Every Cpu method takes its lock through `_acquire` or `_acquire_free`. A Cpu whose system was closed, or whose part
   another thread took over, has a function there that raises: staleness costs the hot path nothing.

Source: uvm_pagealloc_strat, uvm_pagefree in sys/uvm/uvm_page.c of NetBSD 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from uvmfree.errors import ArgumentError, DoubleFree, ForeignPage
from uvmfree.kern.eventlog import EventLog
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.mutex import Mutex
from uvmfree.machine.face import Machine
from uvmfree.machine.words import CounterPage
from uvmfree.param import Param
from uvmfree.uvm.freelist import Walked
from uvmfree.uvm.idlezero import IdleZero
from uvmfree.uvm.page import FRESH, FRESH_ZERO, NO_QUEUE, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.pageout import Pageout
from uvmfree.uvm.physmem import PhysMem
from uvmfree.uvm.traits import Traits
from uvmfree.uvm.uvmexp import CpuStats, UvmExp

Strat = Literal["normal", "only", "fallback"]
"""Which freelists may serve a request (R10): UVM_PGA_STRAT_NORMAL, _ONLY, _FALLBACK."""

Lwp = Literal["user", "kernel", "pagedaemon"]
"""What kind of thread asks: a kernel thread may use the kernel reserve (R5), the pagedaemon also its own (R6)."""

QUEUES: Final = ((UNKNOWN, ZEROS), (ZEROS, UNKNOWN))
"""Order of the queues, indexed by whether zeroed memory is wanted (R8): try1, try2."""


@dataclass(frozen=True, slots=True)
class UvmState:
    """What the parts of one system share; every reference is fixed at boot.

    => `cpus[i]` is the Cpu that plays CPU i now; an entry is replaced only under `cpu_mutexes[i]`, and in the
       design fpageqlock under `fpageqlock`, the lock that guards the CPU's lists there.
    => `lwp_of()` tells what kind of thread is calling; off the hot path.
    => `pageout`: who waits for pages. `countable(n)`: what counts as free when n pages are on the global list (Q3).
       `relieve()` hands all caches back because an allocation failed, if that was
       not done a moment ago; whether it did.
    => `check_open()`: ClosedError if the system was closed; who asks with a lock of the design held may go on.
    => `uvmexp.marks` is replaced whole when a CPU comes or goes; a reader sees the old ones or the new.
    """

    param: Param
    machine: Machine
    physmem: PhysMem
    counters: CounterPage
    uvmexp: UvmExp
    pageout: Pageout
    events: EventLog
    fpageqlock: Mutex
    cpu_mutexes: tuple[Mutex, ...]
    cpus: list[Cpu]
    lwp_of: Callable[[], Lwp]
    countable: Callable[[int], int]
    relieve: Callable[[], bool]
    check_open: Callable[[], None]


@dataclass(frozen=True, slots=True)
class CpuHandles:
    """The handles of the lock that guards a CPU's lists: one for each call, so that lockstat tells them apart."""

    alloc: LockHandle
    free: LockHandle
    idle: LockHandle


def cpu_handles(mutex: Mutex) -> CpuHandles:
    """Make the handles of one CPU."""
    return CpuHandles(mutex.handle("uvm_pagealloc"), mutex.handle("uvm_pagefree"), mutex.handle("uvm_pageidlezero"))


class Design(Protocol):
    """An allocator design: `fpageqlock`, `percpu`, and what comes after them.

    => `tunables`: fields of Param that decide what it does, beside those that every system has; the others change
       nothing. `summary`: the design in a line.
    """

    tunables: frozenset[str]
    summary: str

    @classmethod
    def traits(cls, param: Param) -> Traits:
        """Return what the design says of itself, with these tunables."""

    def __init__(self, state: UvmState) -> None:
        """Put all pages of `state.physmem` on free lists and fill `state.cpus`."""

    def bind(self, index: int, *, attach: bool = False) -> Cpu:
        """Make a new Cpu for CPU `index`, built by the calling thread, and put it in the old one's place.

        => `attach`: the CPU was detached, and comes back; else what stopped it, if anything did, raises here.
        """

    def pagefree_global(self, pg: VmPage) -> None:
        """Free a page past all caches, for a thread that plays no CPU: it counts in uvmexp.free on return.

        => Accounted to some attached CPU, under its lock. DoubleFree, ForeignPage: nothing has changed. ClosedError.
        """

    def redistribute(self, index: int, cause: str) -> int:
        """Hand the cached pages of one CPU to the global list (P8); return how many. `cause` is counted."""

    def redistributions(self) -> dict[str, int]:
        """Return how many redistributions moved pages, by cause; exact at rest."""

    def on_timer(self, index: int) -> None:
        """Do what the xc thread of a CPU does once an interval (P9)."""

    def global_free(self) -> int:
        """Return how many pages stand on the global list; with uvm_fpageqlock held."""

    def all_locks(self, caller: str) -> list[LockHandle]:
        """Make handles of all locks that stop every list and counter, in lock order; uvm_fpageqlock is the last."""

    def gather(self, owners: set[int]) -> None:
        """Put what these CPUs cache on the global list; with all locks held."""

    def unlink(self, pages: list[VmPage]) -> None:
        """Take pages off the global list, from wherever they stand; with all locks held."""

    def settle(self) -> None:
        """Update the shared counters for gather() and unlink(); with all locks held but uvm_fpageqlock."""

    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        """Stop a CPU for good, or until bind() makes a new one; its pages go to others; with all locks held."""

    def recolor(self, ncolors: int) -> None:
        """Give all pages their colours anew and arrange all lists accordingly; with all locks held (Q13)."""

    def walk(self) -> Iterator[Walked]:
        """Walk every free list, under those locks."""

    def findings(self) -> Iterator[str]:
        """Check what only this design promises, under those locks; one line for each finding."""

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every Cpu raise by `refuse` from now on, and empty all lists."""


class Cpu(IdleZero):
    """One CPU's part of the allocator; subclassed by each design.

    Guarded by the lock behind `_acquire`, but for (i), immutable after construction.

    => `index`, `_colormask`, `_system`, `_ram`, `_zero_page`, `_pagesize`, `_nfreelists`, `_state`   [i]
    => `nextcolor`: where the next search starts (R7).
    => The counts of R11, of which those that are implied by others are derived in stats().
    => `_free`, `_zeropages`: updaters of the shared counters.
    """

    __slots__ = (
        "_acquire",
        "_free",
        "_nfreelists",
        "_release",
        "_state",
        "_system",
        "_zeropages",
        "colormiss",
        "cpuhit",
        "cpumiss",
        "frees",
        "nextcolor",
        "zerohit",
        "zeromiss",
    )

    def __init__(self, state: UvmState, index: int, handles: CpuHandles, before: Cpu | None) -> None:
        """Take over from `before`, the CPU's last player, if there was one; with its lock held."""
        self._state = state
        self.index = index
        self._acquire, self._release = handles.alloc.acquire, handles.alloc.release
        self._acquire_free, self._release_free = handles.free.acquire, handles.free.release
        self._try_idle, self._release_idle = handles.idle.try_acquire, handles.idle.release
        self._colormask = state.uvmexp.ncolors - 1
        self._nfreelists = state.param.nfreelists
        self._pagesize = state.param.pagesize
        self._system = state.physmem.system
        self._ram = state.physmem.ram()
        self._zero_page = bytes(state.param.pagesize)
        self._free = state.counters.adder("free")
        self._zeropages = state.counters.adder("zeropages")
        self.nextcolor = 0
        self.stopped = False  # set when the CPU is detached, taken over or closed
        self.frees = self.filled = self.drained = 0
        self.cpuhit = self.cpumiss = self.colormiss = self.zerohit = self.zeromiss = 0
        self.zeroed = self.zeroaborts = 0
        self._zeroing = PageList(Place.ZEROING, index, NO_QUEUE)
        self._calls = {}
        if before is not None:
            self.nextcolor = before.nextcolor & self._colormask  # pages may have been recoloured while it was away
            self.frees, self.filled, self.drained = before.frees, before.filled, before.drained
            self.cpuhit, self.cpumiss, self.colormiss = before.cpuhit, before.cpumiss, before.colormiss
            self.zerohit, self.zeromiss = before.zerohit, before.zeromiss
            self.zeroed, self.zeroaborts = before.zeroed, before.zeroaborts
            self._zeroing, self._calls = before._zeroing, before._calls
            self._free.operations = before._free.operations
            self._zeropages.operations = before._zeropages.operations

    def pagealloc(
        self,
        zero: bool = False,
        use_reserve: bool = False,
        strat: Strat = "normal",
        free_list: int = 0,
        color: int | None = None,
    ) -> VmPage | None:
        """Allocate one page, or return None; never sleeps (uvm_pagealloc_strat).

        => `zero`: fill it with zeros (R8, R12). `use_reserve`: may take from the kernel reserve (R5, R6).
        => `strat`, `free_list`: which freelists to try (R10). `color`: start there, modulo ncolors (R7).
        => Takes the locks of its design; none may be held. ArgumentError for an unknown strat or freelist.
        """
        raise AssertionError("a design gives its Cpu a pagealloc")

    def pagefree(self, pg: VmPage) -> None:
        """Free one page; wakes nobody (uvm_pagefree, R13).

        => DoubleFree, ForeignPage: nothing has changed. A page belongs to its holder alone: two CPUs that free one
           page at the very same moment are a bug of the caller that only audit() is sure to find.
        """
        raise AssertionError("a design gives its Cpu a pagefree")

    def stats(self) -> CpuStats:
        """Return what this CPU counted; exact while its lock is held, else as plain unlocked reads see it."""
        allocs = self.cpuhit + self.cpumiss
        return CpuStats(
            index=self.index,
            allocs=allocs,
            frees=self.frees,
            cpuhit=self.cpuhit,
            cpumiss=self.cpumiss,
            colorhit=allocs - self.colormiss,
            colormiss=self.colormiss,
            zerohit=self.zerohit,
            zeromiss=self.zeromiss,
            filled=self.filled,
            drained=self.drained,
            cached=self.frees + self.filled - allocs - self.drained - len(self._zeroing),
            zeroed=self.zeroed,
            zeroaborts=self.zeroaborts,
            atomics=self._free.operations + self._zeropages.operations,
        )

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every later call raise by `refuse`; with the lock held.

        => Also a call that has got as far as waiting for the lock: `lists`, which each design's Cpu has, must
           refuse it then, before it has changed anything. A design lets go of them through NoLists.
        """
        self._acquire = self._acquire_free = refuse
        self._try_idle = lambda: bool(refuse())
        self.stopped = True

    def check_running(self) -> None:
        """Raise what stopped this Cpu, if anything did."""
        if self.stopped:
            self._acquire()

    def recolored(self, ncolors: int) -> None:
        """Use another number of colours from now on; with all locks held."""
        self._colormask = ncolors - 1
        self.nextcolor = 0

    def _peer(self, index: int) -> Cpu:
        return self._state.cpus[index]

    def cached_pages(self) -> int:
        """Count the pages that stand on this CPU's lists and on no other; unlocked, for observers."""
        return 0

    def _freelists(self, strat: str, free_list: int) -> tuple[int, ...]:
        """Return the freelists to try, in order (R10)."""
        normal = tuple(range(self._nfreelists))
        if strat == "normal":
            return normal
        if strat not in ("only", "fallback"):
            raise ArgumentError(f"strat={strat!r}: must be 'normal', 'only' or 'fallback'")
        if type(free_list) is not int or not 0 <= free_list < self._nfreelists:
            raise ArgumentError(f"free_list={free_list!r}: must be from 0 to {self._nfreelists - 1}")
        return (free_list,) if strat == "only" else (free_list, *normal)

    def _start_color(self, color: int | None) -> int:
        """Return the colour at which the search starts (R7)."""
        if color is None:
            return self.nextcolor
        if type(color) is not int:
            raise ArgumentError(f"color={color!r}: must be a whole number, taken modulo ncolors, or None")
        return color & self._colormask

    def _kick_if_short(self, asked: int) -> None:
        """Wake the pagedaemon if memory was short, with so many pages on the global list (R4); no lock is held."""
        if asked < self._state.uvmexp.marks.freetarg:
            self._state.pageout.kick_if_short(self._state.countable(asked))

    def _may_take(self, free: int, use_reserve: bool) -> bool:
        """Return whether the reserves let the caller have one of `free` pages (R5, R6)."""
        marks = self._state.uvmexp.marks
        if free > marks.reserve_kernel:
            return True
        lwp = self._state.lwp_of()
        if not use_reserve and lwp == "user":
            return False
        return free > marks.reserve_pagedaemon or lwp == "pagedaemon"

    def _count(self, pg: VmPage, queue: int, start: int, *, local: bool, zero: bool) -> None:
        """Count a successful search (R11), move the colour on (R7), set the page's flags (R12)."""
        if local:
            self.cpuhit += 1
        else:
            self.cpumiss += 1
        if pg.color != start:
            self.colormiss += 1
        self.nextcolor = (pg.color + 1) & self._colormask
        if not zero:
            pg.flags = FRESH
            return
        pg.flags = FRESH_ZERO
        if queue == ZEROS:
            self.zerohit += 1
        else:
            self.zeromiss += 1

    def _pagezero(self, pg: VmPage) -> None:
        """Fill a page with zeros; the caller holds the page and no lock (uvm_pagezero)."""
        start = pg.pfn * self._pagesize
        try:
            self._ram[start : start + self._pagesize] = self._zero_page
        except ValueError:
            self.check_running()  # the system was closed, and its RAM given back, between the lock and here
            raise

    def forget_ram(self) -> None:
        """Let go of RAM, at the end of the system: the mapping lives as long as anybody's view of it."""
        self._ram = memoryview(bytearray())

    def _refuse_free(self, pg: object) -> ForeignPage | DoubleFree:
        """Say why a page cannot be freed; nothing has changed."""
        if not isinstance(pg, VmPage):
            return ForeignPage(f"{pg!r:.60} is not a page; pagefree() takes what pagealloc() returned")
        if pg.system is not self._system:
            return ForeignPage(f"{pg!r} belongs to another system; free it where it was allocated")
        return DoubleFree(f"{pg!r} is free already; a page can be freed once after each pagealloc()")
