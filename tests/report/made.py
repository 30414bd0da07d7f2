"""Records made up for the tests of reports: whole ones, with samples, events and waits, and no run behind them."""

import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from uvmfree.analyse.usl import law
from uvmfree.kern.eventlog import Event
from uvmfree.measure.record import Record, load
from uvmfree.measure.run import Run, figures
from uvmfree.measure.samples import Samples
from uvmfree.param import Param

OLD = load(str(Path(__file__).parents[1] / "measure" / "record-version-1.json"))

MS = 1_000_000
INTERVAL_NS = 2 * MS
CAUSES = ("timer", "pressure", "retry", "pglistalloc")


def record(
    *,
    ncpus: int = 2,
    workload: str = "pingpong",
    gil: bool = False,
    designs: tuple[str, ...] = ("fpageqlock", "percpu"),
    repetitions: int = 3,
    rows: int = 50,
    events: int = 8,
    seed: int = 1,
    processors: int = 2,
    **tunables: Any,
) -> Record:
    """Make a record; what is random in it comes of the seed. `rows` 0: without samples."""
    draw = random.Random(f"{seed} {ncpus} {workload}")
    old = {run.lockstat: run for run in OLD.runs if run.design == "percpu"}
    runs = [
        _run(old[lockstat], draw, design, repetition, ncpus, rows, events)
        for repetition in range(repetitions)
        for design in designs
        for lockstat in (True, False)
    ]
    python = "3.11.7" if gil else "3.13.5"
    return replace(
        OLD,
        host=replace(OLD.host, gil=gil, python=python, affinity=tuple(range(processors)), cpus=processors),
        workload=replace(OLD.workload, name=workload, ncpus=ncpus),
        param=Param.of(asdict(OLD.param) | tunables | {"ncpus": ncpus}),
        designs=designs,
        runs=runs,
        command=("uvmfree", "bench", "--workload", workload, "--cpus", str(ncpus)),
    )


def lawful(laws: dict[str, tuple[float, float, float]], ncpus: int, **more: Any) -> Record:
    """Make a record whose throughput is what the law has with lambda, sigma and kappa, for each design."""
    one = record(ncpus=ncpus, designs=tuple(laws), **more)
    runs = []
    for run in one.runs:
        wall_ns = round(figures(run).page_operations / law(ncpus, *laws[run.design]) * 1e9)
        runs.append(replace(run, drive=replace(run.drive, wall_ns=wall_ns)))
    return replace(one, runs=runs)


def _run(old: Run, draw: random.Random, design: str, repetition: int, ncpus: int, rows: int, events: int) -> Run:
    wall_ns = draw.randrange(50 * MS, 90 * MS)
    caches = design != "fpageqlock"
    waits = tuple(draw.randrange(30) if 8 < bucket < 24 else 0 for bucket in range(40))
    locks = tuple(
        replace(
            lock, wait_hist=waits, contended=sum(waits), wait_ns_max=1 << 23, wait_ns_total=draw.randrange(20 * MS)
        )
        for lock in old.locks
    )
    sleeps = tuple(draw.randrange(9) if 15 < bucket < 25 else 0 for bucket in range(40))
    return replace(
        old,
        design=design,
        repetition=repetition,
        drive=replace(old.drive, wall_ns=wall_ns),
        locks=locks,
        waits=replace(old.waits, sleeps=sum(sleeps), sleep_hist=sleeps, sleep_ns_max=(1 << 25) - 1),
        redistributions={cause: draw.randrange(5) * caches for cause in (*CAUSES, "rate-limited")},
        samples=_samples(draw, ncpus, rows, caches) if old.lockstat and rows else None,
        events=tuple(_event(draw, max(rows, 1) * INTERVAL_NS, caches, ncpus) for _ in range(events)),
    )


def _samples(draw: random.Random, ncpus: int, rows: int, caches: bool) -> Samples:
    began_ns = 5_000_000_000
    cached = tuple(tuple(draw.randrange(2000) * caches for _ in range(rows)) for _ in range(ncpus))
    return Samples(
        began_ns=began_ns,
        t_ns=tuple(INTERVAL_NS * (row + 1) + draw.randrange(MS) for row in range(rows)),
        free=tuple(40_000 + draw.randrange(9_000) for _ in range(rows)),
        zeropages=(0,) * rows,
        paging=tuple(draw.randrange(100) for _ in range(rows)),
        waiters=tuple(draw.randrange(3) for _ in range(rows)),
        lag=tuple(draw.randrange(-2, 3) * caches for _ in range(rows)),
        cached=cached,
    )


def _event(draw: random.Random, within_ns: int, caches: bool, ncpus: int) -> Event:
    began_ns = 5_000_000_000 + draw.randrange(within_ns)
    ended_ns, moved = began_ns + draw.randrange(MS), draw.randrange(500)
    if caches and draw.random() < 0.7:
        return Event("redistribute", draw.choice(CAUSES), draw.randrange(ncpus), began_ns, ended_ns, moved)
    return Event("daemon", "", None, began_ns, ended_ns, moved)
