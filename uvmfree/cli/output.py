"""Documents that a command writes: whole or not at all, and refused before the work rather than after it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from uvmfree.errors import ArgumentError


def check_writable(option: str, file: str | None) -> None:
    """Refuse a place that cannot be written to before the work is done, not after; '-' is stdout, None nothing."""
    if file is None or file == "-":
        return
    path = Path(file)
    if path.is_dir():
        raise ArgumentError(f"{option} {file}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ArgumentError(f"{option} {file}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ArgumentError(f"{option} {file}: may not be written to")


def write_json(option: str, file: str, document: dict[str, Any]) -> None:
    """Write a document to a file, or with '-' to stdout."""
    text = json.dumps(document, indent=1) + "\n"
    if file == "-":
        click.echo(text, nl=False)
    else:
        write_whole(option, file, text.encode())


def write_whole(option: str, file: str, content: bytes) -> None:
    """Write a file whole or not at all: beside its place, then renamed.

    => ArgumentError names the option and what the system said; nothing is left behind then.
    """
    beside = Path(f"{file}.{os.getpid()}.new")
    try:
        beside.write_bytes(content)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ArgumentError(f"{option} {file}: {error.strerror}") from None
