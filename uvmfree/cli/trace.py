"""`uvmfree trace`: page traffic recorded, and a look at it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from uvmfree.cli.options import unpacked_option
from uvmfree.cli.output import check_writable
from uvmfree.cli.running import first_signal_asks, reading
from uvmfree.cli.status import BROKEN
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.workload.trace import Trace

CPUS_SHOWN = 6
"""Numbers of sparse CPUs in one line: the first ones and the last."""


@click.group()
def trace() -> None:
    """Record page traffic, and look at it."""


@trace.command(short_help="Print what a trace holds.")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@unpacked_option
def info(file: str, as_json: bool, unpacked_max_bytes: int | None) -> None:
    """Print what a trace holds: allocations, frees, and what Linux itself did. FILE '-' reads stdin."""
    from dataclasses import asdict

    from uvmfree.workload.trace import read_trace

    with reading(file) as tick:
        read = read_trace(file, unpacked_max_bytes=unpacked_max_bytes, tick=tick)
    if as_json:
        document = {"name": read.name, "ncpus": read.ncpus, "recorded_cpus": read.recorded_cpus}
        document["tasks"] = len(read.tasks)
        document |= asdict(read.counts) | {"linux_moved_per_op": read.counts.linux_moved_per_op}
        click.echo(json.dumps(document, indent=2))
    else:
        _print_info(read)


@trace.command(
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command and record the machine's page traffic.",
)
@click.option(
    "-o", "--output", "file", required=True, metavar="FILE", help="Write the trace here; .gz and .xz pack it."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def record(file: str, command: tuple[str, ...]) -> None:
    """Run COMMAND, record the machine's page traffic meanwhile with perf, and print what was recorded.

    Ctrl-C ends the recording; what was recorded until then is kept. Exit code 1 if COMMAND failed.
    """
    from uvmfree.measure.printable import printable
    from uvmfree.workload.perfrecord import RecordingInterruptedError
    from uvmfree.workload.perfrecord import record as perf_record

    if file == "-":
        raise ArgumentError("-o -: a trace is recorded into a file")
    check_writable(("-o", file))
    try:
        with first_signal_asks() as asked:
            recorded = perf_record(command, file, asked)
    except RecordingInterruptedError as error:
        click.echo(f"uvmfree: interrupted; what perf recorded is kept in {error.kept}", err=True)
        sys.exit(asked.status)
    _print_info(recorded.trace)
    for line in recorded.lost:
        click.echo(f"uvmfree: perf: {printable(line)}", err=True)
    if recorded.interrupted:
        click.echo(f"uvmfree: interrupted; {file} holds what was recorded until then", err=True)
        sys.exit(asked.status)
    if recorded.exit_code:
        click.echo(f"uvmfree: {command[0]} {_ended(recorded.exit_code)}; its trace is kept in {file}", err=True)
        sys.exit(BROKEN)


def _ended(exit_code: int) -> str:
    return f"ended with exit code {exit_code}" if exit_code > 0 else f"was ended by signal {-exit_code}"


def _numbers(cpus: tuple[int, ...]) -> str:
    shown = cpus if len(cpus) <= CPUS_SHOWN else (*cpus[: CPUS_SHOWN - 2], "...", cpus[-1])
    return ", ".join(map(str, shown))


def _print_info(read: Trace) -> None:
    from uvmfree.measure.printable import printable

    counts = read.counts
    moved, per_op = counts.linux_moved, counts.linux_moved_per_op
    rows = (
        ("CPUs, tasks", f"{read.ncpus}, {len(read.tasks):,}"),
        *((("... recorded as CPUs", _numbers(read.recorded_cpus)),) if read.recorded_cpus[-1] >= read.ncpus else ()),
        ("duration, s", f"{counts.duration_s:.3f}"),
        ("mm_page_alloc (order > 0)", f"{counts.allocs:,} ({counts.allocs_high_order:,})"),
        ("... with __GFP_ZERO", f"{counts.allocs_zero:,}"),
        ("mm_page_free of a page allocated in the trace", f"{counts.frees:,}"),
        ("... on another CPU than its allocation", f"{counts.frees_other_cpu:,}"),
        ("mm_page_free of an unknown page", f"{counts.frees_unknown:,}"),
        ("events lost while recording", f"{counts.lost_events:,}"),
        ("live allocations: peak / at end", f"{counts.live_peak:,} / {counts.live_end:,}"),
        ("pages moved under Linux's zone lock", "not recorded" if moved is None else f"{moved:,}"),
        ("... per page operation (alloc + known free)", "not recorded" if per_op is None else f"{per_op:.3f}"),
    )
    click.echo(printable(read.name))
    for label, value in rows:
        click.echo(f"  {label:<46}{value:>20}")
