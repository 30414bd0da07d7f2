"""Copies: a trace again and again on many CPUs, the load of a machine larger than the one that recorded it.

A trace of 2 CPUs has work for 2. So a machine of 64 plays 32 copies of it, each with CPUs and pages of its own, with
the recorded gaps between the events, and from its beginning again when it has come to its end.

=> Each copy begins at a place of its own in the trace, drawn from the seed and its number, with the pages that are
   live there allocated already: copies that start in step would stay in step, and meet at the lock.
=> The run ends at a time, not at an event (Lane.until_ns): every CPU works, or waits for its partner, until then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.load import Load
from uvmfree.workload.replay import (
    DO_ALLOC_ZERO,
    DO_FREE,
    DO_FREE_RUN,
    DO_GET,
    DO_GIVE_ZERO,
    DO_RUN,
    Copy,
    Plan,
    late,
)

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
    phases = _phases(plan, number, seed)
    begun = [Copy(plan, uvm, gaps=True, loops=True, epoch=epoch) for epoch, _ in phases]
    live = [_live(copy) for copy in begun]
    wanted = sum(map(len, live))
    try:
        pages = iter(uvm.pglistalloc(wanted, nsegs=wanted) if wanted else ())
    except OutOfPages:
        raise ArgumentError(
            f"npages={uvm.param.npages}: the {wanted} pages that are live when the copies begin do not fit"
        ) from None
    for places in live:
        for holder, page in places:
            holder[page] = next(pages)
    for copy in begun:
        for run in _live_runs(copy):
            copy.runs.begin_with(run)
    bodies = [
        late(uvm, body, late_ns) for copy, (_, late_ns) in zip(begun, phases, strict=True) for body in copy.bodies()
    ]
    return Load(uvm, bodies, outside_ns=lambda: sum(sum(copy.outside_ns) for copy in begun))


def _phases(plan: Plan, number: int, seed: int) -> list[tuple[int, int]]:
    """Draw where each copy begins: an epoch, and how much later than its first event, in nanoseconds."""
    nepochs = len(plan.programs[0].epochs)
    draws = (random.Random(f"{seed} {copy}") for copy in range(number))
    return [(rng.randrange(nepochs), rng.randrange(1 + plan.epoch_ns)) for rng in draws]


def _before(copy: Copy) -> Iterator[tuple[int, int, int]]:
    """Yield CPU, step and page of all that comes before the epoch with which a copy begins."""
    for at, (program, epoch) in enumerate(zip(copy.plan.programs, copy.finished, strict=True)):
        end = program.epochs[epoch - 1] if epoch else 0
        for step, page in zip(program.steps[:end], program.pages[:end], strict=True):
            yield at, step, page


def _live(copy: Copy) -> list[tuple[list[VmPage | None], int]]:
    """Return where the pages stand that are live when a copy begins: a holder, and its entry."""
    own: list[set[int]] = [set() for _ in copy.own]
    given: set[int] = set()
    got: set[int] = set()
    for at, step, page in _before(copy):
        if step <= DO_ALLOC_ZERO:
            own[at].add(page)
        elif step == DO_FREE:
            own[at].remove(page)
        elif step <= DO_GIVE_ZERO:
            given.add(page)
        elif step == DO_GET:
            got.add(page)
    places = [(holder, page) for holder, pages in zip(copy.own, own, strict=True) for page in sorted(pages)]
    return [*places, *((copy.mailbox, page) for page in sorted(given - got))]


def _live_runs(copy: Copy) -> list[int]:
    """Return the runs that are live when a copy begins."""
    runs = [(step, run) for _, step, run in _before(copy) if step >= DO_RUN]
    freed = {run for step, run in runs if step == DO_FREE_RUN}
    return sorted({run for step, run in runs if step != DO_FREE_RUN} - freed)
