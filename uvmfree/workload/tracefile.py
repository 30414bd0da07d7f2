"""A trace as lines of text: opened, unpacked, decoded, numbered; what the lines mean is trace.py's business.

A trace comes from a file or from stdin, plain, gzipped or xz. What it is packed with is told by its first bytes,
since a pipe has no name and a name may lie. It is read a block at a time: what stays in memory at once is one
block, however long the trace is. Everything that can be wrong with the file itself is said here, as one
TraceError of one line.
"""

import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Iterator
from typing import IO, cast

from uvmfree.errors import TraceError

STDIN = "-"
BLOCK_BYTES = 1 << 20  # 1 MiB: some 7,000 lines; larger blocks read no faster
LINE_MAX_CHARS = 16384  # a page event has under 300, a stack frame with a C++ name some thousands
SHOWN_CHARS = 100  # of a wrong line, in an error: enough to find it by, and still one line of a terminal

_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_PERF_DATA_MAGIC = (b"PERFILE2", b"2ELIFREP")  # either byte order
_MAGIC_BYTES = 8


class TraceFile:
    """One trace, open for reading once, from front to back.

    => `label` names it in errors: the path as given, or "stdin".
    => `name` is its base name.
    => A `with` closes what was opened here; stdin stays open.
    """

    __slots__ = ("_owned", "_raw", "label", "name")

    def __init__(self, source: str | os.PathLike[str]) -> None:
        """Open the trace.

        => source is a path, or "-" for stdin.
        => TraceError if it cannot be opened for reading.
        """
        path = os.fspath(source)
        self._owned: list[IO[bytes]] = []
        if path == STDIN:
            self.label = self.name = "stdin"
            if sys.stdin is None:
                raise TraceError("stdin: closed")
            self._raw: IO[bytes] = sys.stdin.buffer
        else:
            self.label = _one_line(path)
            self.name = os.path.basename(path)
            try:
                self._raw = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
            except (OSError, ValueError) as error:  # ValueError: a NUL in the path
                raise TraceError(f"{self.label}: {_reason(error)}") from error
            self._owned.append(self._raw)

    def __enter__(self) -> "TraceFile":
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self._owned:
            self._owned.pop().close()

    def blocks(self) -> Iterator[list[str]]:
        """Yield the trace's lines, without their ends, a block at a time.

        => No line is split, joined or left out, so counting the lines gives their numbers.
        => TraceError for a file that is empty, truncated, damaged, binary, not UTF-8, or whose lines have no end.
        """
        line_number = 1
        rest = b""
        for data in self._bytes():
            rest += data
            end = rest.rfind(b"\n") + 1
            if end:
                lines = self._lines(rest[: end - 1], line_number)
                yield lines
                line_number += len(lines)
                rest = rest[end:]
            if len(rest) > 4 * LINE_MAX_CHARS:  # UTF-8 has at most 4 bytes a character
                self._lines(rest, line_number)
        if rest:
            yield self._lines(rest, line_number)

    def error(self, line_number: int, what: str, line: str) -> TraceError:
        """Return the error for one line of this trace: file, line number, what is wrong, and the line."""
        line = line.strip(" ")
        if len(line) > SHOWN_CHARS:
            line = line[:SHOWN_CHARS] + "..."
        return TraceError(f"{self.label}: line {line_number}: {what}: {line!r}")

    def _bytes(self) -> Iterator[bytes]:
        """Yield the unpacked bytes.

        => TraceError for what is empty, truncated, damaged, or perf's own binary file.
        """
        try:
            stream, size = self._unpacked(), 0
            while data := stream.read(BLOCK_BYTES):
                if not size and data.startswith(_PERF_DATA_MAGIC):
                    hint = f"perf script -i {self.label}" if self._owned else "perf script"
                    raise TraceError(f"{self.label}: this is perf.data; run {hint}")
                size += len(data)
                yield data
        except EOFError as error:
            raise TraceError(f"{self.label}: truncated: the compressed data ends too early") from error
        except (gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            raise TraceError(f"{self.label}: damaged: {_reason(error)}") from error
        except OSError as error:
            raise TraceError(f"{self.label}: {_reason(error)}") from error
        if not size:
            raise TraceError(f"{self.label}: empty")

    def _unpacked(self) -> IO[bytes]:
        head = self._raw.read(_MAGIC_BYTES)
        joined = cast(IO[bytes], io.BufferedReader(_Joined(head, self._raw), BLOCK_BYTES))
        if head.startswith(_GZIP_MAGIC):
            return cast(IO[bytes], gzip.GzipFile(fileobj=joined, mode="rb"))
        if head.startswith(_XZ_MAGIC):
            return lzma.LZMAFile(joined)
        return joined

    def _lines(self, data: bytes, line_number: int) -> list[str]:
        """Decode and split whole lines, of which the first has this number.

        => TraceError, with the line's number, where one is not UTF-8, has a NUL, or is no line of a trace by length.
        """
        wrong_at = data.find(b"\0")
        what = "binary (a NUL byte)"
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            if wrong_at < 0 or error.start < wrong_at:
                wrong_at, what = error.start, "not UTF-8"
        if wrong_at >= 0:
            line_number += data.count(b"\n", 0, wrong_at)
            start = data.rfind(b"\n", 0, wrong_at) + 1
            around = data[start : start + 4 * SHOWN_CHARS].partition(b"\n")[0]
            raise self.error(line_number, what, around.decode(errors="backslashreplace"))
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.split("\n")
        if max(map(len, lines)) > LINE_MAX_CHARS:
            for number, line in enumerate(lines, line_number):
                if len(line) > LINE_MAX_CHARS:
                    raise self.error(number, f"longer than {LINE_MAX_CHARS} characters", line)
        return lines


class _Joined(io.RawIOBase):
    """A stream whose first bytes were already taken to look at them, put together again.

    => Closing it leaves the stream open: whoever opened that closes it.
    """

    def __init__(self, head: bytes, tail: IO[bytes]) -> None:
        super().__init__()
        self._head = head
        self._tail = tail

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the head, then from the stream; 0 at the end."""
        data = self._head[: len(buffer)] or self._tail.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _one_line(path: str) -> str:
    return path if path.isprintable() else repr(path)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__
