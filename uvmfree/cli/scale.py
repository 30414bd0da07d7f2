"""`uvmfree scale`: what the designs do at 1 to 256 CPUs, in virtual time."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from uvmfree.cli.costs import changed_figures, check_places, table
from uvmfree.cli.machine import COSTS, SEED, policy, virtual_options
from uvmfree.cli.options import ENDING, designs_option, json_option, scheduler_option, trace_option, workload_option
from uvmfree.cli.output import check_writable, typed, write_json
from uvmfree.cli.running import first_signal_asks, progress
from uvmfree.cli.status import BROKEN
from uvmfree.cli.values import Whole
from uvmfree.cli.virtual import strands
from uvmfree.errors import ArgumentError, WorkerLostError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from uvmfree.measure.curve import Curve
    from uvmfree.measure.scale import Case, Traffic

CPUS = "1,2,4,8,16,32,64,128,256"

CPUS_MAX = 512
"""As many as a virtual machine has at most."""


@click.command(short_help="Run the designs on 1 to 256 CPUs, in virtual time.")
@click.option("--cpus", default=CPUS, show_default=True, metavar="N,N...", help="CPU counts, 1 to 512.")
@designs_option("NAME[,TUNABLE=VALUE...]")
@workload_option(("trace", *ENDING), "Default: pingpong, or trace with --trace.")
@trace_option("Play copies of this trace with its recorded gaps.")
@click.option(
    "--copies", metavar="auto", help="Copies of the trace: auto, as many as a point has CPUs for. Default: auto."
)
@virtual_options("think", "costs", "cost", "lock", "seed", always=True)
@click.option(
    "--seeds",
    type=Whole(1, 100),
    metavar="N",
    default=1,
    show_default=True,
    help="Runs with as many seeds, the first being --seed.",
)
@click.option(
    "--band/--no-band", default=False, help="Also with groups of costs halved and doubled. Default: without."
)
@json_option("Write every point here, for `uvmfree report`")
@scheduler_option("Let the workers of this dask scheduler run the points")
def scale(
    cpus: str,
    designs: tuple[str, ...],
    workload: str | None,
    trace_file: str | None,
    copies: str | None,
    think_ns: int | None,
    costs: str | None,
    changes: tuple[str, ...],
    lock: str | None,
    seed: int | None,
    seeds: int,
    band: bool,
    json_file: str | None,
    scheduler: str | None,
) -> None:
    """Run the designs at many CPU counts in virtual time: throughput, waiting, and where the shared lock is full.

    Virtual: the same allocator on CPUs that are not there; times come from a table of costs.
    """
    from uvmfree.measure.scale import Traffic

    check_writable(("--json", json_file))
    kind = workload or ("pingpong" if trace_file is None else "trace")
    if trace_file is not None and kind != "trace":
        raise ArgumentError(f"--trace goes with --workload trace, not with --workload {kind}")
    if copies is not None and kind != "trace":
        raise ArgumentError(f"--copies goes with a trace, not with --workload {kind}")
    if copies not in (None, "auto"):
        raise ArgumentError(f"--copies {copies}: must be auto: as many as a point has CPUs for; --cpus says how many")
    if think_ns is not None and kind == "trace":
        raise ArgumentError("--think: a trace has gaps of its own; it goes with a synthetic workload")
    machine = costs or COSTS, changes, policy(lock)
    outside_ns = table(costs or COSTS, changes).ns("page_fault") if think_ns is None else think_ns
    traffic = Traffic(kind, trace_file, outside_ns)
    first = SEED if seed is None else seed
    counts = counts_for(cpus, traffic)
    check_places(costs or COSTS, changes, max(counts))
    cases = cases_of(traffic, designs, counts, *machine, range(first, first + seeds), band)
    strands()
    with first_signal_asks() as asked:
        curve = measured_curve(cases, asked, scheduler)
    if json_file is not None:
        write_json("--json", json_file, curve.document())
    if json_file != "-":
        from uvmfree.report.curve_text import lines

        for line in lines(curve, curve.host.interpreter):
            click.echo(line)
    if curve.interrupted:
        if asked():
            click.echo(f"uvmfree: interrupted after {len(curve.points)} of {plural(len(cases), 'point')}", err=True)
        sys.exit(asked.status if asked() else BROKEN)


def measured_curve(
    cases: list[Case],
    stop: Callable[[], bool],
    scheduler: str | None = None,
    rounds: Iterable[list[Case]] | None = None,
) -> Curve:
    """Measure cases, in a process for each processor or by the workers of a scheduler, and show how far it is.

    => `rounds`: the cases, or some of them, in rounds of which each ends before the next is asked for.
    => Where a process is lost, two lines on stderr say so and what is missing; the rest is kept.
    """
    from uvmfree.measure.curve import Curve, fill
    from uvmfree.measure.executors import local, scheduled
    from uvmfree.measure.host import host

    curve = Curve(host(), typed())
    try:
        with contextlib.ExitStack() as held:
            processes = min(len(cases), len(os.sched_getaffinity(0)))
            executor, at_once = held.enter_context(local(processes) if scheduler is None else scheduled(scheduler))
            tick, step = held.enter_context(progress(len(cases), time_left=True))
            for part in rounds or [cases]:
                for point in fill(curve, part, executor, at_once, stop):
                    step()
                    tick(f"{point.case.label}, {plural(point.case.ncpus, 'CPU')} in virtual time")
                if curve.interrupted:
                    break
    except WorkerLostError as error:
        curve.interrupted = True
        if not stop():  # a signal to all processes ends those that measure, too
            click.echo(f"uvmfree: {error}\nuvmfree: not measured: {_missing(cases, curve)}", err=True)
    curve.points.sort(key=lambda point: cases.index(point.case))
    return curve


def _missing(cases: list[Case], curve: Curve) -> str:
    measured = [point.case for point in curve.points]
    counts: dict[str, dict[int, None]] = {}
    for case in cases:
        if case not in measured:
            counts.setdefault(case.label, {})[case.ncpus] = None
    return "; ".join(f"{label} on {', '.join(map(str, found))} CPUs" for label, found in counts.items())


def cases_of(
    traffic: Traffic,
    designs: tuple[str, ...],
    counts: list[int],
    costs: str,
    changes: tuple[str, ...],
    lock: str,
    seeds: range,
    with_band: bool,
) -> list[Case]:
    """Return all runs; ArgumentError, ParamError for the first that cannot be."""
    from uvmfree.measure.scale import Case, band
    from uvmfree.uvm.designs import SHOWN, find

    found: list[Case] = []
    name, changed = changed_figures(costs, changes)
    for at, spec in enumerate(designs or SHOWN):
        design, *settings = spec.split(",")
        find(design)
        if spec in designs[:at]:
            raise ArgumentError(f"--design {spec}: is given twice")
        for ncpus in counts:
            for seed in seeds:
                case = Case(design, ncpus, traffic, name, changed, False, lock, seed, tuple(settings))
                case.check()
                others = band(case) if with_band else []
                for other in others:
                    other.table()  # twice a cost may be more than a cost can be
                found += [case, *others]
    return found


def counts_for(cpus: str, traffic: Traffic) -> list[int]:
    """Return the CPU counts that a workload can have; ArgumentError."""
    least = traffic.least_cpus()
    if cpus == CPUS:  # of a trace of three CPUs: 3, 6, 12 and so on
        counts = [int(count) * least for count in cpus.split(",")]
        return [count for count in counts if count <= max(least, counts[-1] // least)]
    try:
        counts = sorted({int(count) for count in cpus.split(",")})
    except ValueError:
        raise ArgumentError(f"--cpus {cpus}: must be whole numbers with commas between them") from None
    for count in counts:
        if not 1 <= count <= CPUS_MAX or count % least:
            multiple = f", a multiple of {least}" if least > 1 else ""
            raise ArgumentError(f"--cpus {count}: must be from 1 to {CPUS_MAX}{multiple}")
    return counts
