"""Shortage: a trace replayed in less memory than it needs, so that the pagedaemon has to work.

The pages of the trace are those of an anon map: an allocation of the trace touches a virtual page of its own, which
takes a page of RAM and writes to it; a free discards it, wherever its contents are by then. In between nothing asks
for it, so it comes back from swap no more: what is measured is how memory is found, not how well it was chosen.

=> The order of events is that of workload/replay.py.
=> Runs of pages (order > 0) are no part of the map. They are allocated as there, once more after a wait for pages
   if they are not to be had, and cannot be reclaimed.
=> A wait for a page is a fault's (uvm/anon.py), bounded there: an allocation that gets none in that time has failed,
   and its free is skipped.
"""

import os
from typing import Final

from uvmfree.errors import OutOfPages
from uvmfree.machine.face import Event
from uvmfree.uvm.anon import AnonMemory
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane
from uvmfree.workload.load import WAIT_S, Load
from uvmfree.workload.replay import Copy
from uvmfree.workload.replay_plan import DO_ALLOC_ZERO, DO_FREE, DO_FREE_RUN, DO_GET, DO_GIVE_ZERO, DO_RUN_ZERO, Plan

PATIENCE_S: Final = 5.0
"""How long an allocation may wait for a page: less than a stopped thread has to end (driver.JOIN_S)."""

_TOUCHED, _FAILED = 1, 2
"""What has become of an allocation; 0 before it was tried."""


def shortage(uvm: Uvm, plan: Plan, *, gaps: bool = False) -> Load:
    """Make the load that replays a plan once, its pages being those of an anon map with swap for all of them.

    => `gaps`: as of replay.bodies().
    """
    begins: list[int] = []  # where the virtual pages of each CPU's own begin; those that are given come last
    npages = 0
    for program in plan.programs:
        begins.append(npages)
        npages += program.npages
    size = max(1, npages + plan.given)
    disk = uvm.machine.disk
    anons = uvm.anon_memory(size, size, patience_s=PATIENCE_S, pread=disk(os.pread), pwrite=disk(os.pwrite))
    # Shared: one byte for each virtual page, written by the CPU that allocates; who frees elsewhere polls it.
    touched = bytearray(npages + plan.given)
    copy = Copy(plan, uvm, gaps=gaps)
    bodies = [_body(copy, at, _Pages(anons, touched, begin, npages, copy.moved)) for at, begin in enumerate(begins)]
    return Load(uvm, bodies, anons, copy.runs.counts)


class _Pages:
    """The virtual pages as one CPU numbers them: its own from `own` on, those given away from `given` on."""

    def __init__(self, anons: AnonMemory, touched: bytearray, own: int, given: int, moved: Event) -> None:
        self._anons, self._touched, self._moved = anons, touched, moved
        self.own, self.given = own, given

    def alloc(self, cpu: Cpu, lane: Lane, index: int) -> None:
        """Touch a page for the first time."""
        try:
            self._anons.touch(cpu, index, write=True)
            self._touched[index] = _TOUCHED
        except OutOfPages:
            lane.failed += 1
            self._touched[index] = _FAILED
        self._moved.notify()

    def free(self, cpu: Cpu, lane: Lane, index: int) -> None:
        """Discard a page, when it has been touched."""
        if not self._touched[index]:
            lane.wait_until(lambda: bool(self._touched[index]), self._moved)
        if self._touched[index] == _TOUCHED:
            self._anons.discard(cpu, index)


def _body(copy: Copy, at: int, pages: _Pages) -> Body:
    runs = copy.runs

    def body(cpu: Cpu, lane: Lane) -> None:
        for events in copy.epochs(at, lane):
            for step, page in events:
                if step <= DO_ALLOC_ZERO:
                    pages.alloc(cpu, lane, pages.own + page)
                elif step == DO_FREE:
                    pages.free(cpu, lane, pages.own + page)
                elif step <= DO_GIVE_ZERO:
                    pages.alloc(cpu, lane, pages.given + page)
                elif step == DO_GET:
                    pages.free(cpu, lane, pages.given + page)
                elif step == DO_FREE_RUN:
                    runs.free(page, lane)
                else:
                    runs.alloc(page, zero=step == DO_RUN_ZERO, wait_s=WAIT_S)

    return body
