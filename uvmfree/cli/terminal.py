"""Where a command's text goes: how wide it may be, and paragraphs and labelled lines that keep to that."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable

import click

PIPE_WIDTH = 80
"""Columns of text that goes to a pipe or a file, and of a terminal that does not tell."""


def width() -> int:
    """Return how wide text on stdout may be."""
    if not sys.stdout.isatty():
        return PIPE_WIDTH
    return shutil.get_terminal_size((PIPE_WIDTH, 24)).columns


def say(text: str) -> None:
    """Print a paragraph."""
    from uvmfree.report.text import paragraph

    for line in paragraph(text, width()):
        click.echo(line)


def say_labelled(pairs: Iterable[tuple[str, str]]) -> None:
    """Print texts behind their labels, aligned."""
    from uvmfree.report.text import paragraph

    found = list(pairs)
    left = max(len(label) for label, _ in found) + 2
    for label, text in found:
        for line in paragraph(f"{label + ':':<{left}}{text}", width(), " " * left):
            click.echo(line)
