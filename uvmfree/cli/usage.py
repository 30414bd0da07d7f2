"""What click finds wrong with a command line, in one line: what is wrong first, then what would be right."""

from __future__ import annotations

import difflib
from typing import Final

import click

from uvmfree.measure.printable import printable

_BEGINNING: Final = 3
"""Letters that a short form has in common with its option: --reps and --repetitions."""

_ALIKE: Final = 0.7
"""The part of the letters that a slip leaves alone: 0.83 in --desing, but 0.5 of --reps in --cpus."""


def say_wrong(error: click.ClickException) -> None:
    """Say on stderr what is wrong; where nothing was asked for, what there is.

    => What a value must be is said by its type (values.py).
    """
    if "\n" in error.format_message():  # the help that click shows who gave no command
        error.show()
    else:
        click.echo(f"uvmfree: {printable(_one_line(error))}", err=True)


def _one_line(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".")
    if isinstance(error, click.MissingParameter) and error.param is not None:
        text = _missing(error.param)
    elif isinstance(error, click.NoSuchOption):
        close = [each for each in sorted(error.possibilities or ()) if _is_close(error.option_name, each)]
        meant = f"; do you mean {' or '.join(close)}?" if close else ""
        text = f"{error.option_name}: there is no such option{meant}"
    elif isinstance(error, click.BadOptionUsage):
        takes = "takes no value" if "not take" in text else "needs a value"
        text = f"{error.option_name}: {takes}"
    else:
        text = f"{text[:1].lower()}{text[1:]}"
    context = error.ctx if isinstance(error, click.UsageError) else None
    return text if context is None else f"{text} (`{context.command_path} --help`)"


def _is_close(typed: str, name: str) -> bool:
    """Whether somebody may have meant an option: it begins in the same way, or has most of the letters in order."""
    typed, name = typed.strip("-"), name.strip("-")
    return typed[:_BEGINNING] == name[:_BEGINNING] or difflib.SequenceMatcher(None, typed, name).ratio() >= _ALIKE


def _missing(param: click.Parameter) -> str:
    if isinstance(param, click.Option):
        option = f"{param.opts[0]} {param.human_readable_name if param.metavar is None else param.metavar}"
        said = (param.help or "").rstrip(".")
        return f"{option}: has to be given: {said[:1].lower()}{said[1:]}"
    return f"{param.human_readable_name.removesuffix('...')}: has to be given"
