"""Seeded bugs of the two designs of magazines (magazines, openbsd_magazine)."""

from typing import Final

from tests.mutants.mutation import Mutant, become, before, forget

_MAGAZINES, _OPENBSD = "uvmfree.uvm.designs.magazines", "uvmfree.uvm.designs.openbsd_magazine"
_OF_MAGAZINES, _OF_OPENBSD = "uvm/designs/test_magazines.py::", "uvm/designs/test_openbsd_magazine.py::"

BUGS: Final = (
    Mutant(
        "magazine emptied page by page",
        f"{_MAGAZINES}:Depot.splice",
        (become("if len(magazine) < self._size:", "if magazine:"),),
        "a full magazine goes into the depot one page after the other",
        "a hold touches as many pages as a magazine has, where it should move a pointer",
        f"{_OF_MAGAZINES}test_a_full_magazine_goes_by_pointer_both_ways",
    ),
    Mutant(
        "oldest magazine first",
        f"{_MAGAZINES}:Depot.take",
        (become("row.pop()", "row.popleft()"),),
        "a CPU takes the magazine that has been in the depot longest",
        "the coldest pages go out first",
        f"{_OF_MAGAZINES}test_a_full_magazine_goes_by_pointer_both_ways",
    ),
    Mutant(
        "magazine eats the reserve",
        f"{_MAGAZINES}:Depot.take",
        (become("for pg in found[:-most]:", "for pg in found[:0]:"), become("del found[:-most]", "del found[:0]")),
        "a magazine is taken whole, whatever the reserves should keep of it",
        "kernel threads on other CPUs find nothing (R6)",
        f"{_OF_MAGAZINES}test_the_reserve_is_not_taken_into_a_magazine",
    ),
    Mutant(
        "no previous magazine",
        f"{_MAGAZINES}:MagazinesCpu._put",
        (become("self.previous[row], self.loaded[row] = loaded, previous", "self.loaded[row] = previous"),),
        "the magazine that is full is forgotten when the other one takes its place",
        "its pages are lost",
        f"{_OF_MAGAZINES}test_the_previous_magazine_is_used_before_the_depot",
    ),
    Mutant(
        "previous magazine left alone",
        f"{_MAGAZINES}:MagazinesCpu._get",
        (become("local = bool(self.previous[row])", "local = False"),),
        "an empty magazine is exchanged in the depot while the previous one is full",
        "the full one's pages are lost, and a CPU at the edge takes the lock each time",
        f"{_OF_MAGAZINES}test_the_previous_magazine_is_used_before_the_depot",
    ),
    Mutant(
        "ghosts of the depot handed out",
        f"{_MAGAZINES}:Depot.take",
        (forget("found.sweep()"),),
        "a magazine from which a page was unlinked goes to a CPU as it is",
        "the page of a contiguous run gets a second holder",
        f"{_OF_MAGAZINES}test_what_is_unlinked_from_a_magazine_in_the_depot_is_not_handed_out",
    ),
    Mutant(
        "one magazine for every single page",
        f"{_MAGAZINES}:Depot.push",
        (become("if not row or len(row[0]) >= self._size:", "if True:"),),
        "each page that comes singly gets its own magazine",
        "a CPU that takes one has a page, and is back at once",
        f"{_OF_MAGAZINES}test_pages_that_come_singly_gather_in_the_oldest_magazine",
    ),
    Mutant(
        "active magazine emptied",
        f"{_OPENBSD}:OpenbsdCpu._put",
        (become("spilled, self.other = self.other,", "spilled, self.other = self.active,"),),
        "the magazine that was filled last is emptied into the list",
        "it has the warm pages; and it stays in use",
        f"{_OF_OPENBSD}test_a_full_pair_empties_the_colder_magazine_in_one_hold",
    ),
    Mutant(
        "caches not counted down by a spill",
        f"{_OPENBSD}:OpenbsdCpu._put",
        (forget("self._caches.add(-len(spilled))"),),
        "pages that spill still count in percpucaches",
        "the count of free memory that the daemon sees is too high by all that ever spilled",
        f"{_OF_OPENBSD}test_a_full_pair_empties_the_colder_magazine_in_one_hold",
    ),
    Mutant(
        "swap counted as a hit",
        f"{_OPENBSD}:OpenbsdCpu._get",
        (before("self.active, self.other = self.other, self.active", "self._hit.add(1)"),),
        "a page from the magazine that was not in use counts in pcphit",
        "hits and misses no longer say how often magazines change places",
        f"{_OF_OPENBSD}test_what_the_shared_counters_count",
    ),
    Mutant(
        "refill by halves",
        f"{_OPENBSD}:OpenbsdCpu._refill",
        (become("self._state.uvmexp.reserve_kernel + self._size", "self._state.uvmexp.reserve_kernel"),),
        "a magazine is filled with what lies below the reserve",
        "kernel threads on other CPUs find nothing (R6)",
        f"{_OF_OPENBSD}test_a_refill_is_all_or_nothing",
    ),
    Mutant(
        "device pages in a magazine",
        f"{_OPENBSD}:OpenbsdCpu._put",
        (become("if pg.free_list != CACHED_FREELIST:", "if False:"),),
        "a page that is kept for devices goes into a magazine",
        "the next allocation gets it, and a driver finds none",
        f"{_OF_OPENBSD}test_pages_kept_for_devices_are_never_cached",
    ),
    Mutant(
        "updates lost at a take-over",
        f"{_OPENBSD}:OpenbsdCpu.inherit",
        (forget("self._caches.operations += before._updates()"),),
        "updates of shared counters by the CPU's last player are forgotten",
        "atomics are said to be fewer than they were",
        f"{_OF_OPENBSD}test_updates_are_counted_on_when_the_cpu_changes_hands",
    ),
)
