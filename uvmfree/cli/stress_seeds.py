"""`uvmfree stress --seeds`: many seeds in virtual time, over processes; stops at the first that finds something."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from uvmfree.cli.running import Asked, progress
from uvmfree.cli.status import BROKEN, FINE
from uvmfree.cli.virtual import strands
from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from uvmfree.measure.stress_run import StressRun
    from uvmfree.stress.seeds import Seeds
    from uvmfree.stress.supervised import Options


def stress_seeds(options: Options, designs: tuple[str, ...], seeds: str, scheduler: str | None, asked: Asked) -> int:
    """Play the seeds and say what came of them; return the exit code."""
    from uvmfree.measure.executors import local, scheduled
    from uvmfree.stress.on_machine import Virtual
    from uvmfree.stress.seeds import Seeds, parse_seeds, play_seeds

    if not isinstance(options.machine, Virtual):
        raise ArgumentError("--seeds: goes with --machine virtual; on threads a seed does not make a run")
    wanted, seen = parse_seeds(seeds), Seeds()
    strands()
    try:
        with contextlib.ExitStack() as held:
            at_most = min(len(wanted), len(os.sched_getaffinity(0)))
            executor, at_once = held.enter_context(local(at_most) if scheduler is None else scheduled(scheduler))
            tick, step = held.enter_context(progress(len(wanted), time_left=True))
            for run in play_seeds(seen, wanted, options, designs, executor, at_once, asked):
                tick(f"{run.design}, seed {seen.last}")
                step()
    except WorkerLostError as error:
        if not asked():  # a signal to all processes ends those that play, too
            left = f"--seeds {wanted.start if seen.last is None else seen.last + 1}-{wanted.stop - 1} are left"
            raise WorkerLostError(f"{error}; {left}") from None
        seen.interrupted = True
    for line in said(seen, options, designs):
        click.echo(line)
    if seen.failure is not None:
        _explain(seen.failure)
        return BROKEN
    if seen.interrupted:
        after = wanted.start if seen.last is None else seen.last + 1
        click.echo(f"uvmfree: interrupted; --seeds {after}-{wanted.stop - 1} are left", err=True)
        return asked.status
    return FINE


def said(seen: Seeds, options: Options, designs: tuple[str, ...]) -> Iterator[str]:
    """Yield what came of the seeds, in lines."""
    found = "1 failure" if seen.failure is not None else "nothing found"
    yield f"{plural(seen.runs, 'seed')}, {found}: {', '.join(designs)} in turn, {options.seconds:g} s each"
    yield f"{options.machine.described()}; {plural(options.ncpus, 'CPU')}, {options.npages} pages"
    yield f"{seen.steps:,} operations, {seen.injected:,} faults, {seen.virtual_s:.2f} virtual seconds"
    if seen.host_s:
        yield (
            f"{seen.virtual_s / seen.host_s:.3f} virtual seconds and {seen.steps / seen.host_s:,.0f} operations "
            "for each second of a process"
        )


def _explain(run: StressRun) -> None:
    """Say what a run found, and the command that does it again."""
    for error in run.errors:
        click.echo(f"uvmfree: {run.design}: {error}", err=True)
    click.echo(f"uvmfree: again: {run.command}", err=True)
    click.echo(f"uvmfree: the last operations of each CPU: {run.file}", err=True)
