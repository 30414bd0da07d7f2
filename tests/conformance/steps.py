"""Steps that many tests of the designs take."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import uvmfree
from tests.kern.tasks import begin, void
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import PG_BUSY, PG_CLEAN, PG_FAKE, PG_ZERO, Place, VmPage


def running(uvm: uvmfree.Uvm) -> str:
    """Return the name of the thread, or the strand, that calls."""
    machine = uvm.machine
    if isinstance(machine, uvmfree.VirtualMachine):
        return str(machine.scheduler.current.name)
    return threading.current_thread().name


def begin_on(uvm: uvmfree.Uvm, body: Callable[[], object], cpu: int | None = None) -> Any:
    """Start a thread, or a strand of that CPU."""
    if isinstance(uvm.machine, uvmfree.VirtualMachine):
        return uvm.machine.spawn("body", lambda: void(body()), cpu)
    return begin(body)


def alive(uvm: uvmfree.Uvm) -> list[str]:
    """Return the names of all threads, or strands, that have not ended."""
    machine = uvm.machine
    if isinstance(machine, uvmfree.VirtualMachine):
        return [strand.name for strand in machine.scheduler.strands.values()]
    return [thread.name for thread in threading.enumerate()]


def asks(claim: Callable[[uvmfree.Traits], object]) -> pytest.MarkDecorator:
    """Mark a test as being about the designs alone of whose traits the claim is true."""
    return pytest.mark.asks(claim=claim)


FLAGS = {"BUSY": PG_BUSY, "CLEAN": PG_CLEAN, "FAKE": PG_FAKE, "ZERO": PG_ZERO}


def take(cpu: Cpu, **how: Any) -> VmPage:
    pg = cpu.pagealloc(**how)
    assert pg is not None
    assert pg.place is Place.ALLOCATED, f"{pg!r} came out, and still names where it stood"
    return pg


def take_all(cpu: Cpu, **how: Any) -> list[VmPage]:
    """Allocate until there is no page more, of no colour; ends at once if a page comes out twice.

    => A cache may serve the wanted colour only; elsewhere the first failure is the last.
    """
    pages: dict[int, VmPage] = {}
    colors = [{"color": color} for color in range(cpu._colormask + 1) if "color" not in how]
    for wanted in ({}, *colors):
        while (pg := cpu.pagealloc(**how, **wanted)) is not None:
            assert pg.pfn not in pages, f"{pg!r} went out twice"
            pages[pg.pfn] = pg
    return list(pages.values())


def by_frame(uvm: uvmfree.Uvm, npages: int) -> list[VmPage]:
    """Allocate so many pages past all caches, the lowest frames of freelist 0 first."""
    return uvm.pglistalloc(npages, nsegs=npages)


def all_free(uvm: uvmfree.Uvm) -> int:
    """Count the free pages, with those in caches of one CPU or of all."""
    return uvm.uvmexp.free + (cached(uvm) + uvm.design.parked() if uvm.traits.free == "store" else 0)


def cached(uvm: uvmfree.Uvm) -> int:
    """Count the pages in all caches."""
    return sum(uvm.cached_pages())


def free_all(cpu: Cpu, pages: list[VmPage]) -> None:
    for pg in pages:
        cpu.pagefree(pg)


def flags(pg: VmPage) -> set[str]:
    return {name for name, bit in FLAGS.items() if pg.flags & bit}


def dirty(uvm: uvmfree.Uvm, pg: VmPage) -> None:
    """Fill a page with bytes that are not zero, as its holder."""
    uvm.physmem.bytes_of(pg)[:] = b"\xa5" * uvm.param.pagesize


def is_zero(uvm: uvmfree.Uvm, pg: VmPage) -> bool:
    return uvm.physmem.bytes_of(pg) == bytes(uvm.param.pagesize)


def counted(uvm: uvmfree.Uvm) -> tuple[object, ...]:
    """Return all that a refused call must leave as it was."""
    places = tuple((pg.pfn, pg.place, pg.owner, pg.zeroed, pg.flags) for pg in uvm.physmem)
    return uvm.uvmexp.snapshot(), counts(uvm), uvm.cached_pages(), uvm.counter_lag(), places


def counts(uvm: uvmfree.Uvm) -> tuple[object, ...]:
    """Return what the CPUs counted, without the atomic operations: those are a cost, and a refusal may have one."""
    return tuple(replace(stats, atomics=0) for stats in uvm.cpu_stats())
