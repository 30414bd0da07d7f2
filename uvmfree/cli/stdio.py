"""The standard streams of a command: that stdout fails is an error of its own, that stderr does is nobody's.

=> A full disk, a closed descriptor and a reader that has gone are found out where something is written: OutputError,
   once. What is printed afterwards goes nowhere, so that the work goes on and nothing complains at the very end.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO

from uvmfree.errors import OutputError


def guard_streams() -> None:
    """Stand a guard before stdout and stderr, unless somebody has put other streams there.

    => A descriptor that was closed when the process began is taken by /dev/null, opened the wrong way: another file
       would get the number, and whatever is printed.
    """
    for fd, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number is this one
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    if sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(_Stdout(1, "w", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(_Stderr(2, "w", closefd=False), sys.stderr)


class _Stdout(io.FileIO):
    """Raises OutputError for the first write that fails, and swallows all after it."""

    _failed = False

    def write(self, data: Any, /) -> int:
        if self._failed:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            self._failed = True
            why = error.strerror or str(error)
            raise OutputError(why, reader_gone=isinstance(error, BrokenPipeError)) from None


class _Stderr(io.FileIO):
    """Swallows what cannot be written: the exit code still tells."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _guarded(raw: io.FileIO, stream: TextIO | None) -> TextIO:
    """Return a text stream like another one, which is None if it was closed when the process began."""
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace")
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=bool(getattr(stream, "line_buffering", False)),
    )
