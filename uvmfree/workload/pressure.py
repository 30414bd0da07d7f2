"""Workloads on more memory than there is, and on memory that ends up in the wrong place.

    pressure   an anon map of 1.5 times RAM, half of the CPUs writing, the others reading, a contiguous request now
               and then: the pagedaemon never rests, and pages go to swap and come back
    forkexit   a burst of pages on every CPU, as when children start, all freed on one, as when their parent ends
               them: caches empty everywhere but on that one (Q1, Q2)

=> Every access of `pressure` checks the stamps of its page (uvm/anonpage.py): StampError ends the run.
"""

import os
import random
from collections.abc import Callable
from typing import Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.machine.face import Event
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, StoppedError
from uvmfree.workload.load import Load, pagealloc_waiting
from uvmfree.workload.thinking import PageCpu, PageLoad, thinking

SEED: Final = 1
"""Of the addresses: the CPUs' order of accesses is the same in every run; how they mix is up to the threads."""

MAP_OF_RAM: Final = 1.5
"""The anon map's size, in RAM sizes: a third of it is out at any time, so every third access faults."""

PATIENCE_S: Final = 5.0
"""How long a fault may wait for a page: less than a stopped thread has to end (driver.JOIN_S)."""

RUN_PAGES: Final = 16
"""Pages of the contiguous request, 64 KiB of 4 KiB pages: what a device asks for."""

TOUCHES: Final = 32
"""Accesses between two looks at the clock."""

RUN_EVERY: Final = 8
"""Rounds of so many accesses between two contiguous requests of a CPU."""

BURST_PAGES: Final = 256
"""Pages that a child touches between its start and its end: 1 MiB, a small program."""


def pressure(uvm: Uvm, seconds: float) -> Load:
    """Make the load on all CPUs of a system, for so many seconds."""
    if not 0.01 <= seconds <= 3600:
        raise ArgumentError(f"seconds={seconds}: must be from 0.01 to 3600")
    npages = int(uvm.param.npages * MAP_OF_RAM)
    disk = uvm.machine.disk
    anons = uvm.anon_memory(npages, npages, patience_s=PATIENCE_S, pread=disk(os.pread), pwrite=disk(os.pwrite))
    tallies = [_Tally() for _ in range(uvm.param.ncpus)]

    def counts() -> dict[str, int]:
        met, failed = sum(tally.runs_met for tally in tallies), sum(tally.runs_failed for tally in tallies)
        return {
            "runs_asked": met + failed,
            "runs_met": met,
            "runs_failed": failed,
            "runs_pages": met * RUN_PAGES,
            "out_of_pages": sum(tally.out_of_pages for tally in tallies),
        }

    return Load(uvm, [_toucher(uvm, anons, tally, seconds) for tally in tallies], anons, counts)


class _Tally:
    """What one CPU counts; written by its thread, read after the run."""

    def __init__(self) -> None:
        self.runs_met = self.runs_failed = self.out_of_pages = 0


def _toucher(uvm: Uvm, anons: AnonMemory, tally: _Tally, seconds: float) -> Body:
    def body(cpu: Cpu, lane: Lane) -> None:
        addresses = random.Random(SEED * 1000 + lane.index)
        until_ns = uvm.machine.clock_ns() + round(seconds * 1e9)
        held: list[VmPage] = []
        rounds = 0
        try:
            while uvm.machine.clock_ns() < until_ns:
                if lane.stopped:
                    raise StoppedError("the run was stopped")
                for _ in range(TOUCHES):
                    try:
                        anons.touch(cpu, addresses.randrange(anons.npages), write=lane.index % 2 == 0)
                    except OutOfPages:
                        tally.out_of_pages += 1
                rounds += 1
                if rounds % RUN_EVERY == 0:
                    uvm.pglistfree(held)
                    held = []
                    try:
                        held = uvm.pglistalloc(RUN_PAGES, alignment=RUN_PAGES)
                        tally.runs_met += 1
                    except OutOfPages:
                        tally.runs_failed += 1
        finally:
            uvm.pglistfree(held)

    return body


def forkexit(uvm: Uvm, rounds: int, think_ns: int = 0) -> Load:
    """Make the load on all CPUs of a system: in each round every CPU allocates a burst, and CPU 0 frees them all.

    => `think_ns`: work outside of the allocator after each operation (workload/thinking.py).
    """
    if rounds < 1:
        raise ArgumentError(f"rounds={rounds}: must be at least 1")
    # Shared: a CPU's entry is written by it, when its burst is there, and taken by CPU 0.
    bursts: list[list[VmPage] | None] = [None] * uvm.param.ncpus
    moved = [uvm.machine.event() for _ in bursts]
    bodies = [_child(uvm, bursts, moved, rounds) for _ in bursts]
    return Load(uvm, thinking(bodies, uvm.machine.charge, think_ns))


def _child(uvm: Uvm, bursts: list[list[VmPage] | None], moved: list[Event], rounds: int) -> PageLoad:
    def body(cpu: PageCpu, lane: Lane) -> None:
        mine = lane.index
        for _ in range(rounds):
            if lane.stopped:  # where nobody has to wait for CPU 0
                return
            # CPU 0 has taken the last burst; until then the parent has not ended the child.
            lane.wait_until(lambda: bursts[mine] is None, moved[mine])
            bursts[mine] = [pagealloc_waiting(uvm, cpu, lane, zero=True) for _ in range(BURST_PAGES)]
            moved[mine].notify()
            if mine == 0:
                for index in range(len(bursts)):
                    lane.wait_until(_there(bursts, index), moved[index])
                    burst, bursts[index] = bursts[index], None
                    moved[index].notify()
                    for pg in burst or []:
                        cpu.pagefree(pg)

    return body


def _there(bursts: list[list[VmPage] | None], index: int) -> Callable[[], bool]:
    return lambda: bursts[index] is not None
