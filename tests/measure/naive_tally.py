"""A tally made the slow way: every page is looked at after every operation, and every figure made from the log.

=> Nothing here asks what measure/counting.py asks: neither the lengths of caches, nor what lists say was touched, nor
   where a Cpu was before. What stands where is asked of the pages alone.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from uvmfree.errors import OutOfPages
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.counting import Counts, counted_boot
from uvmfree.measure.tally import Tally
from uvmfree.param import Param
from uvmfree.uvm.page import Place, VmPage
from uvmfree.uvm.system import Uvm

HOLDS_KNOWN = ("fpageqlock", "percpu")
"""Designs of which it is known here what a hold of their shared lock touches."""

Operation = tuple[str, int, int]
"""What to do, on which CPU, and with what: the colour (or -1 for none), the number of a held page, or of pages."""


@dataclass(frozen=True)
class Entry:
    """What one operation did, and how things stood after it.

    => `frames`: of the pages allocated, or freed. `right`: whether the colour was the one asked for.
    => `cached[i]`: pages that stood in the cache of CPU i. `holds`: items and pages touched, in each hold of the
       shared lock.
    """

    what: str
    cpu: int
    frames: tuple[int, ...]
    right: bool
    cached: tuple[int, ...]
    holds: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Standing:
    """How many pages are in the store; for each CPU, how many its cache has, and on how many lists they are."""

    store: int
    cached: tuple[int, ...]
    lists: tuple[int, ...]


class Rig:
    """A counted system, driven by one strand, and the log of what it did."""

    def __init__(self, param: Param) -> None:
        machine = VirtualMachine(ncpus=param.ncpus, lockstat=True, lockholds=True)
        self.param = param
        assert machine.lockholds is not None
        self.counts = Counts(machine.lockholds)
        self.uvm: Uvm = counted_boot(machine, param, self.counts)
        self.held: list[VmPage] = []
        self.log: list[Entry] = []
        self._colors = [0] * param.ncpus

    def standing(self) -> Standing:
        """Look at every page, one by one."""
        store, cached = 0, [0] * self.param.ncpus
        lists: list[set[tuple[int, int, bool]]] = [set() for _ in cached]
        for pg in self.uvm.physmem:
            place, owner = pg.place, pg.owner
            if place is Place.GLOBAL:
                store += 1
            elif place is Place.CACHED and owner is not None:
                cached[owner] += 1
                lists[owner].add((pg.free_list, pg.color, pg.zeroed))
        return Standing(store, tuple(cached), tuple(map(len, lists)))

    def do(self, operation: Operation) -> None:
        """Do one operation, and log it; what asks for a page that is not there is left out."""
        what, cpu, number = operation
        before, locks = self.standing(), self._shared_locks()
        frames: Sequence[int] = ()
        right = False
        if what == "alloc":
            pg = self.uvm.cpus[cpu].pagealloc(color=None if number < 0 else number)
            asked = (self._colors[cpu] if number < 0 else number) % self.param.ncolors
            if pg is not None:
                self.held.append(pg)
                frames, right = (pg.pfn,), pg.pfn % self.param.ncolors == asked
                self._colors[cpu] = (pg.pfn + 1) % self.param.ncolors
        elif what in ("free", "nobody"):
            if not self.held:
                return
            pg = self.held.pop(number % len(self.held))
            if what == "free":
                self.uvm.cpus[cpu].pagefree(pg)
            else:  # as the pagedaemon does
                self.uvm.design.pagefree_global(pg)
            frames = (pg.pfn,)
        elif what == "run":
            try:
                pages = self.uvm.pglistalloc(number, alignment=number)
            except OutOfPages:
                pages = []
            self.held += pages
            frames = [pg.pfn for pg in pages]
        else:
            self.uvm.redistribute(cpu)
        now = self.standing()
        touched = self._touched(what, cpu, before, now, frames)
        holds = tuple((touched,) * (self._shared_locks() - locks))
        self.log.append(Entry(what, cpu, tuple(frames), right, now.cached, holds))

    def _touched(
        self, what: str, cpu: int, before: Standing, now: Standing, frames: Sequence[int]
    ) -> tuple[int, int]:
        """Items and pages that a hold of uvm_fpageqlock touched, if the operation took it."""
        if self.param.design == "fpageqlock":  # whose list does not tell: a page, or those of the run
            pages = max(1, len(frames))
            return pages, pages
        if what == "redistribute":
            return before.lists[cpu], 0  # each list by pointer
        if what == "run":  # caches that had some of it were handed back whole, and the pages taken singly
            gone = sum(was for was, left in zip(before.lists, now.lists, strict=True) if was and not left)
            return gone + len(frames), len(frames)
        return (abs(now.store - before.store),) * 2

    def _shared_locks(self) -> int:
        return sum(stat.acquired for stat in self.uvm.lockstat() if stat.name == "uvm_fpageqlock")


def reused(log: Sequence[Entry]) -> Iterator[int]:
    """For each page that came back to the CPU that freed it: how many that CPU had handed out meanwhile."""
    for at, entry in enumerate(log):
        if entry.what == "alloc" and entry.frames:
            for back in range(at - 1, -1, -1):
                if entry.frames[0] in log[back].frames:
                    if log[back].what == "free" and log[back].cpu == entry.cpu:
                        between = log[back + 1 : at]
                        yield sum(
                            one.what == "alloc" and one.cpu == entry.cpu and bool(one.frames) for one in between
                        )
                    break


def differing(rig: Rig, tally: Tally) -> dict[str, tuple[object, object]]:
    """Return what a tally has and should have, where the two are not the same."""
    operations = [entry for entry in rig.log if entry.what in ("alloc", "free")]
    allocs = [entry for entry in operations if entry.what == "alloc"]
    failed = [entry for entry in allocs if not entry.frames]
    distances = sorted(reused(rig.log))
    parked = [sum(entry.cached) for entry in operations]
    items = Counter(hold[0] for entry in rig.log for hold in entry.holds)
    pages = Counter(hold[1] for entry in rig.log for hold in entry.holds)
    every = tally.parked_every
    should = {
        "operations": len(operations),
        "allocations": len(allocs) - len(failed),
        "own": len(distances),
        "reuse_pages": tuple(sorted(Counter(distances).items())),
        "color_right": sum(entry.right for entry in allocs),
        "failed": len(failed),
        "failed_beside": sum(sum(entry.cached) > entry.cached[entry.cpu] for entry in failed),
        "parked_pages_max": max(parked, default=0),
        "parked_pages_total": sum(parked),
        "parked": tuple(max(parked[at : at + every]) for at in range(0, len(parked), every)),
        "items": items,
        "pages": pages,
    }
    is_ = {name: getattr(tally, name) for name in should if name not in ("items", "pages")}
    for name in ("items", "pages"):
        found: Counter[int] = Counter()
        for held in tally.held:
            found += Counter(dict(getattr(held, name)))
        is_[name] = found
    left_out = () if rig.param.design in HOLDS_KNOWN else ("items", "pages")
    return {name: (is_[name], value) for name, value in should.items() if is_[name] != value and name not in left_out}


def median(rig: Rig) -> float | None:
    """Return the lower median of the distances of reuse."""
    distances = list(reused(rig.log))
    return statistics.median_low(distances) if distances else None
