"""Copies: a trace again and again on many CPUs, the load of a machine larger than the one that recorded it.

A trace of 2 CPUs has work for 2. So a machine of 64 plays 32 copies of it, each with CPUs and pages of its own, with
the recorded gaps between the events, and from its beginning again when it has come to its end.

=> Each copy begins at a place of its own in the trace, drawn from the seed and its number, with the pages that are
   live there allocated already: copies that start in step would stay in step, and meet at the lock.
=> The run ends at a time, not at an event (Lane.until_ns): every CPU works, or waits for its partner, until then.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane
from uvmfree.workload.load import Load
from uvmfree.workload.replay import DO_ALLOC_ZERO, DO_FREE, DO_GET, DO_GIVE_ZERO, DO_RUN_ZERO, Copy, Plan

EPOCHS_MIN: Final = 4
"""Epochs of a plan that loops: a page is taken within two of being given, and not given again before."""


def copies(uvm: Uvm, plan: Plan, number: int, seed: int) -> Load:
    """Make the load of so many copies of a plan that was made to loop, for as long as the run lasts.

    => ArgumentError if the trace is too short, or if the pages that are live at the beginning do not fit.
    """
    if (nepochs := len(plan.programs[0].epochs)) < EPOCHS_MIN:
        raise ArgumentError(
            f"{plan.allocs + plan.frees} events are too few to be replayed again and again: half windows: {nepochs}, "
            f"at least {EPOCHS_MIN}"
        )
    bodies: list[Body] = []
    for copy in range(number):
        cpus = uvm.cpus[copy * len(plan.programs) : (copy + 1) * len(plan.programs)]
        rng = random.Random(f"{seed} {copy}")
        begun = _begun(uvm, plan, cpus, rng.randrange(nepochs))
        late_ns = rng.randrange(1 + sum(plan.programs[0].gaps_ns) // nepochs)
        bodies += [_late(uvm, body, late_ns) for body in begun.bodies()]
    return Load(uvm, bodies)


def _late(uvm: Uvm, body: Body, late_ns: int) -> Body:
    """Let a body begin somewhere within the epoch rather than at its first event."""

    def late(cpu: Cpu, lane: Lane) -> None:
        uvm.machine.charge(late_ns)
        body(cpu, lane)

    return late


def _begun(uvm: Uvm, plan: Plan, cpus: Sequence[Cpu], epoch: int) -> Copy:
    """Make a copy that begins with an epoch, and has what is live there."""
    copy = Copy(plan, uvm, gaps=True, loops=True, epoch=epoch)
    given: dict[int, Cpu] = {}  # page -> who allocates it
    runs: set[int] = set()
    got: set[int] = set()
    runs_freed: set[int] = set()
    for at, (program, cpu) in enumerate(zip(plan.programs, cpus, strict=True)):
        end = program.epochs[epoch - 1] if epoch else 0
        live: set[int] = set()
        for step, page in zip(program.steps[:end], program.pages[:end], strict=True):
            if step <= DO_ALLOC_ZERO:
                live.add(page)
            elif step == DO_FREE:
                live.remove(page)
            elif step <= DO_GIVE_ZERO:
                given[page] = cpu
            elif step == DO_GET:
                got.add(page)
            else:
                (runs if step <= DO_RUN_ZERO else runs_freed).add(page)
        for page in sorted(live):
            copy.own[at][page] = _allocated(uvm, cpu)
    for page, cpu in given.items():
        if page not in got:
            copy.mailbox[page] = _allocated(uvm, cpu)
    for run in sorted(runs - runs_freed):
        copy.runs.begin_with(run)
    return copy


def _allocated(uvm: Uvm, cpu: Cpu) -> VmPage:
    pg = cpu.pagealloc()
    if pg is None:
        raise ArgumentError(f"npages={uvm.param.npages}: the pages that are live when the copies begin do not fit")
    return pg
