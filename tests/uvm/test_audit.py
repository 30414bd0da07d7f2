"""The audit finds what is wrong: a table of corruptions, each seeded into a sound system of each design.

=> A corruption is made behind the public face, and must be found; the same system passes before it.
"""

from collections.abc import Callable
from typing import Any

import pytest

import uvmfree
from tests.uvm.zeros import zero_free_page
from uvmfree.uvm.audit import FINDINGS_MAX
from uvmfree.uvm.page import PG_ZERO, UNKNOWN, ZEROS, PageList, Place, VmPage

NPAGES = 96
BOTH = ("fpageqlock", "percpu")


class Sick:
    """A system in which all kinds of places have pages; a corruption takes what it needs by name."""

    def __init__(self, design: str) -> None:
        self.uvm = uvmfree.boot(npages=NPAGES, ncpus=2, ncolors=2, nfreelists=2, pagesize=512, design=design)
        self.name = design
        self.cpu: Any = self.uvm.cpus[0]
        self.other: Any = self.uvm.cpus[1]
        self.held = [pg for pg in (self.cpu.pagealloc() for _ in range(20)) if pg is not None]
        for pg in self.held[:8]:
            self.cpu.pagefree(pg)
        for pg in self.held[8:14]:
            self.other.pagefree(pg)
        self.own = self.held[0]  # on CPU 0's list, freelist 0, colour 0
        self.zeroed = self.held[1]  # on CPU 0's ZEROS queue
        zero_free_page(self.uvm, self.zeroed)
        self.stock = next(pg for pg in self.uvm.physmem if pg.place is Place.GLOBAL and pg.owner != 1)
        self.zero_stock = next(pg for pg in self.uvm.physmem if pg.place is Place.GLOBAL and pg.owner != 1)
        self.zero_stock = next(
            pg for pg in self.uvm.physmem if pg.place is Place.GLOBAL and pg.owner != 1 and pg is not self.stock
        )
        zero_free_page(self.uvm, self.zero_stock)
        self.allocated = self.held[-1]
        self.counters = self.uvm.design.state.counters
        self.design: Any = self.uvm.design

    def on(self, pg: VmPage) -> PageList:
        """Return the list that a free page stands on."""
        assert isinstance(pg.on, PageList)
        return pg.on

    def global_head(self, pg: VmPage, queue: int = UNKNOWN) -> PageList:
        """Return the list at the head of the global bucket for pages like this one."""
        if self.name == "fpageqlock":
            bucket: PageList = self.design.every[queue][pg.free_list][pg.color]
            return bucket
        chunk: PageList = self.design.store.buckets[queue][pg.free_list][pg.color].chunks[-1]
        return chunk

    def bump(self, counter: str) -> None:
        self.counters.view()[self.counters.slot(counter)] += 1


def twice_on_its_list(sick: Sick) -> None:
    sick.on(sick.own).append(sick.own)


def on_two_lists(sick: Sick) -> None:
    sick.other.grid[UNKNOWN][sick.own.free_list][sick.own.color].append(sick.own)


def cached_and_global(sick: Sick) -> None:
    sick.global_head(sick.own).append(sick.own)


def lost(sick: Sick) -> None:
    sick.on(sick.own).remove(sick.own)


def lost_from_the_global_list(sick: Sick) -> None:
    sick.global_head(sick.stock).remove(sick.stock)


def lost_between_the_lists(sick: Sick) -> None:
    """The page names a list on which it does not stand."""
    sick.on(sick.own).remove(sick.own)
    sick.own.on = PageList(Place.CACHED, 0, UNKNOWN)


def forgotten_and_allocated(sick: Sick) -> None:
    """A free page vanishes without a trace: it looks allocated, and nobody allocated it."""
    sick.on(sick.own).remove(sick.own)
    if sick.name == "fpageqlock":
        sick.global_head(sick.own).remove(sick.own)
    sick.own.on = sick.uvm.physmem.system


def allocated_on_a_list(sick: Sick) -> None:
    sick.own.on = sick.uvm.physmem.system


def free_on_no_list(sick: Sick) -> None:
    sick.allocated.on = sick.on(sick.own)


def held_in_another_system(sick: Sick) -> None:
    sick.allocated.on = "another system"


def names_another_list(sick: Sick) -> None:
    """A page stands on CPU 0's list and says that it stands on CPU 1's."""
    sick.own.on = sick.other.grid[UNKNOWN][sick.own.free_list][sick.own.color]


def in_the_bucket_of_another_colour(sick: Sick) -> None:
    pages = sick.on(sick.own)
    pages.remove(sick.own)
    into = sick.cpu.grid[UNKNOWN][sick.own.free_list][1 - sick.own.color]
    into.append(sick.own)
    sick.own.on = into
    if sick.name == "fpageqlock":
        sick.global_head(sick.own).remove(sick.own)
        sick.design.every[UNKNOWN][sick.own.free_list][1 - sick.own.color].append(sick.own)


def in_the_global_bucket_of_another_colour(sick: Sick) -> None:
    row = sick.design.every if sick.name == "fpageqlock" else sick.design.store.buckets
    wrong = row[UNKNOWN][sick.stock.free_list][1 - sick.stock.color]
    if sick.name == "fpageqlock":
        sick.global_head(sick.stock).remove(sick.stock)
        wrong.append(sick.stock)
    else:
        row[UNKNOWN][sick.stock.free_list][sick.stock.color].unlink(sick.stock)
        wrong.push(sick.stock)


def in_the_bucket_of_another_freelist(sick: Sick) -> None:
    sick.on(sick.own).remove(sick.own)
    into = sick.cpu.grid[UNKNOWN][1 - sick.own.free_list][sick.own.color]
    into.append(sick.own)
    sick.own.on = into


def of_a_wrong_colour(sick: Sick) -> None:
    sick.own.color ^= 1


def allocated_of_a_wrong_colour(sick: Sick) -> None:
    sick.allocated.color ^= 1


def of_a_wrong_freelist(sick: Sick) -> None:
    sick.stock.free_list ^= 1


def dirty_on_the_zeros_queue(sick: Sick) -> None:
    sick.uvm.physmem.bytes_of(sick.zeroed)[-1] = 1


def dirty_on_the_global_zeros_queue(sick: Sick) -> None:
    sick.uvm.physmem.bytes_of(sick.zero_stock)[0] = 1


def a_list_of_another_queue(sick: Sick) -> None:
    sick.on(sick.own).queue = ZEROS


def a_list_of_another_owner(sick: Sick) -> None:
    sick.on(sick.own).owner = 1


def a_list_in_another_place(sick: Sick) -> None:
    pages = sick.on(sick.own)
    pages.place = Place.CACHED if pages.place is Place.GLOBAL else Place.GLOBAL


def free_too_high(sick: Sick) -> None:
    sick.bump("free")


def zeropages_too_high(sick: Sick) -> None:
    sick.bump("zeropages")


def a_free_too_many(sick: Sick) -> None:
    sick.cpu.frees += 1


def a_fill_too_many(sick: Sick) -> None:
    sick.other.filled += 1


def a_drain_too_many(sick: Sick) -> None:
    sick.cpu.drained += 1


def an_allocation_too_many(sick: Sick) -> None:
    sick.other.cpumiss += 1


def more_colour_misses_than_allocations(sick: Sick) -> None:
    sick.cpu.colormiss = 1000


def more_zero_hits_than_allocations(sick: Sick) -> None:
    sick.other.zerohit = 1


def a_wrong_count_of_the_lists(sick: Sick) -> None:
    if sick.name == "fpageqlock":
        sick.cpu.npages[UNKNOWN] += 1
    else:
        sick.design.store.npages[UNKNOWN] -= 1


def pages_counted_on_the_wrong_queue(sick: Sick) -> None:
    npages = sick.cpu.npages if sick.name == "fpageqlock" else sick.design.store.npages
    npages[UNKNOWN] -= 1
    npages[ZEROS] += 1


def a_ghost_that_is_not_there(sick: Sick) -> None:
    sick.global_head(sick.stock).ghosts += 1


CORRUPTIONS: dict[Callable[[Sick], None], str] = {
    twice_on_its_list: "",
    on_two_lists: "",
    cached_and_global: "",
    lost: "",
    lost_from_the_global_list: "",
    lost_between_the_lists: "",
    forgotten_and_allocated: "allocated",
    allocated_on_a_list: "",
    free_on_no_list: "",
    held_in_another_system: "stands on no list",
    names_another_list: "",
    in_the_bucket_of_another_colour: "colour",
    in_the_global_bucket_of_another_colour: "colour",
    in_the_bucket_of_another_freelist: "freelist",
    of_a_wrong_colour: "R1",
    allocated_of_a_wrong_colour: "R1",
    of_a_wrong_freelist: "freelist",
    dirty_on_the_zeros_queue: "is not zero",
    dirty_on_the_global_zeros_queue: "is not zero",
    a_list_of_another_queue: "queue",
    a_list_of_another_owner: "",
    a_list_in_another_place: "",
    free_too_high: "uvmexp.free",
    zeropages_too_high: "uvmexp.zeropages",
    a_free_too_many: "CPU",
    a_fill_too_many: "CPU 1",
    a_drain_too_many: "CPU 0",
    an_allocation_too_many: "CPU",
    more_colour_misses_than_allocations: "CPU 0",
    more_zero_hits_than_allocations: "CPU 1",
    a_wrong_count_of_the_lists: "counts",
    pages_counted_on_the_wrong_queue: "queue",
    a_ghost_that_is_not_there: "ghost",
}


@pytest.mark.parametrize("design", BOTH)
@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
def test_a_corruption_is_found(design: str, corrupt: Callable[[Sick], None]) -> None:
    """R1 and R3: the walked truth contradicts what was seeded, and the finding says what."""
    sick = Sick(design)
    try:
        sick.uvm.audit()
        corrupt(sick)
        with pytest.raises(uvmfree.AuditError) as found:
            sick.uvm.audit()
        assert any(CORRUPTIONS[corrupt] in finding for finding in found.value.findings)
        assert all("\n" not in finding for finding in found.value.findings)
        assert str(found.value).startswith(found.value.findings[0])
    finally:
        sick.uvm.close()


@pytest.mark.parametrize("design", BOTH)
def test_a_finding_names_the_page_and_the_error_says_how_many_more(design: str) -> None:
    sick = Sick(design)
    for pg in sick.uvm.physmem:
        pg.color ^= 1
    with pytest.raises(uvmfree.AuditError, match=r"page 0x[0-9a-f]+ .* \(and 19 more\)") as found:
        sick.uvm.audit()
    assert len(found.value.findings) == FINDINGS_MAX
    sick.uvm.close()


@pytest.mark.parametrize("design", BOTH)
def test_an_audit_leaves_all_locks_free_and_changes_nothing(design: str) -> None:
    sick = Sick(design)
    places = [(pg.place, pg.owner, pg.flags) for pg in sick.uvm.physmem]
    before = sick.uvm.cpu_stats(), sick.uvm.uvmexp.snapshot()
    sick.uvm.audit()
    sick.bump("free")
    for _ in range(2):
        with pytest.raises(uvmfree.AuditError):
            sick.uvm.audit()
    sick.counters.view()[sick.counters.slot("free")] -= 1
    sick.uvm.audit()
    assert (sick.uvm.cpu_stats(), sick.uvm.uvmexp.snapshot()) == before
    assert places == [(pg.place, pg.owner, pg.flags) for pg in sick.uvm.physmem]
    assert sick.allocated.flags & PG_ZERO == 0
    sick.uvm.close()
