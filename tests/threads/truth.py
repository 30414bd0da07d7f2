"""What is true of a system at rest, walked page by page, independently of audit().

At rest every page is in exactly one of five places, and the counters say how many are in each:

    free            on the global list                                     uvmexp.free
    cached          on the list of a CPU, and on no other                  the CPUs' own counters
    being zeroed    by an idle CPU, on no free list (R16)                  counted by no counter: walked
    paging          of an anon that is being written to swap (PAGEOUT)     uvmexp.paging
    held            all other allocated pages                              what the players, and the anon map, know

=> free + cached + being zeroed + paging + held = npages.
=> A page that is being written is allocated: it belongs to the anon until the write has ended, then it is freed, and
   only then uvmexp.paging goes down (R22). So while the I/O thread is between the two the sum is one too high, and
   while the pagedaemon is between choosing a page and pageout_start() one too low. At rest neither is.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import uvmfree
from tests.mechanism.rig import until
from uvmfree.uvm.page import UNKNOWN, ZEROS, Place


@dataclass
class Books:
    """What those who used a system know: pages held, pages being paged out, and calls that succeeded.

    => `allocs`, `frees`: of pagealloc() and of pagefree(). `ranged`: pages from uvm_pglistalloc, as returned.
    """

    held: int
    allocs: int
    frees: int
    ranged: int = 0
    paging: int = 0


def quiet(uvm: uvmfree.Uvm, *, stuck: bool = False) -> None:
    """Wait until the daemon sleeps and nothing is being written to swap, or with `stuck` nothing goes on there."""
    handle = uvm.pageout.mutex.handle("observer")

    def rests() -> bool:
        with handle:
            return bool(uvm.pageout._daemon._waiters) and (stuck or uvm.pageout.paging == 0)

    until(rests)


def check_at_rest(uvm: uvmfree.Uvm, books: Books) -> None:
    """Compare every counter with what is walked, all locks held: no idle or xc thread is between two places."""
    with ExitStack() as held:
        for handle in uvm._design.all_locks("observer"):
            held.enter_context(handle)
        places, zeros = _walk(uvm)
        exp, stats = uvm.uvmexp, uvm.cpu_stats()
        free, cached, paging = exp.free, sum(cpu.cached for cpu in stats), exp.paging
        zeroing = sum(len(cpu.zeroing()) for cpu in uvm._state.cpus)
        assert free + cached + books.held + zeroing + paging == uvm.param.npages, (
            f"{free} free + {cached} cached + {books.held} held + {zeroing} being zeroed + {paging} paging "
            f"are not {uvm.param.npages} pages"
        )
        _same("uvmexp.free, zeropages", (free, exp.zeropages), (places[Place.GLOBAL], zeros))
        _same("the CPUs: cached", cached, places[Place.CACHED])
        _same("the CPUs: cached, each", tuple(cpu.cached for cpu in stats), uvm.cached_pages())
        _same("the CPUs: being zeroed", zeroing, places[Place.ZEROING])
        _same("uvmexp.paging, pdpending", (paging, exp.pdpending), (books.paging, books.paging))
        _same("allocated", books.held + books.paging, places[Place.ALLOCATED])
        _same("the CPUs: allocs", sum(cpu.allocs for cpu in stats), books.allocs)
        in_vain = uvm._pglist.allocated - books.ranged  # pages of a wait for more that did not come; they went back
        _same("the CPUs: frees", sum(cpu.frees for cpu in stats), books.frees + in_vain)


def _same(what: str, counted: object, true: object) -> None:
    assert counted == true, f"{what}: counted {counted}, in truth {true}"


def _walk(uvm: uvmfree.Uvm) -> tuple[Counter[Place], int]:
    """Count the pages by where they say they are, and find each there and nowhere else; also the global ZEROS."""
    design: Any = uvm._design
    own = {id(pages): pages for cpu in uvm._state.cpus for pages in _flat(getattr(cpu, "lists", []))}
    if uvm.param.design == "fpageqlock":
        globals_ = list(_flat(design._global))
    else:
        globals_ = [chunk for bucket in _flat(design._global.buckets) for chunk in bucket.chunks]
    zeroing = [pages for cpu in uvm._state.cpus for pages in [cpu._zeroing]]
    known = {**own, **{id(pages): pages for pages in (*globals_, *zeroing)}}
    on_global = {id(pages): {pg.pfn for pg in pages} for pages in globals_}
    places: Counter[Place] = Counter()
    zeros = 0
    for pg in uvm.physmem:
        places[pg.place] += 1
        on = pg.list
        if on is None:
            continue
        assert known.get(id(on)) is on, f"{pg!r} is on a list that belongs to nobody"
        assert any(pg is each for each in on), f"{pg!r} does not stand on the list that it names"
        if pg.place is Place.GLOBAL:
            zeros += on.queue == ZEROS
            if uvm.param.design == "fpageqlock":
                alike = design._global[on.queue][pg.free_list][pg.color]
                assert pg.pfn in on_global[id(alike)], f"{pg!r} is missing on the global list"
    counted = _counted(uvm)
    standing = (places[Place.GLOBAL] - zeros, zeros)
    assert counted == standing, f"the design counts {counted} pages by queue, {standing} stand on the global list"
    return places, zeros


def _counted(uvm: uvmfree.Uvm) -> tuple[int, int]:
    """Return what the design itself counts on the global list, by queue."""
    design: Any = uvm._design
    if uvm.param.design == "fpageqlock":
        npages: list[Any] = [cpu.npages for cpu in uvm._state.cpus]  # type: ignore[attr-defined]
        return sum(each[UNKNOWN] for each in npages), sum(each[ZEROS] for each in npages)
    return design._global.npages[UNKNOWN], design._global.npages[ZEROS]


def _flat(lists: Any) -> Any:
    return (element for queue in lists for row in queue for element in row)
