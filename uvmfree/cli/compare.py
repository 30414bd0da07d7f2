"""`uvmfree compare`: whether one record is worse than another."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import click

from uvmfree.cli.options import json_option
from uvmfree.cli.output import check_writable, write_json
from uvmfree.cli.status import BROKEN
from uvmfree.cli.terminal import say, say_labelled, width
from uvmfree.cli.values import AnyNumber

if TYPE_CHECKING:
    from uvmfree.analyse.compare import Change


@click.command(short_help="Say whether a second record is worse than the first.")
@click.argument("before")
@click.argument("after")
@click.option(
    "--tolerance",
    type=AnyNumber(),
    default=0.05,
    show_default=True,
    metavar="PART",
    help="By which part a figure may get worse, 0 to 10.",
)
@click.option("--all", "every", is_flag=True, help="Show the figures that are not judged too.")
@json_option("Write the comparison here")
def compare(before: str, after: str, tolerance: float, every: bool, json_file: str | None) -> None:
    """Compare two records: ratio, its 95 % interval, and a verdict per figure.

    Exit 1 if a figure got worse, 2 if there was nothing to compare.
    """
    from uvmfree.analyse.compare import compare as compare_records
    from uvmfree.analyse.compare import differences, run_at_once
    from uvmfree.measure.printable import printable
    from uvmfree.measure.record import THREAD_TIMES, load
    from uvmfree.measure.turns import LEFT_OUT
    from uvmfree.report.comparison import setting

    check_writable(("--json", json_file), read=[("a record", before), ("a record", after)])
    records = load(before), load(after)
    changes = compare_records(*records, tolerance)
    apart = list(differences(*records))
    left_out = [] if run_at_once(*records) else sorted(THREAD_TIMES)
    if json_file is not None:
        document = {"schema": "uvmfree.comparison", "version": 1, "tolerance": tolerance, "differences": apart}
        document |= {"left_out": left_out, "changes": [_plain(change) for change in changes]}
        write_json("--json", json_file, document)
    if json_file != "-":
        notes = [printable(f"Not the same in both, {line}.") for line in apart]
        head = setting(records[0], records[0].workload.name, records[1])
        say_labelled((label, printable(text)) for label, text in head)
        click.echo()
        if left_out:
            say(LEFT_OUT)
            click.echo()
        _print(changes, notes, every)
    worse = [change for change in changes if change.verdict == "worse"]
    if worse:
        names = ", ".join(f"{change.figure} of {change.design}" for change in worse)
        click.echo(f"uvmfree: worse by more than {100 * tolerance:g} %: {printable(names)}", err=True)
        sys.exit(BROKEN)


def _print(changes: list[Change], notes: list[str], every: bool) -> None:
    """Print a row for each figure, below the name of its design."""
    from uvmfree.measure.printable import printable
    from uvmfree.report.text import Cell, Row, number, table

    rows: list[Row] = []
    design = ""
    for change in changes:
        if change.verdict or every:
            if change.design != design:
                design = change.design
                rows.append(Row(printable(design), [Cell("")] * 4))
            known = not math.isnan(change.ratio_low)
            spread = f"{change.ratio_low:.3f} to {change.ratio_high:.3f}" if known else "too few repetitions"
            values = number(change.before), number(change.after)
            ratio = Cell(f"{change.ratio:.3f}", spread)
            rows.append(Row(f" {change.figure}", [*map(Cell, values), ratio, Cell(change.verdict)]))
    for line in table(("before", "after", "ratio, 95 % interval", ""), rows, width()):
        click.echo(line)
    if notes:
        click.echo()
    for note in notes:
        say(note)


def _plain(change: Change) -> dict[str, object]:
    """Return a change as JSON can have it: no number for what is none."""
    from dataclasses import asdict

    plain = asdict(change)
    return {
        name: value if not isinstance(value, float) or math.isfinite(value) else None for name, value in plain.items()
    }
