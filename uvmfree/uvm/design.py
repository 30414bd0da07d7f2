"""A design of the allocator: its locks, its store, and what is done to a system as a whole, whatever the design.

A design is two classes. Its Cpu (uvm/cpu.py) has the hot path. The Design declares locks, tunables and causes, and
keeps the *store*: what is nobody's, by default one GlobalFreelist under the last shared lock, uvm_fpageqlock. One
that keeps free pages otherwise writes the six members of the store together.

=> Every CPU has a *guard* (uvm/locked.py): it guards the CPU's lists and counts, and which Cpu plays the CPU.
=> All is *stopped* while all locks are held, the guards ascending, then the shared locks in the order of LOCKS:
   no page is between two stands, nobody is in a call. The store's six members are called so, or at boot, or with all
   shared locks held; where a counter follows the store it is settled by the difference on the way out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Generic, TypeVar

from uvmfree.errors import ClosedError, UvmError
from uvmfree.kern.collector import collector_off
from uvmfree.kern.mutex import Mutex
from uvmfree.param import Param
from uvmfree.uvm.binding import refusal
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.freelist import GlobalFreelist, Walked
from uvmfree.uvm.locked import Locked, held
from uvmfree.uvm.page import UNKNOWN, PageList, Place, Stand, VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.uvm.traits import Traits

C = TypeVar("C", bound=Cpu)

USED_FOR: Final = {
    "timer": ("redistribute_interval_s",),
    "pressure": ("count_cached", "remote_drain", "redistribute_min_gap_s"),
    "retry": ("drain_retry", "redistribute_min_gap_s"),
}
"""The tunables of a system that decide what a cause does."""


@dataclass(frozen=True, slots=True)
class NoTunables:
    """The tunables of a design that has none of its own."""


class Design(Locked, Generic[C]):
    """An allocator design: `fpageqlock`, `percpu`, and what comes after them.

    => To be declared: `name`, `summary`, the design in a line, and `cpu_class`.
    => `LOCKS`: its ranks, ascending, in the order in which they are taken; at most one of kind `cpu` or `off`.
    => `Tunables`: a frozen dataclass of its own tunables, which checks itself. `uses`: those of the system that say
       what it does, beside those that every system has, and those that go with its CAUSES.
    => `CAUSES`: why redistribute() hands a cache back here; for any other cause it does nothing.
    => `publishes`: whether uvmexp.free and .zeropages are kept on the counter page, and follow the store.
    => `store_tells`: whether a run of pages can be taken from the store while CPUs go on (take_run): as with a
       GlobalFreelist, where a page whose place is GLOBAL is in the store, for who holds the shared locks alone.
    => `cpu_place`: where the pages on a CPU's lists count as being.
    => `cpus[i]` plays CPU i now; replaced under its guard. `store`: guarded by the shared locks.

    >>> uvm = uvmfree.boot(npages=4096, ncpus=2, design="percpu")
    >>> uvm.design.name, [rank.name for rank in uvm.design.LOCKS], uvm.design.CAUSES[:2]
    ('percpu', ['uvm_cpu', 'uvm_fpageqlock'], ('timer', 'pressure'))
    >>> sum(len(walked.real) for walked in uvm.design.walk()), uvm.design.stock()
    (4096, (4096, 0))
    >>> uvm.close()
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    cpu_class: type[C]
    Tunables: ClassVar[type[Any]] = NoTunables
    uses: ClassVar[frozenset[str]] = frozenset()
    CAUSES: ClassVar[tuple[str, ...]] = ()
    publishes: ClassVar[bool] = True
    store_tells: ClassVar[bool] = True
    cpu_place: ClassVar[Place] = Place.CACHED

    @classmethod
    def used(cls) -> frozenset[str]:
        """Return the names of all tunables that decide what it does, beside those that every system has."""
        of_causes = (tunables for cause, tunables in USED_FOR.items() if cause in cls.CAUSES)
        return cls.uses.union(*of_causes, (field.name for field in fields(cls.Tunables)))

    @classmethod
    def traits(cls, param: Param, tunables: Any) -> Traits:
        """Return what the design says of itself, with these tunables; by default what the proposal says.

        => One that differs overrides this: `replace(super().traits(param, tunables), bound=...)`.
        """
        causes = {*cls.CAUSES, "pglistalloc"} if cls.CAUSES else set()
        return Traits(
            causes=frozenset(causes if param.drain_retry else causes - {"retry"}),
            short="all" if param.count_cached else "store",
        )

    def __init__(self, state: UvmState) -> None:
        """Make locks and CPUs, and put all pages into the store."""
        self.tunables, ncpus = state.tunables, state.param.ncpus
        super().__init__(state)
        self.store = self.make_store()
        # Made before they are used: any thread may come. They count under the locks, like all others.
        self._free, self._redistribute, self._attach = (
            self.outer_and_inner(caller) for caller in ("uvm_pagefree", "uvm_redistribute", "uvm_cpu_attach")
        )
        stoppers = ("uvm_cpu_attach", "uvm_pglistalloc", "uvm_close")
        self._stoppers = {caller: self.all_locks(caller) for caller in stoppers}
        self._redistributed_ns = [0] * ncpus  # when last; by CPU, under its guard
        # By CPU, under its guard. Each cause is there from the start: no reader without a lock sees a table grow.
        self._causes: list[Counter[str]] = [Counter(dict.fromkeys(self.CAUSES, 0)) for _ in range(ncpus)]
        self.cpus: list[C] = []
        self.empty()
        for index in range(ncpus):
            cpu = self.cpu_class(self, index, self.guard(index))
            cpu.take_over(None)
            self.cpus.append(cpu)
        with collector_off():
            self.fill()
        for mutex, touched in self.guarded():
            mutex.guards(touched)
        if not self.cpu_locks:
            self.cpus[0].publish(*self.lag())
        elif self.publishes:
            state.counters.adder("free").add(sum(self.stock()))  # which no CPU did

    # The store: made here, if it has the members of a GlobalFreelist; else the six below are overridden together.

    def make_store(self) -> Any:
        """Make the store, empty; called before the CPUs are made."""
        return GlobalFreelist(self.state.physmem.system, self.state.param.nfreelists, self.state.param.ncolors)

    def empty(self) -> None:
        """Have the store anew, empty, for the colours that there are now."""
        self.store.clear()
        self.store.recolor(self.state.uvmexp.ncolors)

    def lists(self) -> Iterable[Stand]:
        """Walk all stands that are no CPU's."""
        stands: Iterable[Stand] = self.store.lists()
        return stands

    def push(self, pg: VmPage, queue: int, owner: int | None = None) -> None:
        """Put a page there; `owner`, for a store that keeps it: the CPU that freed it."""
        self.store.push(pg, queue)

    def fill(self) -> None:
        """Put all pages there, at boot; by ascending frame number, as push() would."""
        for pg in self.state.physmem:
            self.push(pg, UNKNOWN)

    def splice(self, part: PageList) -> None:
        """Put a whole list there that was chopped off a CPU."""
        self.store.splice(part)

    def remove(self, pages: Sequence[VmPage]) -> None:
        """Take free pages that no CPU owns from wherever they stand; with everything stopped. Never fails."""
        for pg in pages:
            self.store.unlink(pg)

    def take_run(self, cpu: C, run: Sequence[VmPage]) -> bool:
        """Take pages that were in the store a moment ago, all of them; False if one has left it: nothing has changed.

        => Under a CPU's guard, of which `cpu` makes use if it needs one, and all shared locks.
        """
        if there := all(pg.place is Place.GLOBAL for pg in run):
            self.remove(run)
        return there

    def stock(self) -> tuple[int, int]:
        """Return how many pages are there on the UNKNOWN and the ZEROS queues; exact under the shared locks."""
        unknown, zeros = self.store.stock
        return unknown, zeros

    # May be overridden.

    def guarded(self) -> Iterable[tuple[Mutex, object]]:
        """Return what each shared lock guards that counts what is touched under it, as GlobalFreelist does.

        => A Machine charges a hold by that. One that is not named here is charged for one page.
        """
        return [(mutex, self.store) for mutex in self.shared_locks[-1:]]

    def free(self) -> int:
        """Return how many pages count as free, without a lock."""
        return self.state.counters.load("free")

    def parked(self) -> int:
        """Return how many pages are in caches that CPUs share: cached, and no CPU's; without a lock."""
        return 0

    def redistribute(self, index: int, cause: str) -> int:
        """Chop off the cache of one CPU and hand it to the store (P8); return how many pages. `cause` is counted.

        => Holds all shared locks at once; O(lists) with a store that takes a list by pointer.
        """
        if cause not in self.CAUSES:
            return 0
        with self.guarding(index) as cpu:
            return self.redistribute_guarded(cpu, cause)

    def tick_s(self) -> float:
        """Return how often tick() is to be called for each CPU, in seconds."""
        return self.state.param.redistribute_interval_s

    def tick(self, index: int) -> None:
        """Do what a CPU's xc thread does once an interval: hand its pages back if that was not done recently (P9).

        => Or if the system is struggling.
        """
        if "timer" not in self.CAUSES or not self.cached(index):
            return  # a cache that was empty a moment ago is worth no lock
        with self.guarding(index):
            idle_ns = self.state.machine.clock_ns() - self._redistributed_ns[index]
        recently = idle_ns < self.state.param.redistribute_interval_s * 1e9
        if not recently or self.state.pageout.is_short(self.state.countable(self.state.uvmexp.free)):
            self.redistribute(index, "timer")

    def reclaiming(self, active: bool) -> None:
        """Note that the pagedaemon begins, or ends, to free memory that is short; called by the daemon alone."""

    def check(self) -> Iterator[str]:
        """Check what only this design promises, with everything stopped; one line for each finding."""
        yield from self.store.check("the global list")

    # For a design to call.

    @contextmanager
    def guarding(self, index: int) -> Iterator[C]:
        """Hold a CPU's guard, as whoever redistributes does, and yield its Cpu; a stopped one caches nothing."""
        with self._redistribute[0][index]:
            yield self.cpus[index]

    def redistribute_guarded(self, cpu: C, cause: str) -> int:
        """Do what redistribute() does, for a cause of CAUSES; with the CPU's guard held already."""
        self._redistributed_ns[cpu.index] = began_ns = self.state.machine.clock_ns()
        if not (chopped := cpu.chop()):
            return 0
        self.count(cpu.index, cause)
        pages = cpu.hand_back(chopped, self._redistribute[1])
        self.state.events.add("redistribute", cause, cpu.index, began_ns, pages)
        return pages

    def count(self, index: int, cause: str) -> None:
        """Count that pages of a CPU are handed back for a cause of CAUSES; with its guard held."""
        self._causes[index][cause] += 1

    # What the system calls.

    @contextmanager
    def stopped(self, caller: str, needless: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Hold every lock; on the way out the shared counters follow what was done to the store.

        => `needless()` is asked with the first lock held. If it is true no other one is taken, and False is yielded.
        => ClosedError if the system was closed. After an error nothing is settled: nothing may have changed.
        """
        first, *inner = self._stoppers[caller]
        with first:
            if needless():
                yield False
                return
            with held(inner[:-1]):
                with held(inner[-1:]):
                    self.state.check_open()
                    before = self.lag()  # nothing, or a count went astray: that is for the audit to find
                    yield True
                    pages, zeropages = (now - then for now, then in zip(self.lag(), before, strict=True))
                    if not self.cpu_locks:
                        self.cpus[0].publish(pages, zeropages)
                if self.cpu_locks:
                    self.cpus[0].publish(pages, zeropages)  # any CPU's updaters will do: all guards are held

    def lag(self) -> tuple[int, int]:
        """Return by how much uvmexp.free and .zeropages are behind the store; under its locks."""
        if not self.publishes:
            return 0, 0
        load, (unknown, zeros) = self.state.counters.load, self.stock()
        return unknown + zeros - load("free"), zeros - load("zeropages")

    def bind(self, index: int, *, attach: bool = False) -> C:
        """Make a new Cpu for CPU `index`, built by the calling thread, and put it in the old one's place.

        => `attach`: the CPU was detached, and comes back; else what stopped it, if anything did, raises here.
        """
        cpu = self.cpu_class(self, index, self.guard(index))
        with self._attach[0][index]:
            before = self.cpus[index]
            (self.state.check_open if attach else before.check_running)()
            cpu.take_over(before)
            self.cpus[index] = cpu
            gone = f"this object of CPU {index} was left behind by a later run_on({index}); use that one's"
            before.stop(refusal(gone))
        before.retire()
        return cpu

    def pagefree_global(self, pg: VmPage) -> None:
        """Free a page past all caches, for a thread that plays no CPU: it counts as free on return.

        => Accounted to an attached CPU, under its guard: which one goes by the page, to spread the locks.
        => The pagedaemon and its I/O thread free so. In a cache (P5) it would be lost to whoever waits, and to the
           daemon, which would reclaim on and on because uvmexp.free does not rise.
        => DoubleFree, ForeignPage: nothing has changed. ClosedError.
        """
        (outer, inner), ncpus = self._free, len(self.cpus)
        first = pg.pfn if self.cpu_locks else 0
        for index in ((first + step) % ncpus for step in range(ncpus)):
            with outer[index]:
                cpu = self.cpus[index]
                if cpu.stopped:
                    continue
                if pg.on is not self.state.physmem.system:
                    raise cpu._refuse_free(pg)
                with held(inner):
                    self.push(pg, UNKNOWN, index)
                cpu.frees += 1
                cpu.booked += 1
                cpu.gave(1)
                return
        raise ClosedError(f"{pg!r} was freed to a system that is closed")

    def redistributions(self) -> dict[str, int]:
        """Return how many redistributions moved pages, by cause; exact at rest."""
        return {cause: sum(counts[cause] for counts in self._causes) for cause in self.CAUSES}

    def cached(self, index: int) -> int:
        """Return how many pages one CPU caches, without a lock."""
        with suppress(UvmError):  # it is being stopped
            return self.cpus[index].cached()
        return 0

    def gather(self, owners: Iterable[int]) -> None:
        """Put what these CPUs cache into the store; with everything stopped."""
        for index in sorted(owners):
            cpu = self.cpus[index]
            for part in cpu.chop():
                self.splice(part)
                cpu.drained += len(part)

    def detach(self, index: int, heir: int, refuse: Callable[[], object]) -> None:
        """Stop a CPU for good, or until bind() makes a new one; its pages go to others; with everything stopped."""
        leaving, taking = self.cpus[index], self.cpus[heir]
        leaving.leave(taking)
        leaving.bequeath(taking)
        leaving.stop(refuse)

    def recolor(self, ncolors: int) -> None:
        """Give all pages their colours anew and arrange the free ones, in the order in which they stood (Q13).

        => With everything stopped.
        """
        running = [cpu for cpu in self.cpus if not cpu.stopped]
        self.gather(cpu.index for cpu in running)
        standing = [(pg, stand.queue, pg.owner) for stand in self.lists() for pg in stand.pages()]
        self.state.uvmexp.ncolors = ncolors
        for pg in self.state.physmem:
            pg.color = pg.pfn & (ncolors - 1)
        self.empty()
        for cpu in running:
            cpu.recolored()
        for pg, queue, owner in standing:
            self.push(pg, queue, owner)
        for mutex, touched in self.guarded():
            mutex.guards(touched)

    def walk(self) -> Iterator[Walked]:
        """Walk the store and every CPU's lists; with everything stopped, or as an unlocked look sees them."""
        for stand in self.lists():
            yield Walked("the global list", stand, stand.pages(), Place.GLOBAL, None)
        for cpu in self.cpus:
            where = f"the {'cache' if self.cpu_place is Place.CACHED else 'list'} of CPU {cpu.index}"
            stands: Iterable[Stand] = ()
            with suppress(UvmError):  # it is being stopped
                stands = tuple(cpu.lists())
            for stand in stands:
                yield Walked(where, stand, stand.pages(), self.cpu_place, cpu.index)

    def stop(self, refuse: Callable[[], object]) -> None:
        """Make every Cpu refuse, and let go of all pages; at the end of the system."""
        with held(self._stoppers["uvm_close"]):
            for cpu in self.cpus:
                for stand in cpu.lists():
                    stand.clear()
                cpu.stop(refuse)
            for stand in self.lists():
                stand.clear()
            self.empty()
