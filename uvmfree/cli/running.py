"""What a command does while it works: hears what asks it to end where that is safe, and shows how far it is.

=> Ctrl-C, SIGTERM and SIGHUP ask for the same; the exit code tells them apart (status.py). A SIGHUP or SIGTERM that
   was ignored when the process began, as nohup has it, stays ignored.
=> Signals are heard on the main thread, and these functions are called there.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, NoReturn

from uvmfree.cli.status import SIGNALLED

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end."""


class Interrupted(KeyboardInterrupt):
    """One of ENDING came. => `status`: the exit code that says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = SIGNALLED + number


class Asked:
    """Whether one of ENDING has asked the command to end: `asked()`."""

    def __init__(self) -> None:
        self.number = 0  # written once, by the handler; whoever reads a stale 0 goes on for a moment more

    def __call__(self) -> bool:
        """Return the answer of this moment."""
        return self.number != 0

    @property
    def status(self) -> int:
        """The exit code that says which signal it was."""
        return SIGNALLED + self.number


@contextlib.contextmanager
def first_signal_asks() -> Iterator[Asked]:
    """Turn the first of ENDING into a request that is honoured where it is safe; yield what tells whether it came.

    => An exception out of nowhere could strike while a system is half built or half closed. The second signal is an
       exception all the same: Interrupted.
    """
    asked = Asked()

    def note(number: int, frame: FrameType | None) -> None:
        if asked():
            raise Interrupted(number)
        asked.number = number

    with _handled_by(note):
        try:
            yield asked
        except KeyboardInterrupt as error:
            # Whoever was asked may say so by a plain KeyboardInterrupt; which signal it was is known here.
            if asked() and type(error) is KeyboardInterrupt:
                raise Interrupted(asked.number) from None
            raise


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn each of ENDING into an exception, Interrupted: for what has a terminal to put in order."""
    with _handled_by(_raise):
        yield


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Have the first of ENDING wait for the end of a `with` block: for what would leave half a file behind."""
    with first_signal_asks() as asked:
        yield
    if asked():
        signal.raise_signal(asked.number)


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have the signals of ENDING handled like that, but for ignored ones; Ctrl-C is never taken for ignored.

    => A shell without job control starts what it puts into the background with SIGINT ignored; `kill -INT` ends
       it all the same.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    taken = [number for number in ENDING if number == signal.SIGINT or before[number] is not signal.SIG_IGN]
    try:
        for number in taken:
            signal.signal(number, handler)
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)


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


@contextlib.contextmanager
def reading(file: str) -> Iterator[Callable[[int], None] | None]:
    """Show on stderr, if that is a terminal, how much of a trace was read; yield what tells it the bytes, or None."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from uvmfree.measure.printable import printable

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(True), TimeElapsedColumn())
    with signals_raise(), Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        job = shown.add_task(f"reading {escape(printable(file))}", total=None)
        yield lambda size: shown.update(job, completed=size)
