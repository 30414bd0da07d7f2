"""Patterns of page traffic, played in one thread on whatever allocates and frees: a real system, or a counting model.

=> A pattern is a function of a Player; it returns the most pages that stood outside of the store when it looked. It
   is the same sequence of calls for everybody, drawn from a seed of its own: counts can be compared exactly.
=> Nothing here waits, and no time passes but where a pattern asks for a tick.

Source: walk, burst and producer_consumer are those of the published table (tests/designs/test_reference.py).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol


@dataclass(frozen=True, slots=True)
class Counts:
    """What a pattern came to.

    => `store`: acquisitions of the locks that guard the pages in the store. `depot`: of other locks that CPUs share.
    => `moved`: pages put on or taken off the store. `passed`: between a CPU and what CPUs share beside it; a system
       counts them among those moved. `most_cached`: the most that stood outside of the store and were not in use.
    => `atomics`: read-modify-writes of words that CPUs share.
    """

    store: int
    depot: int
    moved: int
    passed: int
    most_cached: int
    atomics: int


class Player(Protocol):
    """Who plays a pattern.

    => `alloc`: a page, whatever that is; never None: a pattern fits. `tick`: a second passes for each CPU.
    """

    ncpus: int

    def alloc(self, cpu: int, color: int | None = None) -> Any:
        """Allocate a page on a CPU, with a wish for its colour."""

    def free(self, cpu: int, page: Any) -> None:
        """Free a page on a CPU."""

    def tick(self) -> None:
        """Let a second pass."""

    def cached(self) -> int:
        """Return how many free pages are not in the store."""

    def counts(self, most_cached: int) -> Counts:
        """Return what has been counted since the beginning."""


Pattern = Callable[[Player], int]


def walk(player: Player, operations: int, *, seed: int = 1, ticks_every: int = 0) -> int:
    """One CPU allocates or frees with equal chance; what it frees is any page that it holds."""
    rng, most = random.Random(seed), 0
    held: list[Any] = []
    for step in range(operations):
        if ticks_every and step % ticks_every == ticks_every - 1:
            player.tick()
        if held and rng.random() < 0.5:
            player.free(0, held.pop(rng.randrange(len(held))))
        else:
            held.append(player.alloc(0))
        if step % 64 == 0:
            most = max(most, player.cached())
    return most


def burst(player: Player, pages: int, rounds: int) -> int:
    """One CPU allocates so many pages, then frees them, the oldest first; as processes begin and end."""
    most = 0
    for _ in range(rounds):
        held = [player.alloc(0) for _ in range(pages)]
        for page in held:
            player.free(0, page)
        most = max(most, player.cached())
    return most


def producer_consumer(player: Player, pages: int, *, between: int = 64, look_every: int = 1) -> int:
    """CPU 0 allocates, CPU 1 frees what CPU 0 allocated so many pages ago."""
    queue: deque[Any] = deque()
    most = 0
    for step in range(pages):
        queue.append(player.alloc(0))
        if len(queue) > between:
            player.free(1, queue.popleft())
        if step % look_every == 0:
            most = max(most, player.cached())
    return most


def ping_pong(player: Player, pages: int, rounds: int) -> int:
    """Two CPUs pass batches to each other in turn: what one allocates the other frees, then the other way round."""
    most = 0
    for turn in range(rounds):
        batch = [player.alloc(turn % 2) for _ in range(pages)]
        for page in batch:
            player.free(1 - turn % 2, page)
        most = max(most, player.cached())
    return most


def sawtooth(player: Player, pages: int, rounds: int, *, phase: int) -> int:
    """One CPU goes up and down by so many pages, beginning `phase` pages up; the newest are freed first.

    => A cache that has room for the teeth may still be hit at its worst point: that is what the phase is for.
    """
    held = [player.alloc(0) for _ in range(phase)]
    most = 0
    for _ in range(rounds):
        held += [player.alloc(0) for _ in range(pages)]
        most = max(most, player.cached())
        for _ in range(pages):
            player.free(0, held.pop())
        most = max(most, player.cached())
    return most


def crowd(player: Player, operations: int, *, remote: float = 0.3, seed: int = 2) -> int:
    """All CPUs allocate and free at random; a share of what is freed was allocated on another CPU."""
    rng, most = random.Random(seed), 0
    held: list[list[Any]] = [[] for _ in range(player.ncpus)]
    for step in range(operations):
        cpu = rng.randrange(player.ncpus)
        if held[cpu] and rng.random() < 0.5:
            page = held[cpu].pop(rng.randrange(len(held[cpu])))
            player.free(rng.randrange(player.ncpus) if rng.random() < remote else cpu, page)
        else:
            held[cpu].append(player.alloc(cpu))
        if step % 64 == 0:
            most = max(most, player.cached())
    return most


def coloured_walk(player: Player, operations: int, *, colors: int = 8, seed: int = 3) -> int:
    """A walk whose every allocation wishes for a colour, drawn at random."""
    rng, most = random.Random(seed), 0
    held: list[Any] = []
    for step in range(operations):
        if held and rng.random() < 0.5:
            player.free(0, held.pop(rng.randrange(len(held))))
        else:
            held.append(player.alloc(0, rng.randrange(colors)))
        if step % 64 == 0:
            most = max(most, player.cached())
    return most


def exit_elsewhere(player: Player, pages: int, rounds: int) -> int:
    """CPU 0 builds up a process that ends on CPU 1, while CPU 0 goes on with a few pages."""
    most = 0
    for _ in range(rounds):
        held = [player.alloc(0) for _ in range(pages)]
        for number, page in enumerate(held):
            player.free(1, page)
            if number % 8 == 0:
                player.free(0, player.alloc(0))
        most = max(most, player.cached())
    return most


PATTERNS: Final[dict[str, Pattern]] = {
    "walk": lambda player: walk(player, 6_000),
    "burst 100": lambda player: burst(player, 100, 20),
    "burst 1000": lambda player: burst(player, 1000, 3),
    "burst 8192": lambda player: burst(player, 8192, 1),
    "producer and consumer": lambda player: producer_consumer(player, 3_000, look_every=16),
    "ping-pong of 48": lambda player: ping_pong(player, 48, 60),
    "ping-pong of 700": lambda player: ping_pong(player, 700, 4),
    "sawtooth of 512 from 448": lambda player: sawtooth(player, 512, 4, phase=448),
    "crowd": lambda player: crowd(player, 6_000),
    "walk with colours": lambda player: coloured_walk(player, 6_000),
    "exit elsewhere": lambda player: exit_elsewhere(player, 2000, 1),
}
"""What every design is held to; short enough for all of them to take seconds."""


def counted(player: Player, pattern: Pattern) -> Counts:
    """Play a pattern and return what it came to."""
    return player.counts(pattern(player))
