"""A trace as lines of text: opened, unpacked, decoded, numbered; what the lines mean is trace.py's business.

A trace comes from a file or from stdin, plain, gzipped or xz. What it is packed with is told by its first bytes,
since a pipe has no name and a name may lie. It is read a block at a time: what stays in memory at once is one
block, however long the trace is. Everything that can be wrong with the file itself is said here, as one
TraceError of one line.

A task's name may be any bytes, so a trace need not be UTF-8: a byte that is none becomes the four characters `\\xNN`.
"""

import gzip
import io
import lzma
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import IO, cast

from uvmfree.errors import TraceError

STDIN = "-"
BLOCK_BYTES = 1 << 20  # 1 MiB: some 7,000 lines; larger blocks read no faster
LINE_MAX_CHARS = 16384  # a page event has under 300, a stack frame with a C++ name some thousands
SHOWN_CHARS = 100  # of a wrong line, in an error: enough to find it by, and still one line of a terminal

UNPACKED_FREE_BYTES = 16 << 20
"""What any packed trace may unpack to: less is read in seconds, whatever it is."""

UNPACKED_PER_PACKED = 256
"""How many times its size a packed trace may unpack to beyond that. Recorded ones have 45; line ends alone, 6,500."""

_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_PERF_DATA_MAGIC = (b"PERFILE2", b"2ELIFREP")  # either byte order
_MAGIC_BYTES = 8


class TraceFile:
    """One trace, open for reading once, from front to back.

    => `label` names it in errors: the path as given, or "stdin".
    => `name` is its base name. `lines`: how many were read.
    => A `with` closes what was opened here; stdin stays open.
    """

    __slots__ = ("_owned", "_raw", "_tick", "_unpacked_max_bytes", "label", "lines", "name")

    def __init__(
        self,
        source: str | os.PathLike[str],
        unpacked_max_bytes: int | None = None,
        tick: Callable[[int], None] | None = None,
    ) -> None:
        """Open the trace.

        => source is a path, or "-" for stdin.
        => unpacked_max_bytes: what it may unpack to, where it is packed; else UNPACKED_FREE_BYTES, or
           UNPACKED_PER_PACKED times its size if that is more.
        => tick is called with the number of bytes of text that were read, a block at a time.
        => TraceError if it cannot be opened for reading.
        """
        path = os.fspath(source)
        self.lines = 0
        self._unpacked_max_bytes = unpacked_max_bytes
        self._tick = tick
        self._owned: list[IO[bytes]] = []
        if path == STDIN:
            self.label = self.name = "stdin"
            if sys.stdin is None:
                raise TraceError("stdin: closed")
            self._raw = cast(io.BufferedReader, sys.stdin.buffer)
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

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the trace's lines, without their ends, a block at a time, each with the number of its first line.

        => No line is split or joined. None is left out but for blocks of nothing but line ends.
        => TraceError for a file that is empty, truncated, damaged, binary, too large, or whose lines have no end.
        """
        rest = b""
        for data in self._bytes():
            if not rest and data.startswith(b"\n\n") and not data.strip(b"\n"):
                self.lines += len(data)  # a thousand times as fast as line by line: some files are nothing else
                continue
            rest += data
            end = rest.rfind(b"\n") + 1
            if end:
                yield self._numbered(rest[: end - 1])
                rest = rest[end:]
            if len(rest) > 4 * LINE_MAX_CHARS:  # UTF-8 has at most 4 bytes a character
                self._lines(rest, self.lines + 1)
        if rest:
            yield self._numbered(rest)

    def _numbered(self, data: bytes) -> tuple[int, list[str]]:
        first_number = self.lines + 1
        lines = self._lines(data, first_number)
        self.lines += len(lines)
        return first_number, lines

    def error(self, line_number: int, what: str, line: str) -> TraceError:
        """Return the error for one line of this trace: file, line number, what is wrong, and the line."""
        line = line.strip(" ")
        if len(line) > SHOWN_CHARS:
            line = line[:SHOWN_CHARS] + "..."
        return TraceError(f"{self.label}: line {line_number}: {what}: {line!r}")

    def _bytes(self) -> Iterator[bytes]:
        """Yield the unpacked bytes.

        => TraceError for what is empty, truncated, damaged, too large, or perf's own binary file.
        """
        try:
            stream, packed = self._unpacked()
            size = 0
            while data := stream.read(BLOCK_BYTES):
                if not size and data.startswith(_PERF_DATA_MAGIC):
                    hint = f"perf script -i {self.label}" if self._owned else "perf script"
                    raise TraceError(f"{self.label}: this is perf.data; run {hint}")
                size += len(data)
                if packed is not None:
                    self._check_size(size, packed.taken_bytes)
                if self._tick is not None:
                    self._tick(size)
                yield data
        except EOFError as error:
            raise TraceError(f"{self.label}: truncated: the compressed data ends too early") from error
        except (gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
            raise TraceError(f"{self.label}: damaged: {_reason(error)}") from error
        except OSError as error:
            raise TraceError(f"{self.label}: {_reason(error)}") from error
        if not size:
            raise TraceError(f"{self.label}: empty")

    def _unpacked(self) -> tuple[IO[bytes], "_Joined | None"]:
        """Return the stream of the trace's text, and what it is unpacked from, if it is packed."""
        head = self._raw.read(_MAGIC_BYTES)
        packed = _Joined(head, self._raw)
        joined = cast(IO[bytes], io.BufferedReader(packed, BLOCK_BYTES))
        if head.startswith(_GZIP_MAGIC):
            return cast(IO[bytes], gzip.GzipFile(fileobj=joined, mode="rb")), packed
        if head.startswith(_XZ_MAGIC):
            return lzma.LZMAFile(joined), packed
        return joined, None

    def _check_size(self, size: int, packed_bytes: int) -> None:
        """Refuse what unpacks to more than it may."""
        size_max = self._unpacked_max_bytes or max(UNPACKED_FREE_BYTES, UNPACKED_PER_PACKED * packed_bytes)
        if size > size_max:
            raise TraceError(
                f"{self.label}: unpacks to over {size_max >> 20:,} MiB, from {packed_bytes:,} bytes; if it is a "
                "trace, --unpacked-mib N lets it"
            )

    def _lines(self, data: bytes, line_number: int) -> list[str]:
        """Decode and split whole lines, of which the first has this number.

        => TraceError, with the line's number, where one has a NUL, or is no line of a trace by length.
        """
        text = data.decode(errors="backslashreplace")
        wrong_at = data.find(b"\0")
        if wrong_at >= 0:
            line_number += data.count(b"\n", 0, wrong_at)
            start = data.rfind(b"\n", 0, wrong_at) + 1
            around = data[start : start + 4 * SHOWN_CHARS].partition(b"\n")[0]
            raise self.error(line_number, "binary (a NUL byte)", around.decode(errors="backslashreplace"))
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
    => `taken_bytes`: how much of it was read.
    """

    def __init__(self, head: bytes, tail: io.BufferedReader) -> None:
        super().__init__()
        self.taken_bytes = 0
        self._head = head
        self._tail = tail

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the head, then from the stream; 0 at the end."""
        # One read at a time: between two of them Python hears a Ctrl-C, inside of a longer one it would not.
        data = self._head[: len(buffer)] or self._tail.read1(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        self.taken_bytes += len(data)
        return len(data)


def _one_line(path: str) -> str:
    return path if path.isprintable() else repr(path)


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__
