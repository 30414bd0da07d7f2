"""Copies: a trace again and again on many CPUs, the load of a machine larger than the one that recorded it.

A trace of 2 CPUs has work for 2. So a machine of 64 plays 32 copies of it, each with CPUs and pages of its own, with
the recorded gaps between the events, and from its beginning again when it has come to its end.

=> Each copy begins at a place of its own in the trace, drawn from the seed and its number: copies that start in step
   would stay in step, and meet at the lock. What came before that place has been played (workload/prelude.py).
=> The run ends at a time, not at an event (Lane.until_ns): every CPU works, or waits for its partner, until then.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.load import Load
from uvmfree.workload.prelude import ActsAs, as_itself, play_before
from uvmfree.workload.replay import Copy, late
from uvmfree.workload.replay_plan import DO_ALLOC_ZERO, DO_FREE, DO_FREE_RUN, DO_GIVE_ZERO, DO_RUN, Plan

EPOCHS_MIN: Final = 4
"""Epochs of a plan that loops: a page is taken within two of being given, and not given again before."""


PLAYED_BEFORE: Final = 20_000
"""Page operations of each CPU that are played before a copy begins, about; fewer if the trace has fewer.

=> On cc-j4 they are 0.4 s: about as long ago, on average, as a timer of a second handed the caches back.
"""
PLAYED_LEAST, TURNED_OVER = 4_000, 16
"""A cache with a bound is what it stays long before: as soon as it has been turned over some times."""


def copies(
    uvm: Uvm, plan: Plan, number: int, seed: int, acts_as: ActsAs = as_itself, before: int | None = None
) -> Load:
    """Make the load of so many copies of a plan that was made to loop, for as long as the run lasts.

    => `acts_as`: as of play_before(). `before`: page operations of each CPU that are played before it begins; None:
       as many as the design's caches need.
    => ArgumentError if the trace is too short, or if the pages that are live at the beginning do not fit.
    """
    if (nepochs := len(plan.programs[0].epochs)) < EPOCHS_MIN:
        raise ArgumentError(
            f"{plan.allocs + plan.frees} events are too few to be replayed again and again: half windows: {nepochs}, "
            f"at least {EPOCHS_MIN}"
        )
    before = played_before(uvm.traits.bound) if before is None else before
    phases = _phases(plan, number, seed)
    begun = [Copy(plan, uvm, gaps=True, loops=True, epoch=epoch) for epoch, _ in phases]
    back = min(nepochs - 1, -(-before * len(plan.programs) * nepochs // (plan.allocs + plan.frees)))
    first = [(epoch - back) % nepochs for epoch, _ in phases]  # of those that are played before
    lives = _live_before(plan, {*first, *(epoch for epoch, _ in phases)})
    wanted = sum(lives[epoch].npages for epoch in first)
    try:
        pages = iter(uvm.pglistalloc(wanted, nsegs=wanted) if wanted else ())
    except OutOfPages:
        raise ArgumentError(
            f"npages={uvm.param.npages}: the {wanted} pages that are live when the copies begin do not fit"
        ) from None
    for copy, epoch in zip(begun, first, strict=True):
        lives[epoch].begin(copy, pages)
    _begin_runs(
        uvm, [(copy, run) for copy, (epoch, _) in zip(begun, phases, strict=True) for run in lives[epoch].runs]
    )
    for cpu in range(uvm.param.ncpus):  # Cpus anew: these take their locks as who acts as them does
        with acts_as(cpu):
            uvm.design.bind(cpu)
    for at, (copy, epoch) in enumerate(zip(begun, first, strict=True)):
        epochs = [(epoch + step) % nepochs for step in range(back)]
        play_before(uvm, copy, at * len(plan.programs), epochs, acts_as)
    bodies = [
        late(uvm, body, late_ns) for copy, (_, late_ns) in zip(begun, phases, strict=True) for body in copy.bodies()
    ]
    clock_ns = uvm.machine.clock_ns
    return Load(
        uvm,
        bodies,
        outside_ns=lambda: _outside_until(begun, clock_ns()),
        stall_ns=lambda: sum(lane.stalled_until(clock_ns()) for copy in begun for lane in copy.lanes.values()),
    )


def played_before(bound: int | None) -> int:
    """Return how many page operations of each CPU its cache, of at most so many pages, needs to be what it stays."""
    return PLAYED_BEFORE if bound is None else min(PLAYED_BEFORE, max(PLAYED_LEAST, TURNED_OVER * bound))


def _outside_until(begun: list[Copy], now_ns: int) -> int:
    """Return the time that all CPUs have spent in gaps until now.

    => A gap is charged at once, and may end long after now: java-build has gaps of 69 ms, a window 13.
    """
    ahead_ns = sum(max(0, ends_ns - now_ns) for copy in begun for ends_ns in copy.ends_ns)
    return sum(sum(copy.outside_ns) for copy in begun) - ahead_ns


def _begin_runs(uvm: Uvm, wanted: list[tuple[Copy, int]]) -> None:
    """Let runs be there that are live when copies begin.

    => Those of a length are cut from one run, if that can be had: each allocation of a run stops all CPUs, which for
       hundreds of runs in each of a hundred copies would be most of the work.
    """
    by_length: dict[int, list[tuple[Copy, int]]] = {}
    for copy, run in wanted:
        by_length.setdefault(copy.plan.run_pages[run], []).append((copy, run))
    for length, runs in by_length.items():
        pages = _contiguous(uvm, length, len(runs))
        for number, (copy, run) in enumerate(runs):
            part = pages[number * length : (number + 1) * length] or _contiguous(uvm, length, 1)
            copy.runs.begin_with(run, part)


def _contiguous(uvm: Uvm, length: int, number: int) -> list[VmPage]:
    """Allocate so many runs of a length, one after the other; none if they are not to be had so."""
    try:
        return uvm.pglistalloc(length * number, alignment=length)
    except OutOfPages:
        return []


def _phases(plan: Plan, number: int, seed: int) -> list[tuple[int, int]]:
    """Draw where each copy begins: an epoch, and how much later than its first event, in nanoseconds."""
    nepochs = len(plan.programs[0].epochs)
    draws = (random.Random(f"{seed} {copy}") for copy in range(number))
    return [(rng.randrange(nepochs), rng.randrange(1 + plan.epoch_ns)) for rng in draws]


@dataclass(frozen=True, slots=True)
class _Live:
    """What is live before an epoch: each CPU's own pages, pages given and not got yet, runs; ascending."""

    own: tuple[list[int], ...]
    given: list[int]
    runs: list[int]

    @property
    def npages(self) -> int:
        """How many pages that are, but for runs."""
        return sum(map(len, self.own)) + len(self.given)

    def begin(self, copy: Copy, pages: Iterator[VmPage]) -> None:
        """Let a copy begin there, with the next of these pages."""
        for holder, entries in zip([*copy.own, copy.mailbox], [*self.own, self.given], strict=True):
            for entry in entries:
                holder[entry] = next(pages)


def _live_before(plan: Plan, wanted: set[int]) -> dict[int, _Live]:
    """Walk a plan once; return what is live before each of these epochs."""
    own: list[set[int]] = [set() for _ in plan.programs]
    given, runs = _Between(), _Between()
    found: dict[int, _Live] = {}
    for epoch in range(max(wanted) + 1):
        if epoch in wanted:
            found[epoch] = _Live(tuple(map(sorted, own)), sorted(given.live), sorted(runs.live))
        for pages, program in zip(own, plan.programs, strict=True):
            part = slice(program.epochs[epoch - 1] if epoch else 0, program.epochs[epoch])
            for step, page in zip(program.steps[part], program.pages[part], strict=True):
                if step <= DO_ALLOC_ZERO:
                    pages.add(page)
                elif step == DO_FREE:
                    pages.remove(page)
                elif step < DO_RUN:
                    (given.begun if step <= DO_GIVE_ZERO else given.ended).add(page)
                else:
                    (runs.ended if step == DO_FREE_RUN else runs.begun).add(page)
        given.end_epoch()
        runs.end_epoch()
    return found


class _Between:
    """What one CPU begins and another may end: which comes first in an epoch is known when that is over."""

    def __init__(self) -> None:
        self.live: set[int] = set()
        self.begun: set[int] = set()
        self.ended: set[int] = set()

    def end_epoch(self) -> None:
        """Take down what is left."""
        self.live = (self.live | self.begun) - self.ended
        self.begun.clear()
        self.ended.clear()
