"""Many stress runs in virtual time, one for each seed, until one of them finds something.

=> A seed stresses one design, the designs in turn; whoever runs it, it is the same run.
=> Runs are judged in the order of their seeds, so that the first failure is the same wherever they were played.
"""

from __future__ import annotations

import gc
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, TimeoutError
from dataclasses import dataclass, field, replace
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.measure.cell import Worker
from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.supervised import Options, stress

AHEAD: Final = 4
"""Runs that are handed out for each that is under way: who has ended one has the next at hand."""

_TICK_S: Final = 0.1


@dataclass(slots=True)
class Seeds:
    """What came of the seeds so far.

    => `last`: the last one that was judged, or None. `failure`: the run that found something.
    => `host_s`: time of all processes together. `virtual_s`, `steps`, `injected`: of all runs.
    """

    last: int | None = None
    runs: int = 0
    steps: int = 0
    injected: int = 0
    virtual_s: float = 0.0
    host_s: float = 0.0
    failure: StressRun | None = None
    interrupted: bool = False
    digests: list[str] = field(default_factory=list)

    def add(self, seed: int, run: StressRun) -> None:
        """Judge the run of the next seed."""
        self.last = seed
        self.runs += 1
        self.steps += run.steps
        self.injected += sum(fault["injected"] for fault in run.faults.values())
        self.virtual_s += run.wall_s
        self.host_s += run.host_s
        self.digests.append(run.digest)
        if run.errors:
            self.failure = run


def parse_seeds(text: str) -> range:
    """Return the seeds of FROM-TO, both included; ArgumentError."""
    found = re.fullmatch(r"([0-9]{1,19})-([0-9]{1,19})", text)
    if found is None:
        raise ArgumentError(f"--seeds {text}: must be FROM-TO, two whole numbers, such as 1-1000")
    first, last = int(found[1]), int(found[2])
    if last < first:
        raise ArgumentError(f"--seeds {text}: {last} is less than {first}")
    if last >> 63:
        raise ArgumentError(f"--seeds {text}: must be less than 2**63")
    return range(first, last + 1)


def play(options: Options, design: str) -> StressRun | None:
    """Play one seed, in whatever process; None if it was broken off."""
    if not gc.get_freeze_count():  # what was imported is not looked through again in each run: a fifteenth of it
        gc.freeze()
    run = stress(options, design, stop=Worker.stop)
    # What grows with the length of a run stays where it was played.
    run.samples, run.events, run.locks = None, (), ()
    return None if run.interrupted else run


def play_seeds(
    seen: Seeds,
    seeds: range,
    options: Options,
    designs: Sequence[str],
    executor: Executor,
    at_once: int,
    stop: Callable[[], bool],
) -> Iterator[StressRun]:
    """Play the seeds, and add each run to `seen`; end at the first failure, or when `stop()` says so."""
    left = iter(seeds)
    under_way: deque[tuple[int, Future[StressRun | None]]] = deque()

    def hand_out() -> None:
        while len(under_way) < AHEAD * at_once and (seed := next(left, None)) is not None:
            one = replace(options, seed=seed)
            under_way.append((seed, executor.submit(play, one, designs[seed % len(designs)])))

    try:
        hand_out()
        while under_way:
            if stop():
                seen.interrupted = True
                return
            seed, future = under_way[0]
            try:
                run = future.result(_TICK_S)
            except TimeoutError:
                continue
            if run is None:
                seen.interrupted = True
                return
            under_way.popleft()
            seen.add(seed, run)
            yield run
            if seen.failure is not None:
                return
            hand_out()
    finally:
        for _, future in under_way:
            future.cancel()
