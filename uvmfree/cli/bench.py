"""`uvmfree bench`: the designs side by side on one workload."""

from __future__ import annotations

import contextlib
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from uvmfree.cli import first_command
from uvmfree.cli.exports import Exports, export_options
from uvmfree.cli.lockstat import check_one_document, lockstat_options
from uvmfree.cli.options import (
    WORKLOADS,
    designs_option,
    pressure_seconds_option,
    repetitions_option,
    set_option,
    trace_option,
    unpacked_option,
    vmstat_option,
    workload_option,
)
from uvmfree.cli.output import typed, write_json
from uvmfree.cli.running import first_signal_asks, progress, reading
from uvmfree.cli.status import BROKEN
from uvmfree.cli.terminal import say, say_labelled, width
from uvmfree.cli.values import AnyNumber, AnyWhole, OneOf
from uvmfree.cli.virtual import VirtualOptions, bench_options, strands
from uvmfree.errors import ArgumentError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from uvmfree.kern.lockstat import LockStat
    from uvmfree.layouts.lockstat_layout import Selection
    from uvmfree.measure.record import Record

_GIVEN = {
    "npages": "--npages",
    "ncpus": "--cpus",
    "design": "--design",
    "lockstat": "every repetition runs with lockstat and without",
}
"""Tunables that --set does not set, and what does, or why nothing does."""


@click.command(short_help="Compare the designs on one workload.")
@trace_option("Replay this trace; '-' reads stdin. Default: the one shipped.")
@unpacked_option
@workload_option(WORKLOADS, "What the CPUs do.", default="trace", show_default=True)
@click.option("--by", type=OneOf(["cpu", "task"]), help="Whose events of a trace a CPU replays. Default: cpu.")
@click.option(
    "--cpus",
    type=AnyWhole(),
    metavar="N",
    help="Simulated CPUs, 1 to 128; virtual: 1 to 512. "
    "Default: as many as the trace has; 4 for pressure and forkexit; else 2.",
)
@designs_option()
@click.option(
    "--npages",
    type=AnyWhole(),
    metavar="N",
    help="Pages of RAM, 12 to 2^26 with 2 CPUs. "
    "Default: 65536, in virtual time more where needed; with --workload pressure 4096.",
)
@click.option(
    "--memory",
    type=AnyNumber(),
    metavar="FRACTION",
    help="RAM: this fraction of the trace's peak, 0.01 to 1; the rest is swapped. Default: all fits.",
)
@pressure_seconds_option
@set_option
@click.option(
    "--refill", type=AnyWhole(), metavar="N", help="Pages that a miss of percpu takes, 1 to 4096. Default: 1."
)
@vmstat_option
@repetitions_option
@bench_options
@export_options()
@lockstat_options
def bench(
    trace_file: str | None,
    unpacked_max_bytes: int | None,
    workload: str,
    by: str | None,
    cpus: int | None,
    designs: tuple[str, ...],
    npages: int | None,
    memory: float | None,
    seconds: float | None,
    settings: tuple[str, ...],
    refill: int | None,
    vmstat: bool,
    repetitions: int,
    virtual: VirtualOptions,
    exports: Exports,
    lock_format: str,
    selection: Selection,
) -> None:
    """Compare the designs on a workload: how often locks are taken, waited for, and what that buys and costs."""
    from uvmfree.layouts.lockstat_layout import document
    from uvmfree.measure.bench import measure, modes, new_record
    from uvmfree.measure.settings import check_used, parse_settings
    from uvmfree.measure.workloads import by_name, check_fits
    from uvmfree.param import Param
    from uvmfree.uvm.designs import SHOWN
    from uvmfree.workload.trace import read_trace

    began_s = time.perf_counter()
    check_designs(designs)
    check_one_document(exports.json_file, lock_format)
    by_option = {} if refill is None else dict.fromkeys(("refill", "percpu.refill"), "--refill")
    tunables = parse_settings(settings, given=_GIVEN | by_option, designs=designs)
    if refill is not None:
        given = parse_settings([f"percpu.refill={refill}"], given={})
        tunables["own"] = (*tunables.get("own", ()), *given["own"])
        if designs and "percpu" not in designs:
            raise ArgumentError(f"--refill {refill}: is of percpu, which is not among the designs")
    check_used(settings, designs or SHOWN)
    Param(**tunables)  # what is wrong with these shows at once, not after a trace was read
    if memory is not None and npages is not None:
        raise ArgumentError("--memory and --npages both say how much RAM there is; give one")
    if unpacked_max_bytes is not None and workload != "trace":
        raise ArgumentError(f"--unpacked-mib goes with --workload trace, not with --workload {workload}")
    on, seed = virtual.machine(workload, memory=memory is not None)
    file = "the trace" if trace_file is None else trace_file
    with reading(file) if workload == "trace" else contextlib.nullcontext() as tick:
        read = partial(read_trace, unpacked_max_bytes=unpacked_max_bytes, tick=tick)
        ready = by_name(workload, trace_file, by=by, ncpus=cpus, seconds=seconds, memory=memory, read=read, on=on)
    if npages is None:
        npages = ready.npages or Param().npages
    param = Param(**tunables, npages=npages, ncpus=ready.ncpus)
    if on.virtual:
        virtual.check_places(param.ncpus)
    sleeps = on.virtual and memory is None and workload != "pressure"
    check_fits(ready, param.npages, param.pagesize, sleeps=sleeps)
    selection.check(param.ncpus, designs or SHOWN)
    exports.check_fits(ready, on)
    result = new_record(ready, param, designs or SHOWN, typed(), on, seed)
    if on.virtual:
        strands()
    first = first_command.is_it()
    with (
        first_signal_asks() as asked,
        progress(len(modes(result)) * repetitions * len(result.designs)) as (tick, done),
    ):
        enough = first_command.time_is_up(first_command.RUNS_S) if first else lambda: False
        for _ in measure(result, ready, repetitions, tick, asked, exports.counters, enough):
            done()
        exports.write(result)
        if not result.interrupted and exports.perfetto_file is not None:
            tick("timeline")
            exports.write_timeline(result, ready, asked)
    if lock_format == "json":
        locks = document(_counted_locks(result), selection, waits=result.threads_run_at_once)
        write_json("--format json", "-", locks | {"machine": result.machine_words})
    elif exports.json_file != "-":
        _print_bench(result, vmstat, lock_format, selection)
        if first and not result.interrupted:
            first_command.print_curve(began_s + first_command.ALL_S - time.perf_counter())
    if result.interrupted:
        runs = plural(len(result.runs), "run")
        kept = "what was measured is above" if result.runs else "nothing was measured"
        click.echo(f"uvmfree: interrupted after {runs}; {kept}", err=True)
        sys.exit(asked.status)
    if false_oom := result.false_oom():
        times = plural(false_oom, "time")
        click.echo(f"uvmfree: out of memory {times} while there was some to be had or reclaimed", err=True)
        sys.exit(BROKEN)


def _counted_locks(result: Record) -> dict[str, tuple[list[LockStat], float]]:
    """Return the lock records of each design that was run, and how long its runs took together, in seconds."""
    from uvmfree.measure.run import locks_of

    counted = {design: runs for design in result.designs if (runs := result.counted(design))}
    return {
        design: (locks_of(runs), sum(record.drive.wall_ns for record in runs) / 1e9)
        for design, runs in counted.items()
    }


def check_designs(designs: tuple[str, ...]) -> None:
    """Refuse a design that there is not, ParamError, or that is named twice: ArgumentError."""
    from uvmfree.uvm.designs import find

    for at, name in enumerate(designs):
        find(name)
        if name in designs[:at]:
            raise ArgumentError(f"--design {name}: is given twice")


def _print_bench(result: Record, vmstat: bool, lock_format: str, selection: Selection) -> None:
    """Print the verdict, what cannot be measured here, the table, how to read it, and the locks."""
    from uvmfree.layouts.lockstat_layout import render
    from uvmfree.layouts.vmstat_layout import vmstat_s
    from uvmfree.report.comparison import notes, setting, sleeps, table
    from uvmfree.report.verdict import limits, verdict

    for sentence in verdict(result):
        say(sentence)
    click.echo()
    say_labelled(setting(result, result.workload.name))
    click.echo()
    for each in limits(result):
        say(each)
        click.echo()
    if not result.runs:
        return
    for line in table(result, width()):
        click.echo(line)
    click.echo()
    for note in notes(result):
        say(note)
    how = "in virtual time" if result.machine.virtual else "with lockstat"
    for design, (locks, elapsed_s) in _counted_locks(result).items():
        counted = result.counted(design)
        click.echo(f"\n{design}, {plural(len(counted), 'run')} {how}")
        for line in render(lock_format, locks, elapsed_s, selection, waits=result.threads_run_at_once):
            click.echo(line)
        for line in sleeps(result, design):
            click.echo(line)
        if vmstat:
            click.echo(f"\n{design}, vmstat -s at the end of the last run {how}")
            for line in vmstat_s(counted[-1].uvmexp):
                click.echo(line)
