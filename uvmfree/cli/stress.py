"""`uvmfree stress`: everything at once, at random, with faults, until something breaks or the time is up."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from uvmfree.cli.bench import check_designs
from uvmfree.cli.costs import check_places
from uvmfree.cli.exports import Exports, export_options
from uvmfree.cli.lockstat import check_one_document, lockstat_on_request
from uvmfree.cli.machine import COSTS, machine_of, virtual_options
from uvmfree.cli.options import designs_option, scheduler_option, set_option, vmstat_option
from uvmfree.cli.output import typed, write_json
from uvmfree.cli.running import Asked, first_signal_asks
from uvmfree.cli.status import BROKEN
from uvmfree.cli.stress_seeds import stress_seeds
from uvmfree.cli.terminal import say, say_labelled, width
from uvmfree.cli.values import AnyNumber, AnyWhole
from uvmfree.cli.virtual import strands
from uvmfree.errors import ArgumentError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from uvmfree.layouts.lockstat_layout import Selection
    from uvmfree.measure.record import Record
    from uvmfree.measure.stress_run import StressRun
    from uvmfree.stress.engine import Stress
    from uvmfree.stress.supervised import Options


THREADS_S, VIRTUAL_S = 10.0, 0.02
"""How long a design is stressed by default: in virtual time some thousand operations of each CPU."""

THREADS_PAGES, VIRTUAL_PAGES = 2048, 1024
"""Pages of RAM by default: few, so that memory is short; an audit walks all of them."""


@click.command(short_help="Do everything at random, with faults, until it breaks.")
@click.option(
    "--seconds",
    type=AnyNumber(),
    metavar="S",
    help=f"How long each design is stressed, in the machine's time, 0.1 to 604800, or virtual from "
    f"0.001 on. Default: {THREADS_S:g}; virtual: {VIRTUAL_S}.",
)
@click.option(
    "--seed",
    type=AnyWhole(),
    metavar="N",
    help="Makes the programs of the CPUs; 0 to 2^63-1. Default: another in each run.",
)
@click.option("--cpus", type=AnyWhole(), metavar="N", default=4, show_default=True, help="Simulated CPUs, 1 to 128.")
@designs_option()
@click.option(
    "--npages",
    type=AnyWhole(),
    metavar="N",
    help=f"Pages of RAM, 22 to 2^26 with 4 CPUs. Default: {THREADS_PAGES}; virtual: {VIRTUAL_PAGES}.",
)
@click.option(
    "--faults",
    metavar="LIST",
    default="all",
    show_default=True,
    help="Some of xcall, stall, swapwrite, exhaustion, storm, hotplug, with commas between them; all; none.",
)
@set_option
@vmstat_option
@click.option("--seeds", metavar="FROM-TO", help="Virtual: one run for each of these seeds, the designs in turn.")
@scheduler_option("With --seeds: let the workers of this dask scheduler run them")
@virtual_options("costs", "cost", "lock", "busy")
@export_options(pyperf=False)
@lockstat_on_request
def stress(
    seconds: float | None,
    seed: int | None,
    cpus: int,
    designs: tuple[str, ...],
    npages: int | None,
    faults: str,
    settings: tuple[str, ...],
    vmstat: bool,
    seeds: str | None,
    scheduler: str | None,
    kind: str,
    costs: str | None,
    changes: tuple[str, ...],
    lock: str | None,
    busy: float | None,
    exports: Exports,
    lock_format: str,
    selection: Selection | None,
) -> None:
    """Do all that can be done to a system, at random, on all CPUs at once, with faults; audit; exit 1 if it broke."""
    # Heard from here on, and honoured where a run looks: no exception in the middle of an import, or of output.
    with first_signal_asks() as asked:
        from uvmfree.measure.settings import check_used
        from uvmfree.stress.faults import parse_faults
        from uvmfree.stress.supervised import Options
        from uvmfree.uvm.designs import SHOWN

        check_designs(designs)
        check_one_document(exports.json_file, lock_format)
        machine = machine_of(kind, costs, changes, lock, busy)
        exports.check_watched(virtual=kind == "virtual")
        options = Options(
            seconds=(VIRTUAL_S if kind == "virtual" else THREADS_S) if seconds is None else seconds,
            seed=int.from_bytes(os.urandom(4)) if seed is None else seed,
            ncpus=cpus,
            npages=(VIRTUAL_PAGES if kind == "virtual" else THREADS_PAGES) if npages is None else npages,
            faults=parse_faults(faults),
            settings=settings,
            designs=designs,
            lockstat=selection is not None,
            machine=machine,
        )
        if kind == "virtual":
            check_places(costs or COSTS, changes, cpus)
        check_used(settings, designs or SHOWN)
        if selection is not None:
            selection.check(cpus, designs or SHOWN)
        if seeds is None and scheduler is not None:
            raise ArgumentError("--scheduler: goes with --seeds")
        if seeds is None:
            if kind == "virtual":
                strands()
            show = Show(vmstat, lock_format, selection)
            status = _stress(options, designs or SHOWN, exports, show, asked)
        else:
            if (
                seed is not None
                or vmstat
                or selection is not None
                or any((exports.json_file, exports.perfetto_file, exports.counter_file))
            ):
                raise ArgumentError("--seeds: keeps no record; give one --seed for that")
            status = stress_seeds(options, designs or SHOWN, seeds, scheduler, asked)
    if status:
        sys.exit(status)


@dataclass(frozen=True)
class Show:
    """What is printed beside the table: counters, and lock statistics unless `selection` is None."""

    vmstat: bool
    lock_format: str
    selection: Selection | None


def _stress(options: Options, designs: tuple[str, ...], exports: Exports, show: Show, asked: Asked) -> int:
    """Run the designs, say what came of them; return the exit code."""
    from uvmfree.stress.supervised import new_record
    from uvmfree.stress.supervised import stress as stress_one

    record = new_record(options, designs, typed())
    runs, timeline = record.stress, exports.timeline()
    with _progress_line(options) as tick:
        for design in record.designs:
            keep = None if timeline is None else timeline.keeper(design)
            runs.append(stress_one(options, design, stop=asked, tick=tick, counters=exports.counters, keep=keep))
            if timeline is not None:
                timeline.add(design, runs[-1].events, runs[-1].samples, runs[-1].events_dropped)
            if asked() or runs[-1].hung:
                break
    record.interrupted = interrupted = asked()
    exports.write(record)
    if timeline is not None:
        exports.write_out(timeline)
    if show.selection is not None and show.lock_format == "json":
        _print_document(record, show.selection)
    elif exports.json_file != "-":
        _print_runs(options, record, show)
    for run in runs:
        _explain(options, run)
    if interrupted:
        click.echo("uvmfree: interrupted; what had been done until then was audited and is above", err=True)
    if any(run.hung for run in runs):
        # Threads that hang cannot be joined; the interpreter is not asked to try.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(BROKEN)
    if any(run.errors for run in runs):
        return BROKEN
    return asked.status if interrupted else 0


def _print_document(record: Record, selection: Selection) -> None:
    from uvmfree.layouts.lockstat_layout import document

    locks = {run.design: (run.locks, run.wall_s) for run in record.stress}
    write_json("--format json", "-", document(locks, selection, waits=record.threads_run_at_once))


def _print_runs(options: Options, record: Record, show: Show) -> None:
    from uvmfree.layouts.vmstat_layout import vmstat_s
    from uvmfree.report.comparison import setting
    from uvmfree.report.stress_table import never_came, stress_table

    faults = ",".join(options.faults) or "none"
    at_once = record.threads_run_at_once
    say_labelled(setting(record, f"stress, seed {options.seed}, {options.seconds:g} s, faults {faults}"))
    click.echo()
    for line in stress_table(record.stress, width(), virtual=record.machine.virtual, rates=at_once):
        click.echo(line)
    for line in never_came(record.stress):
        say(line)
    for run in record.stress:
        if show.selection is not None:
            _print_locks(run, show.lock_format, show.selection, waits=at_once)
        if show.vmstat and run.uvmexp is not None:
            click.echo(f"\n{run.design}, vmstat -s when the CPUs had stopped")
            for line in vmstat_s(run.uvmexp):
                click.echo(line)


def _print_locks(run: StressRun, lock_format: str, selection: Selection, *, waits: bool) -> None:
    from uvmfree.layouts.lockstat_layout import render

    if run.uvmexp is None:
        click.echo(f"\n{run.design}: no lock statistics, since its CPUs did not stop")
        return
    click.echo(f"\n{run.design}, lock statistics when the CPUs had stopped")
    for line in render(lock_format, run.locks, run.wall_s, selection, waits=waits):
        click.echo(line)


def _explain(options: Options, run: StressRun) -> None:
    """Say what went wrong with one design, how to have it again, and what its CPUs did last."""
    if not run.errors:
        return
    for error in run.errors:
        click.echo(f"uvmfree: {run.design}: {error}", err=True)
    click.echo(f"uvmfree: again: {options.command(run.design)}", err=True)
    click.echo(f"uvmfree: the last operations of each CPU: {run.file}", err=True)
    for line in run.report:
        click.echo(line, err=True)


@contextlib.contextmanager
def _progress_line(options: Options) -> Iterator[Callable[[Stress, float], None]]:
    """Show how far a run is in one line on stderr, if that is a terminal; yield what updates it."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda run, elapsed_s: None
        return
    with console.status("") as status:

        def tick(run: Stress, elapsed_s: float) -> None:
            steps, faults = run.steps(), sum(fault.injected for fault in run.faults)
            status.update(
                f"{run.plan.param.design}, {elapsed_s:.0f} of {options.seconds:g} s: {plural(steps, 'operation')}, "
                f"{steps / max(elapsed_s, 0.05):,.0f} per second, {plural(faults, 'fault')}"
            )

        yield tick
