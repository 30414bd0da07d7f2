"""A second implementation of the lock arithmetic: CPUs that work, take a lock and hold it, and nothing else.

It shares no code with the machine in virtual time, and knows of no strand, no page and no line but the lock's. It
exists to be compared with it (test_analysis.py).

    cpu     works for a drawn time; arrives; waits; is granted; moves the line; holds; releases; works again
    fifo    the grant is the later of arrival and release; ticket adds so much for each further spinner; at mcs who
            has waited is told by two lines more: one that says who is next, one in which that one is told
    ttas    a spinner looks after 4, 8, ... 128 pauses; the first look, or arrival, at a free lock wins. If somebody
            who waited when the lock was granted looks while it is held, its holder has to fetch the line to drop it

=> Times are nanoseconds. What is counted begins after `warm` acquisitions of all CPUs together.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Lock:
    """What a lock costs. `move`: its line from another CPU; `again`: taken by who had it last."""

    policy: str
    hold: int
    move: int
    again: int
    spinner: int = 0
    least: int = 160
    most: int = 5120


@dataclass(frozen=True)
class Tally:
    """What came of it: of all CPUs, after the warm-up."""

    locks: int
    waited: float
    elapsed: float
    ncpus: int

    @property
    def per_us(self) -> float:
        return 1000 * self.locks / self.elapsed

    @property
    def wait_share(self) -> float:
        return self.waited / (self.elapsed * self.ncpus)

    @property
    def mean_wait(self) -> float:
        return self.waited / self.locks


def simulate(lock: Lock, ncpus: int, outside: Callable[[random.Random], float], seed: int, locks: int) -> Tally:
    """Play until so many acquisitions have been counted."""
    dice, warm = random.Random(seed), 200 * ncpus
    # (time, order, cpu, first came, pauses until the next look or 0 for who arrives)
    events = [(outside(dice), cpu, cpu, -1.0, 0) for cpu in range(ncpus)]
    heapq.heapify(events)
    order, done, free, last = ncpus, 0, 0.0, -1
    waited = began = now = since = 0.0
    fetched = False
    pending: list[float] = []  # of a ticket lock: grants that have not come yet
    while done < warm + locks:
        now, _, cpu, came, pauses = heapq.heappop(events)
        first = came < 0
        came = now if first else came
        order += 1
        if lock.policy == "ttas" and now < free:
            if came < since <= now and not fetched:
                fetched, free = True, free + lock.move
                events = [(at + lock.move, *rest) if rest[1] == last else (at, *rest) for at, *rest in events]
                heapq.heapify(events)
            pauses = lock.least if first else min(2 * pauses, lock.most)
            heapq.heappush(events, (now + pauses, order, cpu, came, pauses))
            continue
        granted = max(now, free)
        if lock.policy == "mcs" and now < free:
            granted += 2 * lock.move
        if lock.policy == "ticket" and now < free:
            pending = [one for one in pending if one > now]
            granted += lock.spinner * len(pending)
            pending.append(granted)
        done += 1
        if done == warm:
            began = granted
        if done > warm:
            waited += granted - came
        free = granted + (lock.again if cpu == last else lock.move) + lock.hold
        last, since, fetched = cpu, granted, False
        heapq.heappush(events, (free + outside(dice), order, cpu, -1.0, 0))
    return Tally(locks, waited, now - began, ncpus)
