"""The design `percpu` at rest: what is done to its lists with every lock held, and what is checked of them.

All of it is cold: contiguous allocation reaching into every cache (P7), recolouring, the audit, the end. The
proposal itself is in `designs/percpu.py`.

=> With all CPU locks and uvm_fpageqlock held no page moves and no counter lags; that is when these may be called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final, Protocol, cast

from uvmfree.errors import ClosedError
from uvmfree.kern.lock import LockHandle
from uvmfree.param import Param
from uvmfree.uvm.allocator import UvmState
from uvmfree.uvm.freelist import GlobalFreelist, Lists, Walked, each, real_entries
from uvmfree.uvm.page import NQUEUES, UNKNOWN, ZEROS, PageList, Place, VmPage
from uvmfree.uvm.traits import Traits

CAUSES: Final = ("timer", "pressure", "explicit", "retry")
"""Why caches are handed back. Each is a key of a count from the start: no reader without a lock sees a table grow."""


class CachingCpu(Protocol):
    """A CPU with a cache, as far as it is handled at rest."""

    index: int
    stopped: bool
    frees: int
    drained: int
    lists: Lists

    def chop(self) -> list[PageList]:
        """Take all that is cached."""

    def put_back(self, pages: int, zeropages: int) -> None:
        """Account for pages that went back to the global list."""

    def publish(self, pages: int, zeropages: int) -> None:
        """Add to the shared counters."""

    def recolored(self, ncolors: int) -> None:
        """Start over with another number of colours."""

    def stop(self, refuse: Callable[[], object]) -> None:
        """Refuse from now on."""


class PercpuAtRest:
    """The global list of the design, and all that needs every lock.

    => `_global` and `_unsettled`, the pages of each queue that gather() and unlink() put on and took off the global
       list until settle(), are guarded by uvm_fpageqlock.
    """

    # Some by way of the drainer, and of what the system counts as free.
    tunables = frozenset(
        (
            "refill",
            "hoard_max",
            "search",
            "drain_retry",
            "count_cached",
            "remote_drain",
            "redistribute_interval_s",
            "redistribute_min_gap_s",
        )
    )

    def __init__(self, state: UvmState) -> None:
        self._state = state
        self._global = GlobalFreelist(state.param.nfreelists, state.param.ncolors)
        for pg in state.physmem:
            self._global.push(pg, UNKNOWN)
        state.fpageqlock.guards(self._global)
        self._unsettled = [0] * NQUEUES
        self._stopping = self.all_locks("uvm_close")
        *self._free_handles, self._free_fpageqlock = self.all_locks("uvm_pagefree")

    @classmethod
    def traits(cls, param: Param) -> Traits:
        """The proposal's letter, and what the options make of it."""
        return Traits(
            colors="system" if param.search == "colour" else "cache",
            zeros=True,
            lifo=True,
            freed="cache",
            bound=param.hoard_max,
            refill=param.refill,
            idle=0,
            causes=frozenset(CAUSES if param.drain_retry else set(CAUSES) - {"retry"}) | {"pglistalloc"},
            free="store",
            short="all" if param.count_cached else "store",
            gate="store",
        )

    def global_free(self) -> int:
        """Pages on the global list."""
        return self._global.free

    def all_locks(self, caller: str) -> list[LockHandle]:
        """All CPU locks in ascending order, then uvm_fpageqlock."""
        return [mutex.handle(caller) for mutex in (*self._state.cpu_mutexes, self._state.fpageqlock)]

    def pagefree_global(self, pg: VmPage) -> None:
        """Free a page to the global list; which CPU accounts for it goes by the page, to spread the locks.

        => The pagedaemon and its I/O thread free so. To a cache (P5) it would be lost to whoever waits, and to the
           daemon, which would reclaim on and on because uvmexp.free does not rise.
        """
        ncpus = len(self._state.cpus)
        for index in ((pg.pfn + step) % ncpus for step in range(ncpus)):
            with self._free_handles[index]:
                cpu = self._cpu(index)
                if cpu.stopped:
                    continue
                if pg.list is not None or pg.system is not self._state.physmem.system:
                    raise self._state.cpus[index]._refuse_free(pg)
                with self._free_fpageqlock:
                    self._global.push(pg, UNKNOWN)
                cpu.frees += 1
                cpu.put_back(1, 0)
                return
        raise ClosedError(f"{pg!r} was freed to a system that is closed")

    def gather(self, owners: set[int]) -> None:
        """Splice these CPUs' caches onto the global list; the shared counters follow in settle()."""
        for index in owners:
            cpu = self._cpu(index)
            for part in cpu.chop():
                self._global.splice(part, part[0].free_list, part[0].color)
                cpu.drained += len(part)
                self._unsettled[part.queue] += len(part)

    def unlink(self, pages: list[VmPage]) -> None:
        """Take pages out of the middle of the global list."""
        for pg in pages:
            assert pg.list is not None
            self._unsettled[pg.list.queue] -= 1
            self._global.unlink(pg)

    def settle(self) -> None:
        """Update the shared counters, once for all that was gathered and unlinked."""
        cpu = self._cpu(0)  # any CPU's updaters will do: all their locks are held
        cpu.publish(sum(self._unsettled), self._unsettled[ZEROS])
        self._unsettled = [0] * NQUEUES

    def recolor(self, ncolors: int) -> None:
        """Arrange all free pages by their new colours, in the order in which they stood; no count changes."""
        standing = [
            (pg, queue)
            for queue, buckets in enumerate(self._global.buckets)
            for row in buckets
            for bucket in row
            for pg in bucket.pages()
        ]
        self._global.clear()
        self._global.recolor(ncolors)
        for pg, queue in standing:
            self._global.push(pg, queue)
        for index in range(len(self._state.cpus)):
            if not self._cpu(index).stopped:
                self._cpu(index).recolored(ncolors)

    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        """Hand the cache back and stop the CPU; the shared counters follow in settle()."""
        self.gather({index})
        self._state.cpus[index].bequeath(self._state.cpus[heir])
        self._state.cpus[index].stop(refuse)

    def walk(self) -> Iterator[Walked]:
        """Walk the chunks of the global list, and every cache."""
        for queue, free_list, color, bucket in each(self._global.buckets):
            for chunk in bucket.chunks:
                real = real_entries(chunk)
                yield Walked("the global list", chunk, real, queue, free_list, color, Place.GLOBAL, None)
        for cpu in map(self._cpu, range(len(self._state.cpus))):
            where = f"the cache of CPU {cpu.index}"
            for queue, free_list, color, pages in each(cpu.lists):
                real = real_entries(pages)
                yield Walked(where, pages, real, queue, free_list, color, Place.CACHED, cpu.index)

    def findings(self) -> Iterator[str]:
        """Check the counts of the global list against what stands there (R3)."""
        stock, counters = self._global, self._state.counters
        standing = [0] * NQUEUES
        for walked in self.walk():
            if walked.place is Place.GLOBAL:
                standing[walked.queue] += len(walked.real)
        for queue, (counted, walked_npages) in enumerate(zip(stock.npages, standing, strict=True)):
            if counted != walked_npages:
                yield f"the global list counts {counted} pages on queue {queue}, {walked_npages} stand there"
        for name, truth in (("free", stock.free), ("zeropages", stock.npages[ZEROS])):
            if counters.load(name) != truth:
                yield f"uvmexp.{name} is {counters.load(name)}, {truth} such pages are on the global list"

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every CPU refuse, and let go of all pages."""
        with ExitStack() as held:
            for handle in self._stopping:
                held.enter_context(handle)
            for index in range(len(self._state.cpus)):
                for pages in self._cpu(index).chop():
                    pages.clear()
                self._cpu(index).stop(refuse)
            self._global.clear()

    def _cpu(self, index: int) -> CachingCpu:
        return cast("CachingCpu", self._state.cpus[index])
