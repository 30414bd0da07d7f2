"""How the next thread is chosen: the explorer's strategies, each with an end, and one that looks where writes are.

=> A schedule that goes on and on is a failure, and one that can be run again: threads that keep each other busy for
   ever (a livelock) would otherwise only be noticed by the clock.
=> Needs Python 3.12 or later, as interleave_test does.
"""

import dis
from functools import cache
from types import CodeType
from typing import Any

from interleave_test import DFSStrategy, PCTStrategy, RandomStrategy, ReplayStrategy, Schedule

DECISIONS_MAX = 10_000
"""Decisions in one schedule; twice what the longest takes that ends."""

FAIR_AFTER = 5_000
"""Decisions after which every thread has its turn; few programs have so many."""

WRITES = {"STORE_ATTR", "STORE_SUBSCR", "STORE_SLICE", "DELETE_SUBSCR"}


class LivelockError(AssertionError):
    """The threads of a schedule keep running and come to no end."""


class Ending:
    """Ends a schedule that does not end by itself; mixed into a strategy, which it leaves alone otherwise."""

    def pick(self, runnable: Any, current: Any, index: int) -> Any:
        _check(index)
        return super().pick(runnable, current, index)  # type: ignore[misc]

    def observe(self, chosen: Any, index: int) -> None:
        """See a decision that was none: one thread could run."""
        _check(index)


class Random(Ending, RandomStrategy):
    """Any thread, at every decision."""


class Dfs(Ending, DFSStrategy):
    """All schedules with two preemptions."""


class Pct(Ending, PCTStrategy):
    """Probabilistic concurrency testing: the thread of the highest priority, which it may lose at any decision.

    => A schedule that is long becomes fair. Two threads that keep each other busy may shut out a third for ever by
       their priorities, as no machine would, and it may be the third that has what they want.
    """

    def pick(self, runnable: Any, current: Any, index: int) -> Any:
        if self._long(index):
            return self._rng.choice(runnable)
        return super().pick(runnable, current, index)

    def _long(self, index: int) -> bool:
        _check(index)
        return index > FAIR_AFTER


class Replay(Ending, ReplayStrategy):
    """A schedule that was recorded."""

    def observe(self, chosen: Any, index: int) -> None:
        _check(index)
        ReplayStrategy.observe(self, chosen, index)


class WritePct(Pct):
    """PCT that has a thread lose its priority just before it writes, or where it waits for others or wakes them.

    => PCT picks a few moments of a schedule at random. Of thousands of instructions nearly none matters to another
       thread; between a load and the store that depends on it one does.
    => Source: Burckhardt, Kothari, Musuvathi, Nagarakatte: A randomized scheduler with probabilistic guarantees of
       finding bugs, ASPLOS 2010.
    """

    def begin(self, iteration: int, seed: int) -> None:
        super().begin(iteration, seed)
        self._moments = 0

    def pick(self, runnable: Any, current: Any, index: int) -> Any:
        if self._long(index):
            return self._rng.choice(runnable)
        if current is not None and _may_matter(current.last_location):
            self._moments += 1
        return super().pick(runnable, current, self._moments)


def strategy(name: str, grain: str) -> Any:
    """Return a new strategy: "random", "dfs" or "pct"; the last goes by writes where there are instructions."""
    if name == "pct":
        return WritePct() if grain == "instructions" else Pct()
    return {"random": Random, "dfs": Dfs}[name]()


def replaying(schedule: Schedule) -> Replay:
    """Return the strategy that follows a schedule."""
    return Replay(schedule)


def _check(index: int) -> None:
    if index > DECISIONS_MAX:
        raise LivelockError(f"the threads run on and on: {index} decisions, and no end")


def _may_matter(location: Any) -> bool:
    """Whether a thread stands before a write; an operation on a lock is located by text."""
    return not isinstance(location, tuple) or location[2] in _writes(location[1])


@cache
def _writes(code: CodeType) -> frozenset[int]:
    return frozenset(each.offset for each in dis.get_instructions(code) if each.opname in WRITES)
