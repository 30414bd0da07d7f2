"""What a command does while it works: hears Ctrl-C where that is safe, and shows how far it is."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import click


@contextlib.contextmanager
def first_ctrl_c_asks() -> Iterator[Callable[[], bool]]:
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
def progress(total: int, *, time_left: bool = False) -> Iterator[tuple[Any, Any]]:
    """Show a progress bar on stderr, if that is a terminal; yield what names a step and what ends it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    clock = TimeRemainingColumn() if time_left else TimeElapsedColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), clock)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        job = bar.add_task("", total=total)
        yield (lambda what: bar.update(job, description=what), lambda: bar.advance(job))


def unpacked_option(command: Any) -> Any:
    """Add the option that says how large a packed trace may be."""
    return click.option(
        "--unpacked-mib",
        "unpacked_max_bytes",
        type=click.IntRange(1, 1 << 24),
        callback=lambda context, option, mib: mib and mib << 20,
        metavar="N",
        help="A packed trace may unpack to N MiB. Default: 16, or 256 times its size if that is more.",
    )(command)


@contextlib.contextmanager
def reading(file: str) -> Iterator[Callable[[int], None] | None]:
    """Show on stderr, if that is a terminal, how much of a trace was read; yield what tells it the bytes, or None."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(True), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        job = shown.add_task(f"reading {escape(file)}", total=None)
        yield lambda size: shown.update(job, completed=size)
