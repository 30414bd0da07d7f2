"""Puts free pages on ZEROS queues where they stand, as idle zeroing does with those that it chooses.

=> It reaches behind the public face, and knows the two designs by name: it is for tests of those two.
=> Through the lists' own methods, so that audit() must be content with the result.
"""

from typing import Any, cast

import uvmfree
from uvmfree.uvm.page import UNKNOWN, ZEROS, PageList, Place, VmPage


def zero_free_page(uvm: uvmfree.Uvm, pg: VmPage) -> None:
    """Fill a free page with zeros and move it to the head of the ZEROS queue where it is; at rest only."""
    uvm.physmem.bytes_of(pg)[:] = bytes(uvm.param.pagesize)
    if pg.zeroed:
        return
    design: Any = uvm.design
    counters = design.state.counters
    if uvm.param.design == "fpageqlock":
        cpu: Any = uvm.cpus[cast("int", pg.owner)]
        for lists in (cpu.grid, design.every):
            _leave(lists[UNKNOWN][pg.free_list][pg.color], pg)
        into = cpu.grid[ZEROS][pg.free_list][pg.color]
        _put_on(into, pg)
        design.every[ZEROS][pg.free_list][pg.color].append(pg)
        cpu.npages[UNKNOWN] -= 1
        cpu.npages[ZEROS] += 1
        counters.view()[counters.slot("zeropages")] += 1
    elif pg.place is Place.GLOBAL:
        design.store.unlink(pg)
        design.store.push(pg, ZEROS)
        counters.adder("zeropages").add(1)
    else:
        cpu = uvm.cpus[cast("int", pg.owner)]
        _take_out(cpu.grid[UNKNOWN][pg.free_list][pg.color], pg)
        _put_on(cpu.grid[ZEROS][pg.free_list][pg.color], pg)


def zero_free_pages(uvm: uvmfree.Uvm, *pfns: int) -> None:
    for pg in uvm.physmem:
        if pg.pfn in pfns:
            zero_free_page(uvm, pg)


def _leave(pages: PageList, pg: VmPage) -> None:
    """Let a page leave a list from its middle: a ghost stays behind."""
    if pages[-1] is pg:
        pages.pop()
    else:
        pages.ghosts += 1


def _take_out(pages: PageList, pg: VmPage) -> None:
    """Take the newest entry of a page out of a list; older ones are ghosts and stay."""
    del pages[len(pages) - 1 - pages[::-1].index(pg)]


def _put_on(pages: PageList, pg: VmPage) -> None:
    pg.on = pages
    pages.append(pg)
