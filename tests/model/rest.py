"""A system at rest beside the naive model: what its pages say of themselves, its counters, and its users.

=> At rest every page is in exactly one place, and free + cached + held + being zeroed + paging = npages.
=> A page that is being written to swap is allocated: it belongs to the anon until the write has ended, then it is
   freed, and only then uvmexp.paging goes down (R22). So while the I/O thread is between the two the sum is one too
   high, and while the pagedaemon is between choosing a page and pageout_start() one too low. At rest neither is.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import uvmfree
from tests.model.hands import Books, Table
from tests.model.model import Model
from tests.model.models import MODELS
from uvmfree.uvm.page import Place


def standing(uvm: uvmfree.Uvm) -> Model:
    """Return the model of a system in which every page stands where it says that it does.

    => What CPUs counted and in what order pages stand it does not know.
    """
    model = MODELS[uvm.param.design](uvm.param)
    model.ncolors = uvm.uvmexp.ncolors
    model.arrange({pg.pfn: (pg.place.name, pg.owner, pg.zeroed) for pg in uvm.physmem})
    return model


def check_at_rest(uvm: uvmfree.Uvm, books: Books, stopped: AbstractContextManager[object] | None = None) -> None:
    """Compare every counter with the model of what is walked, then audit.

    => `stopped`: holds every lock, where an idle thread could be between two places otherwise.
    """
    with stopped if stopped is not None else nullcontext():
        model, npages, exp, stats = standing(uvm), uvm.param.npages, uvm.uvmexp, uvm.cpu_stats()
        named = {id(pg.on): pg.on for pg in uvm.physmem if not isinstance(pg.on, str)}
        standing_on = {(key, id(pg)) for key, stand in named.items() for pg in stand.pages()}
        for pg in uvm.physmem:
            stands = pg.place is Place.ALLOCATED or (id(pg.on), id(pg)) in standing_on
            assert stands, f"{pg!r} does not stand on the list that it names"
        cached = tuple(map(model.cached, range(uvm.param.ncpus)))
        zeroing = tuple(list(model.zeroing.values()).count(cpu) for cpu in range(uvm.param.ncpus))
        _same("uvmexp.free, zeropages", (exp.free, exp.zeropages), (model.free_count(), model.zero_count()))
        _same("the CPUs: cached", tuple(cpu.cached for cpu in stats), cached)
        _same("the CPUs: cached, by their lists", uvm.cached_pages(), cached)
        _same("the CPUs: being zeroed", tuple(len(cpu.zeroing()) for cpu in uvm.cpus), zeroing)
        _same("uvmexp.paging, pdpending", (exp.paging, exp.pdpending), (books.paging, books.paging))
        allocated = sum(pg.place is Place.ALLOCATED for pg in uvm.physmem)
        _same("allocated", books.held + books.paging, allocated)
        _same("the CPUs: allocs", sum(cpu.allocs for cpu in stats), books.allocs)
        total = exp.free + sum(cpu.cached for cpu in stats) + books.held + sum(zeroing) + exp.paging
        _same("free + cached + held + being zeroed + paging", total, npages)
    # What was freed follows: an audit holds allocations less frees against what is allocated.
    uvm.audit()


def check_all_free(uvm: uvmfree.Uvm, table: Table) -> None:
    """Give all pages back and hand all caches back: as many as the model moves, and then all pages are free.

    => Nobody else may be at work: neither xc threads nor idle threads.
    """
    table.give_all_back()
    moved = sum(map(standing(uvm).redistribute, range(uvm.param.ncpus)))
    _same("pages handed back", uvm.redistribute(), moved)
    _same("uvmexp.free", uvm.uvmexp.free, uvm.param.npages)
    check_at_rest(uvm, table.books())


def _same(what: str, counted: object, true: object) -> None:
    assert counted == true, f"{what}: counted {counted}, in truth {true}"
