"""`uvmfree report`: what records hold, drawn on one page."""

from __future__ import annotations

import os

import click

from uvmfree.cli.output import check_each_once, check_writable, write_whole
from uvmfree.errors import ArgumentError


@click.command(short_help="Write one HTML page of plots and tables from records.")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Write the page here; '-' is stdout.")
def report(records: tuple[str, ...], output: str) -> None:
    """Write one HTML page of plots and tables from records, sweeps and scaling curves.

    It opens from a file and loads nothing from the network.
    """
    from uvmfree.analyse.sweep import records_of
    from uvmfree.measure.curve import curve_of, is_curve
    from uvmfree.measure.extras import needs
    from uvmfree.measure.record import read_document
    from uvmfree.report.page.whole_page import build, counted

    needs("plotly", "report", "uvmfree report")
    check_writable(("--output", output), read=[("a record", file) for file in records])
    check_each_once(records)
    named, curves = [], []
    for file in records:
        name, document = "stdin" if file == "-" else os.path.basename(file), read_document(file)
        if is_curve(document):
            curves.append((name, curve_of(document, file)))
        else:
            named += [(name, record) for record in records_of(document, file)]
    if not named and not curves:
        raise ArgumentError(f"{', '.join(records)}: nothing has been measured yet, so there is nothing to report")
    page = build(named, curves)
    if output == "-":
        click.echo(page, nl=False)
        return
    write_whole("--output", output, page.encode())
    click.echo(f"uvmfree: {output}: {counted(len(named), len(curves))}, {len(page.encode()) / 1e6:.1f} MB", err=True)
