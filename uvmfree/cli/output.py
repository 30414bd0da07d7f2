"""Documents that a command writes: whole or not at all, and refused before the work rather than after it.

What becomes of what is there already, of links and devices: outfile.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import sys
from collections.abc import Sequence
from typing import Any

import click

from uvmfree.cli.running import signals_raise, signals_wait
from uvmfree.errors import ArgumentError
from uvmfree.measure.printable import printable
from uvmfree.outfile import Outfile


def check_writable(
    *outputs: tuple[str, str | None], regular: bool = False, read: Sequence[tuple[str, str]] = ()
) -> None:
    """Refuse places that cannot be written to before the work is done, not after: ArgumentError.

    => `outputs`: options and their files; '-' is stdout, None nothing. No two may be the same file, nor may stdout
       be led into a file that will be replaced.
    => `regular`: only a file will do, since it is read back, or replaced as the work goes on.
    => `read`: what is read, each with what it is; none of it may be written to.
    => Nor may a file in which another run keeps its counters, which it has locked (measure/counterfile.py).
    """
    places: dict[tuple[object, ...], str] = {}
    sources = {Outfile.find(what, file).identity: what for what, file in read if file != "-"}
    for option, file in outputs:
        if file is None:
            continue
        place = Outfile.find(option, file)
        place.check()
        if regular and not place.replaceable:
            raise ArgumentError(f"{option} {file}: must be a file that can be replaced")
        if place.descriptor is None and place.there is not None and stat.S_ISCHR(place.there.st_mode):
            continue  # a terminal and /dev/null take what any number of writers give
        if place.identity in sources:
            raise ArgumentError(f"{option} {file}: is {sources[place.identity]}, which would be overwritten")
        if place.identity in places:
            raise ArgumentError(f"{option} {file}: is where {places[place.identity]} writes to")
        if place.descriptor is None and place.identity == _stdout():
            raise ArgumentError(f"{option} {file}: is where stdout goes to")
        if place.replaceable and _locked(place.path):
            raise ArgumentError(f"{option} {file}: another run keeps its counters there; name another file")
        places[place.identity] = option


def typed() -> tuple[str, ...]:
    """Return the command as it was typed, as a record can have it: bytes that are no text are written out."""
    return ("uvmfree", *map(printable, sys.argv[1:]))


def check_each_once(records: Sequence[str]) -> None:
    """Refuse a record that is given again, by whatever name: its repetitions would count twice. ArgumentError."""
    places = [file if file == "-" else os.path.realpath(file) for file in records]
    for file, place in zip(records, places, strict=True):
        if places.count(place) > 1:
            raise ArgumentError(f"{file}: is given {places.count(place)} times; each record counts once")


def goes_to_stdout(option: str, file: str | None) -> bool:
    """Whether a file is what stdout goes to: '-', or another name of it."""
    return file is not None and (file == "-" or Outfile.find(option, file).identity == _stdout())


def write_json(option: str, file: str, document: dict[str, Any]) -> None:
    """Write a document to a file, or with '-' to stdout."""
    text = json.dumps(document, indent=1) + "\n"
    if file == "-":
        with _signals(Outfile.find(option, file)):
            click.echo(text, nl=False)
    else:
        write_whole(option, file, text.encode())


def write_whole(option: str, file: str, content: bytes) -> None:
    """Write a file whole or not at all; ArgumentError.

    => A signal that comes meanwhile is heard afterwards; at once if this may wait for a reader, who may never come.
    """
    place = Outfile.find(option, file)
    with _signals(place):
        place.write(content)


def _signals(place: Outfile) -> contextlib.AbstractContextManager[None]:
    return signals_raise() if place.waits else signals_wait()


def _locked(path: str) -> bool:
    """Whether a process has locked a file, by flock(2)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _stdout() -> tuple[int, int]:
    there = os.fstat(1)
    return there.st_dev, there.st_ino
