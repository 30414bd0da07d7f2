"""`uvmfree top`: a look at a run in another process, by way of its counter page."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.running import signals_raise
from uvmfree.cli.status import BROKEN
from uvmfree.cli.values import Number, Whole
from uvmfree.errors import CounterFileError

if TYPE_CHECKING:
    from uvmfree.layouts.top import Top
    from uvmfree.measure.counterfile import Reading

HEADER_EVERY = 20
"""Lines between two headers, as vmstat has it: a screen always shows one."""


@click.command(short_help="Watch a run that was started with --counters.")
@click.argument("file")
@click.option("-b", "batch", is_flag=True, help="Print lines, as for a pipe.")
@click.option("-c", "count", type=Whole(1), metavar="COUNT", help="End after so many looks. Default: with the run.")
@click.option(
    "-w", "wait_s", type=Number(0.05, 3600), default=1.0, show_default=True, metavar="SECS", help="Between two looks."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def top(file: str, batch: bool, count: int | None, wait_s: float, as_json: bool) -> None:
    """Watch a run that was started with --counters FILE. Takes no lock of it, and ends when it has ended."""
    looks = _looks(file, count, wait_s)
    if as_json:
        for look in looks:
            click.echo(json.dumps(look.plain()))
    elif batch or not sys.stdout.isatty():
        from uvmfree.layouts.top import HEADER

        for number, look in enumerate(looks):
            if number % HEADER_EVERY == 0:
                click.echo(HEADER)
            click.echo(look.line())
    else:
        _live(looks)


def _looks(file: str, count: int | None, wait_s: float) -> Iterator[Top]:
    """Yield a look every `wait_s` seconds until the run's process has ended it, or `count` were yielded."""
    from uvmfree.layouts.top import top as compare
    from uvmfree.measure.counterfile import CounterReader

    reader = CounterReader(file)
    before = reader.read()
    done = 0
    while count is None or done < count:
        if _over(before):
            if not done:
                yield compare(before, before)
            return
        time.sleep(wait_s)
        now = reader.read()
        yield compare(before, now)
        before, done = now, done + 1


def _over(reading: Reading) -> bool:
    """Whether the process that wrote it has ended; CLI error if it has without ending the run."""
    if reading.alive():
        return False  # between two runs of one benchmark the next one makes a new page
    if not reading.ended:
        click.echo(f"uvmfree: process {reading.pid} has ended and left its run unfinished", err=True)
        sys.exit(BROKEN)
    return True


def _live(looks: Iterator[Top]) -> None:
    """Show one look after the other on a terminal."""
    from rich.live import Live

    with signals_raise(), Live(auto_refresh=False, screen=False) as live:
        try:
            for look in looks:
                live.update(_screen(look), refresh=True)
        except CounterFileError:
            live.stop()
            raise


def _screen(look: Top) -> Any:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from uvmfree.measure.printable import printable

    state = "ended" if look.ended else "running"
    head = Text(f"{printable(look.design)}, {state}; {look.npages:,} pages: {look.used:,} used, {look.free:,} free, ")
    head.append(f"{look.cached:,} cached, {look.paging:,} paging; {look.waiters} waiting for pages")
    rates = Text(
        f"Per s: {look.allocs_per_s:,.0f} allocated, {look.frees_per_s:,.0f} freed, {look.hit_percent:.1f} % local; "
        f"daemon {look.pdwoke_per_s:,.1f} wakeups, {look.pdscans_per_s:,.0f} scans, {look.pdfreed_per_s:,.0f} freed. "
        f"{look.redistributions_per_s:,.1f} redistributions. uvmexp.free is off by {look.lag}."
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("CPU", "cached", "alloc/s", "free/s", "local %", "filled/s", "drained/s"):
        table.add_column(heading, justify="right")
    for index, cpu in enumerate(look.cpus):
        table.add_row(
            str(index),
            f"{cpu.cached:,}",
            f"{cpu.allocs_per_s:,.0f}",
            f"{cpu.frees_per_s:,.0f}",
            f"{cpu.hit_percent:.1f}",
            f"{cpu.filled_per_s:,.0f}",
            f"{cpu.drained_per_s:,.0f}",
        )
    return Group(head, rates, table)
