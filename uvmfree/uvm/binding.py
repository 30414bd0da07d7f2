"""One CPU as one thread plays it: its locks, its counts, and how it goes out of use.

A Cpu is built by the thread that plays the CPU, holds direct references to all that its hot path needs, and takes
over what the CPU's last player left. Its predecessor must not be used any more; nor may any Cpu of a system that was
closed. To check that in each call would cost each call. So a Cpu that is stopped loses what it needs instead:

    its class    becomes one whose `__getattr__` refuses, and which has no lists
    its slots    those that the design's classes declare, and the ways to take a lock, are deleted

=> A new call finds no `_acquire`, a call that was waiting for the lock finds nothing of its own: both are refused by
   the error that says why, and have changed nothing. So the one rule for a design: *load what is yours before you
   change a page*.
=> Counters and the ways to release a lock stay: `finally` works, and stats() reads on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from uvmfree.errors import BindError
from uvmfree.kern.lock import LockHandle
from uvmfree.kern.mutex import Mutex
from uvmfree.uvm.locked import held
from uvmfree.uvm.page import NO_QUEUE, ZEROS, PageList, Place, Stand, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.uvmexp import CpuStats


class Bound:
    """What every Cpu has, whatever its design. What a design has to write is declared here and in uvm/cpu.py.

    Guarded by the CPU's guard (uvm/design.py), but for (i), immutable after construction.

    => `index`, `_design`, `_cpus`, `_state`, `_system`, `_ram`, `_zero_page`, `_pagesize`, `_nfreelists`   [i]
    => `nextcolor`: where the next search starts (R7). `_colormask`: the number of colours less one.
    => `cpuhit` to `zeromiss`, `frees`: the counts of R11; those that others imply are derived in stats().
    => `booked`: those of `frees` that were no doing of this CPU, but of a thread that plays none.
    => `filled`, `drained`: pages taken from the store and put there. `zeroed`, `zeroaborts`: by the idle CPU.
    => `_zeroing`: the page that it is zeroing, or nothing; `_calls`: by whom (uvm/idlezero.py).
    => `_free`, `_zeropages`: updaters of the shared counters. `_handles`: what to retire when the Cpu goes.
    """

    __slots__ = (
        "_acquire",
        "_acquire_free",
        "_calls",
        "_colormask",
        "_cpus",
        "_design",
        "_free",
        "_handles",
        "_nfreelists",
        "_pagesize",
        "_ram",
        "_refuse",
        "_release",
        "_release_free",
        "_release_idle",
        "_state",
        "_system",
        "_try_idle",
        "_zero_page",
        "_zeroing",
        "_zeropages",
        "booked",
        "colormiss",
        "cpuhit",
        "cpumiss",
        "drained",
        "filled",
        "frees",
        "index",
        "nextcolor",
        "zeroaborts",
        "zeroed",
        "zerohit",
        "zeromiss",
    )

    stopped: ClassVar[bool] = False
    caches: ClassVar[bool] = True
    """Whether the pages on its lists stand on no other."""
    _own: ClassVar[tuple[str, ...]] = ()
    _stopped_class: ClassVar[type[Bound]]

    def __init_subclass__(cls, *, base: bool = False, stopped: bool = False) -> None:
        """Note the slots that a design declares, and make the class that a stopped Cpu is of."""
        super().__init_subclass__()
        if stopped:
            return
        if "__slots__" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} has no __slots__: a Cpu that is stopped loses its slots, and only those")
        if not base:
            cls._own = (*cls._own, *cls.__dict__["__slots__"])
        cls._stopped_class = type(f"Stopped{cls.__name__}", (cls,), dict(_STOPPED), stopped=True)

    def __init__(self, design: Any, index: int, guard: Mutex) -> None:
        """Make it, with a handle of its own for each way in which it takes its guard; no lock need be held."""
        state: UvmState = design.state
        self._design, self._state, self._cpus, self.index = design, state, design.cpus, index
        self._handles: list[tuple[Mutex, LockHandle]] = []
        alloc, free = self.handle(guard, "uvm_pagealloc"), self.handle(guard, "uvm_pagefree")
        idle = self.handle(guard, "uvm_pageidlezero")
        self._acquire, self._release = alloc.acquire, alloc.release
        self._acquire_free, self._release_free = free.acquire, free.release
        self._try_idle, self._release_idle = idle.try_acquire, idle.release
        self._colormask = state.uvmexp.ncolors - 1
        self._nfreelists = state.param.nfreelists
        self._pagesize = state.param.pagesize
        self._system = state.physmem.system
        self._ram = state.physmem.ram()
        self._zero_page = bytes(state.param.pagesize)
        self._free = state.counters.adder("free")
        self._zeropages = state.counters.adder("zeropages")
        self.nextcolor = 0
        self.frees = self.booked = self.filled = self.drained = 0
        self.cpuhit = self.cpumiss = self.colormiss = self.zerohit = self.zeromiss = 0
        self.zeroed = self.zeroaborts = 0
        self._zeroing = PageList(Place.ZEROING, index, NO_QUEUE)
        self._calls: dict[int, Any] = {}
        self.setup()

    def handle(self, mutex: Mutex, caller: str) -> LockHandle:
        """Make a handle of this Cpu's own, which is retired when another thread takes the CPU over."""
        handle = mutex.handle(caller)
        self._handles.append((mutex, handle))
        return handle

    # To be written by a design; `_get` too (uvm/cpu.py).

    def setup(self) -> None:
        """Set up what never changes: handles, tunables; the Cpu is not known to anybody yet."""

    def empty(self) -> None:
        """Have lists anew, empty, for `_colormask` + 1 colours; with the guard held, or not known to anybody yet."""
        raise AssertionError("a design gives its Cpu an empty()")

    def lists(self) -> Iterable[Stand]:
        """Return all stands that only this CPU has.

        => Also called without a lock, by observers: it never raises and changes nothing.
        """
        raise AssertionError("a design gives its Cpu lists()")

    def _put(self, pg: VmPage, queue: int) -> None:
        """Put a page where this CPU's go; with the guard held. May spill, under shared locks."""
        raise AssertionError("a design gives its Cpu a _put()")

    # May be overridden.

    def inherit(self, before: Any) -> None:
        """Take over what `before`, another Cpu of this CPU that was not stopped, has; with the guard held."""
        self.empty()
        for part in before.chop():
            for pg in part.pages():
                self._put(pg, part.queue)

    def cached(self) -> int:
        """Count the pages that stand on this CPU's lists and on no other; also without a lock, for observers."""
        return sum(map(len, self.lists())) if self.caches else 0

    def chop(self) -> list[Any]:
        """Take all that is cached, leaving empty lists (P8); with the guard held. O(lists)."""
        chopped = [stand for stand in self.lists() if self.caches and len(stand)]
        if chopped:
            self.empty()
        return chopped

    def leave(self, heir: Any) -> None:
        """Leave all pages to others, as the CPU is detached: to the store; with everything stopped."""
        self._design.gather({self.index})

    def flow(self) -> tuple[int, int]:
        """Return how many pages were taken from the store through this CPU, and how many were put there."""
        return self.filled, self.drained

    def publish(self, pages: int, zeropages: int) -> None:
        """Add to uvmexp.free and uvmexp.zeropages; with the guard held, and the shared locks dropped."""
        if pages:
            self._free.add(pages)
        if zeropages:
            self._zeropages.add(zeropages)

    # For a design to call.

    def took(self, pages: int, zeropages: int = 0) -> None:
        """Account for pages that came from the store; with the guard held, and the shared locks dropped."""
        self.filled += pages
        self.publish(-pages, -zeropages)

    def gave(self, pages: int, zeropages: int = 0) -> None:
        """Account for pages that went to the store; with the guard held, and the shared locks dropped."""
        self.drained += pages
        self.publish(pages, zeropages)

    def hand_back(self, parts: Sequence[Any], locks: Iterable[LockHandle]) -> int:
        """Put lists that were cut off the cache into the store, under its locks; return how many pages.

        => With the guard held. Each list is moved whole where the store can do that (P8).
        """
        # Counted first: as soon as the store is unlocked others take from these very lists.
        pages = sum(map(len, parts))
        zeropages = sum(len(part) for part in parts if part.queue == ZEROS)
        with held(locks):
            for part in parts:
                self._design.splice(part)
        self.gave(pages, zeropages)
        return pages

    # What the system calls.

    def stats(self) -> CpuStats:
        """Return what this CPU counted; exact while its guard is held, else as plain unlocked reads see it."""
        allocs = self.cpuhit + self.cpumiss
        filled, drained = self.flow()
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
            filled=filled,
            drained=drained,
            cached=self.frees + filled - allocs - drained - len(self._zeroing),
            zeroed=self.zeroed,
            zeroaborts=self.zeroaborts,
            atomics=self._free.operations + self._zeropages.operations,
        )

    def take_over(self, before: Bound | None) -> None:
        """Begin with what the CPU's last player left, if there was one; with the guard held."""
        self._colormask = self._state.uvmexp.ncolors - 1  # pages may have been recoloured while it was away
        if before is None:
            self.empty()
            return
        self.nextcolor = before.nextcolor & self._colormask
        self.frees, self.filled, self.drained = before.frees, before.filled, before.drained
        self.booked = before.booked
        self.cpuhit, self.cpumiss, self.colormiss = before.cpuhit, before.cpumiss, before.colormiss
        self.zerohit, self.zeromiss = before.zerohit, before.zeromiss
        self.zeroed, self.zeroaborts = before.zeroed, before.zeroaborts
        self._zeroing, self._calls = before._zeroing, before._calls
        self._free.operations = before._free.operations
        self._zeropages.operations = before._zeropages.operations
        if before.stopped:
            self.empty()
        else:
            self.inherit(before)

    def recolored(self) -> None:
        """Begin anew with the number of colours that there are now; with everything stopped."""
        self._colormask = self._state.uvmexp.ncolors - 1
        self.nextcolor = 0
        self.empty()

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every later call raise by `refuse`, and let go of what is this Cpu's; with the guard held."""
        self._refuse = refuse
        if self.stopped:
            return
        # The class first: whoever looks in between must find the __getattr__ that refuses.
        self.__class__ = self._stopped_class
        for name in ("_acquire", "_acquire_free", "_try_idle", *self._own):
            with suppress(AttributeError):  # one that was never set
                delattr(self, name)

    def check_running(self) -> None:
        """Raise what stopped this Cpu, if anything did."""
        if self.stopped:
            self._refuse()

    def retire(self) -> None:
        """Let the locks forget this Cpu's handles, keeping what they counted; when it is out of use."""
        for mutex, handle in self._handles:
            mutex.retire(handle)
        self._handles = []

    def forget_ram(self) -> None:
        """Let go of RAM, at the end of the system: the mapping lives as long as anybody's view of it."""
        self._ram = memoryview(bytearray())


def refusal(why: str) -> Callable[[], object]:
    """Return what refuses every call of a Cpu that is stopped, for good, and says why: BindError.

    => A call may have looked before its CPU comes back, and go on after.
    """

    def refuse() -> object:
        raise BindError(why)

    return refuse


def _refused(self: Bound, name: str) -> Any:
    """Refuse whoever reaches for what a stopped Cpu has no more."""
    if name in self._own or name in ("_acquire", "_acquire_free", "_try_idle"):
        self._refuse()
    raise AttributeError(name)


_STOPPED = {
    "__slots__": (),
    "__doc__": "A Cpu that may not be used any more.",
    "__getattr__": _refused,
    "stopped": True,
    "lists": lambda self: (),
    "cached": lambda self: 0,
    "chop": lambda self: [],
}
