"""Prelude: what a copy did before it begins, played at once and outside of time: caches are what they would be then.

A cache that nothing bounds fills for as long as a CPU runs, and an empty one takes a shared lock where it would not
later: a run that began with empty caches would show how they fill, on all CPUs at the same moment.

=> Before the system is started: one strand plays all CPUs, in an order that the trace allows, and no time passes for
   them. Locks and atomic counters are taken as always; nobody waits.
=> Runs of pages are left out: those that are live when the copy begins are there already (workload/copies.py). So is
   zeroing: nobody reads the pages.
=> Where pages run short all caches are handed back, as the pagedaemon would have had them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.replay import FAILED, Copy
from uvmfree.workload.replay_plan import DO_ALLOC_ZERO, DO_FREE, DO_GET, DO_GIVE_ZERO

ActsAs: TypeAlias = Callable[[int], AbstractContextManager[None]]
"""Has the calling strand act as a CPU, whose cache then has what it touches."""


def as_itself(cpu: int) -> AbstractContextManager[None]:
    """Have the calling strand act as what it is: where touching costs nothing."""
    return nullcontext()


def play_before(uvm: Uvm, copy: Copy, first: int, epochs: list[int], acts_as: ActsAs) -> None:
    """Play these epochs of a copy whose CPUs are `first` and those after it; its holders are as before the first.

    => They must be epochs that follow each other, the plan's beginning coming after its end.
    """
    for epoch in epochs:
        waiting = {at: _steps(uvm, copy, first, at, epoch) for at in range(len(copy.plan.programs))}
        while waiting:
            for at, steps in list(waiting.items()):
                with acts_as(first + at):
                    if next(steps, None) is None:
                        del waiting[at]


def _steps(uvm: Uvm, copy: Copy, first: int, at: int, epoch: int) -> Iterator[int]:
    """Play one CPU's part of an epoch; yield where a page is to be freed that another CPU has yet to allocate."""
    cpu, program = uvm.cpus[first + at], copy.plan.programs[at]
    mailbox, own, pagealloc, pagefree = copy.mailbox, copy.own[at], cpu.pagealloc, cpu.pagefree
    part = slice(program.epochs[epoch - 1] if epoch else 0, program.epochs[epoch])
    for step, page in zip(program.steps[part], program.pages[part], strict=True):
        if step in (DO_FREE, DO_GET):
            holder = own if step == DO_FREE else mailbox
            while step == DO_GET and mailbox[page] is None:
                yield page
            pg, holder[page] = holder[page], None
            if pg is not None and pg is not FAILED:
                pagefree(pg)
        elif step <= DO_ALLOC_ZERO:
            own[page] = pagealloc() or _after_a_drain(uvm, first + at)
        elif step <= DO_GIVE_ZERO:
            mailbox[page] = pagealloc() or _after_a_drain(uvm, first + at) or FAILED


def _after_a_drain(uvm: Uvm, cpu: int) -> VmPage | None:
    uvm.redistribute()
    return uvm.cpus[cpu].pagealloc()
