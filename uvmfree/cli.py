"""The command line: `uvmfree bench`, `uvmfree trace info`.

=> Data on stdout, progress on stderr. Exit 0: fine. 1: an invariant is broken or a CPU's thread crashed. 2: usage
   or bad input, one clear line. 130: Ctrl-C, threads joined, what was measured kept and marked.
=> What draws or measures is imported by the command that needs it, so that `--help` is quick.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from uvmfree.errors import ArgumentError, AuditError, HangError, LockError, UvmError, XcallError

if TYPE_CHECKING:
    from uvmfree.measure.bench import Bench
    from uvmfree.measure.workloads import Workload

BROKEN = 1
BAD_INPUT = 2
INTERRUPTED = 130

_GIVEN = {
    "npages": "--npages",
    "ncpus": "--cpus",
    "design": "--design",
    "lockstat": "nothing: every repetition runs with it and without",
}
"""Tunables that --set does not set, and what does."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="uvmfree")
def cli() -> None:
    """NetBSD's page allocator before and after splitting uvm_fpageqlock, on real threads and real page traffic."""


@cli.command()
@click.option(
    "--trace", "trace_file", metavar="FILE", help="Replay this trace; '-' reads stdin. Default: the one shipped."
)
@click.option(
    "--workload",
    type=click.Choice(["trace", "pingpong", "handoff", "forkexit", "pressure"]),
    default="trace",
    show_default=True,
)
@click.option(
    "--by", type=click.Choice(["cpu", "task"]), default="cpu", show_default=True, help="Whose events a CPU replays."
)
@click.option(
    "--cpus",
    type=int,
    metavar="N",
    help="Simulated CPUs. Default: as many as the trace has; 4 for pressure and forkexit; else 2.",
)
@click.option(
    "--design", "designs", multiple=True, metavar="NAME", help="Measure this design; may be repeated. Default: all."
)
@click.option("--npages", type=int, help="Pages of RAM. Default: 65536; with --workload pressure 4096.")
@click.option(
    "--memory", type=float, metavar="FRACTION", help="RAM: this fraction of the trace's peak; the rest is swapped."
)
@click.option("--seconds", type=float, metavar="S", help="How long --workload pressure runs. Default: 2.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a tunable (see Param); may be repeated."
)
@click.option("--refill", type=int, metavar="N", help="Pages that a miss of percpu takes. Default: 1.")
@click.option("--vmstat", is_flag=True, help="Print the counters of each design's last run as `vmstat -s` does.")
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--json", "json_file", metavar="FILE", help="Write raw values and host facts here; '-' is stdout, with no tables."
)
def bench(
    trace_file: str | None,
    workload: str,
    by: str,
    cpus: int | None,
    designs: tuple[str, ...],
    npages: int | None,
    memory: float | None,
    seconds: float | None,
    settings: tuple[str, ...],
    refill: int | None,
    vmstat: bool,
    repetitions: int,
    json_file: str | None,
) -> None:
    """Compare the designs on a workload: how often locks are taken, waited for, and what that buys and costs."""
    from uvmfree.measure.bench import Bench, measure
    from uvmfree.measure.settings import parse_settings
    from uvmfree.measure.workloads import check_fits
    from uvmfree.param import Param
    from uvmfree.uvm.designs import REGISTRY

    for name in designs:
        if name not in REGISTRY:
            raise ArgumentError(f"--design {name}: must be one of {', '.join(REGISTRY)}")
    _check_writable(json_file)
    tunables = parse_settings(settings, given=_GIVEN | ({"refill": "--refill"} if refill is not None else {}))
    if refill is not None:
        tunables["refill"] = refill
    Param(**tunables)  # what is wrong with these shows at once, not after a trace was read
    if memory is not None and npages is not None:
        raise ArgumentError("--memory and --npages both say how much RAM there is; give one")
    ready = _workload(workload, trace_file, by, cpus, seconds, memory)
    if npages is None:
        npages = ready.npages or Param().npages
    param = Param(**tunables, npages=npages, ncpus=ready.ncpus)
    check_fits(ready, param.npages, param.pagesize)
    result = Bench(ready, param, designs or tuple(REGISTRY))
    with (
        _first_ctrl_c_asks() as asked,
        _progress(len(result.modes) * repetitions * len(result.designs)) as (tick, done),
    ):
        for _ in measure(result, repetitions, tick, asked):
            done()
    if json_file is not None:
        _write_json(json_file, result.document())
    if json_file != "-":
        _print_bench(result, vmstat)
    if result.interrupted:
        click.echo(f"uvmfree: interrupted after {len(result.runs)} runs; what was measured is above", err=True)
        sys.exit(INTERRUPTED)


@cli.group()
def trace() -> None:
    """Look at recorded page traffic."""


@trace.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def info(file: str, as_json: bool) -> None:
    """Print what a trace holds: allocations, frees, and what Linux itself did. FILE '-' reads stdin."""
    from dataclasses import asdict

    from uvmfree.workload.trace import read_trace

    read = read_trace(file)
    counts = read.counts
    if as_json:
        document = {"name": read.name, "ncpus": read.ncpus, "tasks": len(read.tasks)}
        document |= asdict(counts) | {"linux_moved_per_op": counts.linux_moved_per_op}
        click.echo(json.dumps(document, indent=2))
        return
    moved, per_op = counts.linux_moved, counts.linux_moved_per_op
    rows = (
        ("CPUs, tasks", f"{read.ncpus}, {len(read.tasks):,}"),
        ("duration, s", f"{counts.duration_s:.3f}"),
        ("mm_page_alloc (order > 0)", f"{counts.allocs:,} ({counts.allocs_high_order:,})"),
        ("... with __GFP_ZERO", f"{counts.allocs_zero:,}"),
        ("mm_page_free of a page allocated in the trace", f"{counts.frees:,}"),
        ("... on another CPU than its allocation", f"{counts.frees_other_cpu:,}"),
        ("mm_page_free of an unknown page", f"{counts.frees_unknown:,}"),
        ("live allocations: peak / at end", f"{counts.live_peak:,} / {counts.live_end:,}"),
        ("pages moved under Linux's zone lock", "not recorded" if moved is None else f"{moved:,}"),
        ("... per page operation (alloc + known free)", "not recorded" if per_op is None else f"{per_op:.3f}"),
    )
    click.echo(read.name)
    for label, value in rows:
        click.echo(f"  {label:<46}{value:>20}")


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        status = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = BAD_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("uvmfree: interrupted", err=True)
        status = INTERRUPTED
    except UvmError as error:
        status = _explain(error)
    except BrokenPipeError:
        # Whoever read stdout has gone; the interpreter would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN
    sys.exit(status)


def _explain(error: UvmError) -> int:
    """Say what went wrong: bad input in one line, what should never happen with its traceback."""
    from uvmfree.workload.driver import DriveError

    if isinstance(error, AuditError):
        for finding in error.findings:
            click.echo(f"uvmfree: audit: {finding}", err=True)
        return BROKEN
    if isinstance(error, DriveError | HangError | LockError | XcallError):
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        click.echo(f"uvmfree: {error}", err=True)
        return BROKEN
    click.echo(f"uvmfree: {error}", err=True)
    return BAD_INPUT


def _workload(
    kind: str, trace_file: str | None, by: str, cpus: int | None, seconds: float | None, memory: float | None
) -> Workload:
    from uvmfree.measure import workloads
    from uvmfree.workload.trace import bundled_trace, read_trace

    if cpus is not None and not 1 <= cpus <= 128:
        raise ArgumentError(f"--cpus {cpus}: must be from 1 to 128")
    if seconds is not None and kind != "pressure":
        raise ArgumentError(f"--seconds goes with --workload pressure, not with --workload {kind}")
    if kind == "trace":
        return workloads.from_trace(read_trace(trace_file or bundled_trace()), ncpus=cpus, by=by, memory=memory)
    if memory is not None:
        raise ArgumentError(f"--memory goes with a trace, not with --workload {kind}")
    if trace_file is not None:
        raise ArgumentError(f"--trace goes with --workload trace, not with --workload {kind}")
    if kind == "pressure":
        return workloads.pressure(cpus or 4, 2.0 if seconds is None else seconds)
    if kind == "forkexit":
        return workloads.forkexit(cpus or 4)
    return workloads.pingpong(cpus or 2) if kind == "pingpong" else workloads.handoff(cpus or 2)


def _print_bench(result: Bench, vmstat: bool) -> None:
    from rich.console import Console

    from uvmfree.measure.lockstat_layout import netbsd
    from uvmfree.measure.run import locks_of
    from uvmfree.measure.vmstat_layout import vmstat_s
    from uvmfree.report.comparison import notes, sleeps, table

    wide = Console().width if sys.stdout.isatty() else 120
    console = Console(width=wide, highlight=False)
    console.print(f"{result.workload.name} on {result.workload.ncpus} CPUs, {result.param.npages:,} pages of RAM")
    console.print(table(result))
    for note in notes(result):
        console.print(note, markup=False)
    for design in result.designs:
        counted = result.counted(design)
        console.print(f"\n{design}, all repetitions with lockstat together")
        elapsed_s = sum(record.drive.wall_ns for record in counted) / 1e9
        for line in netbsd(locks_of(counted), elapsed_s):
            console.print(line, markup=False)
        for line in sleeps(result, design):
            console.print(line, markup=False)
        if vmstat and counted:
            console.print(f"\n{design}, vmstat -s at the end of the last repetition with lockstat")
            for line in vmstat_s(counted[-1].uvmexp):
                console.print(line, markup=False)


@contextlib.contextmanager
def _first_ctrl_c_asks() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request that is honoured where it is safe; yield what tells whether it came.

    => An exception out of nowhere could strike while a system is half built or half closed. The second Ctrl-C is
       an exception all the same.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[Any, Any]]:
    """Show a progress bar on stderr, if that is a terminal; yield what names a step and what ends it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        job = bar.add_task("", total=total)
        yield (lambda what: bar.update(job, description=what), lambda: bar.advance(job))


def _check_writable(file: str | None) -> None:
    """Refuse a place that cannot be written to before the work is done, not after."""
    if file is None or file == "-":
        return
    path = Path(file)
    if path.is_dir():
        raise ArgumentError(f"--json {file}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ArgumentError(f"--json {file}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentError(f"--json {file}: may not be written to")


def _write_json(file: str, document: dict[str, Any]) -> None:
    """Write a document whole or not at all: beside its place, then renamed."""
    text = json.dumps(document, indent=1) + "\n"
    if file == "-":
        click.echo(text, nl=False)
        return
    beside = Path(f"{file}.{os.getpid()}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ArgumentError(f"--json {file}: {error.strerror}") from None
