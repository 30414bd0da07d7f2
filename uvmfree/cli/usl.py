"""`uvmfree usl`: what the Universal Scalability Law makes of records at several CPU counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from uvmfree.cli.options import json_option
from uvmfree.cli.output import check_each_once, check_writable, write_json
from uvmfree.cli.terminal import say, say_labelled
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from uvmfree.analyse.usl import Fitted, Point, Usl


@click.command(short_help="Fit a scaling law to the throughput in records.")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@json_option("Write points and fits here")
def usl(records: tuple[str, ...], json_file: str | None) -> None:
    """Fit the Universal Scalability Law to the throughput in records, or a sweep, at 5 or more CPU counts."""
    from dataclasses import asdict

    from uvmfree.analyse.sweep import load_records
    from uvmfree.analyse.usl import fit, points
    from uvmfree.measure.printable import printable
    from uvmfree.report.comparison import places
    from uvmfree.report.page.settings import points_of
    from uvmfree.workload.plural import plural

    check_writable(("--json", json_file), read=[("a record", file) for file in records])
    check_each_once(records)
    given = [record for file in records for record in load_records(file)]
    loaded = [record for record in given if record.threads_run_at_once]
    if not given:
        raise ArgumentError(f"{', '.join(records)}: nothing has been measured yet, so there is nothing to fit")
    if not loaded:
        raise ArgumentError(
            "the records were measured with the GIL: threads took turns, so they say nothing about scaling; measure "
            "with a free-threaded Python (README)"
        )
    if len(names := {record.workload.name for record in loaded}) > 1:
        raise ArgumentError(f"the records are of different workloads: {', '.join(sorted(names))}")
    if len(settings := dict.fromkeys(point.label for point in points_of(loaded))) > 1:
        raise ArgumentError(
            f"the records are of different settings: {'; '.join(settings)}. One law holds for one of them; "
            "uvmfree report fits it to each"
        )
    designs = dict.fromkeys(design for record in loaded for design in record.designs)
    fits = {design: (points(loaded, design), fit(points(loaded, design))) for design in designs}
    if json_file is not None:
        document = {
            design: {"points": [asdict(point) for point in measured], "fit": _plain(asdict(fitted))}
            for design, (measured, fitted) in fits.items()
        }
        write_json("--json", json_file, {"schema": "uvmfree.usl", "version": 1, "designs": document})
    if json_file != "-":
        say(f"{printable(loaded[0].workload.name)}; operations a second, medians of the repetitions")
        say_labelled((label, printable(text)) for label, text in places(loaded))
        if turns := len(given) - len(loaded):
            click.echo(f"Left out {plural(turns, 'record')} with the GIL: threads took turns.")
        for design, (measured, fitted) in fits.items():
            click.echo(f"\n{printable(design)}")
            for line in _lines(measured, fitted):
                click.echo(f"  {line}")


def _lines(measured: list[Point], fitted: Usl) -> Iterator[str]:
    """Yield the points and the parameters."""
    import statistics

    yield f"{'CPUs':>5}{'measured':>14}{'the law':>14}"
    for ncpus in sorted({point.ncpus for point in measured}):
        median = statistics.median(point.per_s for point in measured if point.ncpus == ncpus)
        beyond = "  more CPUs than processors" if ncpus in fitted.beyond else ""
        yield f"{ncpus:5d}{median:14,.0f}{fitted.per_s(ncpus):14,.0f}{beyond}"
    yield f"lambda {_interval(fitted.lam, ',.0f')} a second on one CPU"
    part = "of the work is done one at a time"
    if fitted.sigma.low > 1:  # which no part is
        part = "is over 1: more CPUs do less than one"
    yield f"sigma  {_interval(fitted.sigma, '.4f')} {part}"
    yield f"kappa  {_interval(fitted.kappa, '.6f')} is what waits for others' writes cost"
    if math.isfinite(fitted.peak_ncpus):
        yield f"peak   {fitted.peak_per_s:,.0f} a second at {fitted.peak_ncpus:.1f} CPUs"
    else:
        yield "peak   none"
    yield f"The law explains {100 * fitted.r_squared:.1f} % of the variation. Intervals: 95 %."


def _interval(fitted: Fitted, layout: str) -> str:
    return f"{fitted.value:{layout}} [{fitted.low:{layout}}-{fitted.high:{layout}}]"


def _plain(fields: dict[str, object]) -> dict[str, object]:
    """Return a fit as JSON can have it: no number for what is none."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
