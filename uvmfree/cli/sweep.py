"""`uvmfree sweep`: a grid of tunables, designs, workloads and CPU counts."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from uvmfree.cli.options import (
    WORKLOADS,
    designs_option,
    pressure_seconds_option,
    repetitions_option,
    scheduler_option,
    trace_option,
    unpacked_option,
    workload_option,
)
from uvmfree.cli.output import check_writable, write_whole
from uvmfree.cli.running import first_signal_asks, progress
from uvmfree.cli.terminal import say, say_labelled, width
from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from uvmfree.analyse.sweep import Grid, Sweep


PIPE_COLUMNS = 140
"""In a pipe a cell stands on one line, for `grep` and `sort`."""

_COLUMNS = (
    ("wait_share_percent", "wait share %"),
    ("shared_locks_per_op", "shared locks/op"),
    ("moved_per_op", "moved/op"),
    ("stranded_pages_max", "stranded pages"),
    ("wall_ms", "wall ms"),
)
"""Figures that the table has, and what they are headed."""


@click.command(short_help="Measure a grid of settings.")
@click.option(
    "-o",
    "file",
    metavar="FILE",
    required=True,
    help="The records; a sweep in it is gone on with, and may be extended.",
)
@workload_option(WORKLOADS, "May be repeated. Default: trace.", multiple=True)
@trace_option("The trace. Default: the one shipped.")
@unpacked_option
@pressure_seconds_option
@click.option("--cpus", metavar="N,N...", help="CPU counts, 1 to 128. Default: the workload's.")
@designs_option()
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE,...", help="Values of a tunable (see Param); repeatable."
)
@repetitions_option
@scheduler_option("Let the workers of this dask scheduler measure")
def sweep(
    file: str,
    workloads: tuple[str, ...],
    trace_file: str | None,
    unpacked_max_bytes: int | None,
    seconds: float | None,
    cpus: str | None,
    designs: tuple[str, ...],
    settings: tuple[str, ...],
    repetitions: int,
    scheduler: str | None,
) -> None:
    """Measure every combination, one at a time on each machine; for `uvmfree report` and `uvmfree usl`."""
    from uvmfree.analyse.sweep import Grid, alone, resume, run_sweep
    from uvmfree.measure.executors import local, scheduled
    from uvmfree.uvm.designs import SHOWN

    if file == "-":
        raise ArgumentError("-o -: must be a file, so that a sweep can be gone on with")
    _refuse_twice("--design", designs)
    _refuse_twice("--workload", workloads)
    workloads = workloads or ("trace",)
    for option, value, workload in (
        ("--trace", trace_file, "trace"),
        ("--unpacked-mib", unpacked_max_bytes, "trace"),
        ("--seconds", seconds, "pressure"),
    ):
        if value is not None and workload not in workloads:
            raise ArgumentError(
                f"{option} goes with --workload {workload}, not with --workload {', '.join(workloads)}"
            )
    _refuse_bytes("--trace", trace_file)
    check_writable(("-o", file), regular=True)
    click.get_current_context().with_resource(alone(file))
    grid = Grid(
        workloads=workloads,
        ncpus=_counts(cpus),
        designs=designs or SHOWN,
        settings=_choices(settings),
        repetitions=repetitions,
        trace=trace_file,
        seconds=seconds,
        unpacked_max_bytes=unpacked_max_bytes,
    )
    done = resume(grid.cells(), file)
    if len(done.left()) < len(done.cells):
        click.echo(f"uvmfree: {len(done.records)} of {len(done.cells)} cells are in {file} already", err=True)

    def save(grown: Sweep) -> None:
        write_whole("-o", file, json.dumps(grown.document()).encode())

    with first_signal_asks() as asked:
        if left := done.left():
            try:
                with contextlib.ExitStack() as held:
                    executor, at_once = held.enter_context(local() if scheduler is None else scheduled(scheduler))
                    tick, step = held.enter_context(progress(len(left), time_left=True))
                    tick(str(left[0]))
                    for cell in run_sweep(done, executor, save, asked, at_once):
                        step()
                        tick(str(cell))
            except WorkerLostError as error:
                if not asked():  # a signal to all processes ends the one that measures, too
                    raise WorkerLostError(f"{error}; the same command goes on") from None
        interrupted = asked() and bool(done.left())
    _print(done, grid)
    if interrupted:
        click.echo(
            f"uvmfree: interrupted; the same command goes on with the {plural(len(done.left()), 'cell')} left",
            err=True,
        )
        sys.exit(asked.status)


def _counts(cpus: str | None) -> tuple[int | None, ...]:
    """Return the CPU counts of a list; ArgumentError."""
    if cpus is None:
        return (None,)
    try:
        counts = [int(count) for count in cpus.split(",")]
    except ValueError:
        raise ArgumentError(f"--cpus {cpus}: must be whole numbers with commas between them") from None
    _refuse_twice(f"--cpus {cpus}", counts)
    return tuple(counts)


def _choices(settings: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the values of each tunable; ArgumentError."""
    found: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        name, equals, values = setting.partition("=")
        if not equals or not values:
            raise ArgumentError(f"--set {setting}: must be NAME=VALUE,VALUE...")
        if name in found:
            raise ArgumentError(f"--set {setting}: {name} has values already; give all of them at once")
        found[name] = tuple(values.split(","))
        _refuse_twice(f"--set {setting}", found[name])
    return tuple(found.items())


def _refuse_bytes(option: str, file: str | None) -> None:
    """Refuse a name that is no text, since the sweep's file has to keep it: ArgumentError."""
    try:
        (file or "").encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{option} {file}: the name is not UTF-8; give it one that is, as by a link") from None


def _refuse_twice(option: str, values: Sequence[object]) -> None:
    """Refuse what is measured once and was asked for twice: ArgumentError."""
    for at, value in enumerate(values):
        if value in values[:at]:
            raise ArgumentError(f"{option}: {value} is given twice")


def _print(done: Sweep, grid: Grid) -> None:
    from uvmfree.measure.printable import printable
    from uvmfree.measure.record import THREAD_TIMES
    from uvmfree.measure.turns import LEFT_OUT
    from uvmfree.report.comparison import setting_of_sweep
    from uvmfree.report.text import Cell, Row, number, table

    records = [done.records[cell] for cell in done.cells if cell in done.records]
    at_once = [record for record in records if record.threads_run_at_once]
    columns = [(name, heading) for name, heading in _COLUMNS if at_once or name not in THREAD_TIMES]
    rows: list[Row] = []
    for cell in done.cells:
        if cell in done.records:
            record = done.records[cell]
            figures = {
                name: spread
                for name, spread in record.summary(cell.design).items()
                if record.threads_run_at_once or name not in THREAD_TIMES
            }
            medians = (number(figures[name].median) if name in figures else "" for name, _ in columns)
            rows.append(Row(printable(str(cell)), [*map(Cell, medians)]))
    if records:
        said = setting_of_sweep(records, grid.settings)
        say_labelled((label, printable(text)) for label, text in said)
        click.echo()
    if len(at_once) < len(records):
        say(LEFT_OUT)
        click.echo()
    for line in table([heading for _, heading in columns], rows, width() if sys.stdout.isatty() else PIPE_COLUMNS):
        click.echo(line)
    click.echo()
    for design in grid.designs:
        if unused := grid.unused(design):
            say(f"{design} does not use {', '.join(unused)}, so it was measured once for all values.")
