"""`uvmfree report`: what records hold, drawn on one page."""

from __future__ import annotations

import os

import click

from uvmfree.cli.output import check_writable, write_whole
from uvmfree.errors import ArgumentError


@click.command()
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Write the page here; '-' is stdout.")
def report(records: tuple[str, ...], output: str) -> None:
    """Write one HTML page of plots and tables from records and sweeps: it opens from a file, and asks no host."""
    from uvmfree.measure.extras import needs
    from uvmfree.measure.sweep import load_records
    from uvmfree.report.page.page import build

    needs("plotly", "report", "uvmfree report")
    check_writable(("--output", output))
    for file in records:
        if records.count(file) > 1:
            raise ArgumentError(f"{file}: is given {records.count(file)} times; each record counts once")
    named = [
        ("stdin" if file == "-" else os.path.basename(file), record)
        for file in records
        for record in load_records(file)
    ]
    if not named:
        raise ArgumentError(f"{', '.join(records)}: nothing has been measured yet, so there is nothing to report")
    page = build(named)
    if output == "-":
        click.echo(page, nl=False)
        return
    write_whole("--output", output, page.encode())
    count = f"{len(named)} record{'s' * (len(named) > 1)}"
    click.echo(f"uvmfree: {output}: {count}, {len(page.encode()) / 1e6:.1f} MB", err=True)
