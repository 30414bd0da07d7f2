"""The counter file: a running system's counters where another process can read them, as one reads a kernel's.

    page 0            the header: JSON, then zeros
    page 1 and on     64-bit words, little-endian: the state, uvmexp's counters, SYSTEM_WORDS, CPU_WORDS of each CPU,
                      and a checksum of all these

=> The observer writes the words, up to 250 times a second, with one call. Nobody maps the file: who truncates it can
   kill neither the run nor a reader.
=> A reader takes no lock and asks nothing of the run. It reads until the checksum is right, so that its words belong
   together.
=> A new run puts a new file in the place of the old one. The file stays when the run has ended, and says so. It is
   locked by flock(2) as long as its writer will go on writing, so that two do not take turns in one place.
"""

import fcntl
import json
import os
import stat
import struct
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import ArgumentError, CounterFileError
from uvmfree.outfile import Outfile
from uvmfree.param import Param
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import COUNTERS

FORMAT: Final = "uvmfree.counters"
VERSION: Final = 2

SYSTEM_WORDS: Final = ("clock_ns", "waiters", "pdwoke", "pdscans", "pdfreed", "pdpageouts", "redistributions", "lag")
CPU_WORDS: Final = ("cached", "allocs", "frees", "cpuhit", "filled", "drained", "zeroed", "atomics")

_BEGINS: Final = f'{{"format": "{FORMAT}"'.encode()
RUNNING, ENDED = 0, 1
_PAGE: Final = 4096
_NCPUS_MAX: Final = 4096
_READS_MAX: Final = 1000
"""Reads that may fall into a write, one after the other; a write takes microseconds, and comes every 4 ms or less."""


class CounterFile:
    """The counter file of a command, from one run to the next.

    => Belongs to one thread at a time: to a run's observer, and when that has ended to whoever began the run. A run
       whose threads hang is neither ended nor closed.
    => `problem`: why the counters are no longer written, in a line; None while they are. A run goes on without.
    """

    def __init__(self, path: str) -> None:
        self.problem: str | None = None
        self._path = path
        self._fd: int | None = None  # the file of the last run, locked
        self._words: list[int] = []

    def begin(self, param: Param) -> None:
        """Put the file of a new run in place.

        => ArgumentError if the first one cannot be, or another process writes there.
        """
        first = self._fd is None and self.problem is None
        self._words = [RUNNING] + [0] * (len(COUNTERS) + len(SYSTEM_WORDS) + param.ncpus * len(CPU_WORDS))
        header = {
            "format": FORMAT,
            "version": VERSION,
            "pid": os.getpid(),
            "run": time.time_ns(),
            "design": param.design,
            "ncpus": param.ncpus,
            "param": asdict(param),
        }
        try:
            self._replace(json.dumps(header).encode().ljust(_PAGE, b"\0") + _packed(self._words))
        except ArgumentError as error:
            self.close()
            if first:
                raise
            self.problem = str(error)

    def publish(self, uvm: Uvm, cached: tuple[int, ...], lag: int) -> None:
        """Write what the CPUs and the daemon count; the caches and the lag were read a moment ago."""
        daemon = uvm.uvmexp.daemon_stats()
        redistributions = sum(times for cause, times in uvm.redistributions().items() if cause != "rate-limited")
        words = [RUNNING, *(getattr(uvm.uvmexp, name) for name in COUNTERS)]
        words += [uvm.machine.clock_ns(), daemon.waiters, daemon.pdwoke, daemon.pdscans, daemon.pdfreed]
        words += [daemon.pdpageouts, redistributions, lag]
        for pages, stats in zip(cached, uvm.cpu_stats(), strict=True):
            words += [pages, stats.allocs, stats.frees, stats.cpuhit]
            words += [stats.filled, stats.drained, stats.zeroed, stats.atomics]
        self._words = words
        self._store()

    def end(self) -> None:
        """Say that the run has ended; idempotent."""
        if self._words and self._words[0] != ENDED:
            self._words[0] = ENDED
            self._store()

    def close(self) -> None:
        """End the run and let go of the file; idempotent."""
        self.end()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _store(self) -> None:
        if self._fd is None or self.problem is not None:
            return
        try:
            os.pwrite(self._fd, _packed(self._words), _PAGE)
        except OSError as error:
            self.problem = f"--counters {self._path}: {error.strerror}"

    def _replace(self, image: bytes) -> None:
        """Put a new file in place of one that is ours, or that nobody writes to; keep it open, and locked."""
        place = Outfile.find("--counters", self._path)
        place.check()
        if not place.replaceable:
            raise ArgumentError(f"--counters {self._path}: must be a file that can be replaced")
        held = None if self._fd is not None and _is_at(self._fd, place.path) else self._claim(place)
        try:
            with place.beside() as (fd, path):
                fcntl.flock(fd, fcntl.LOCK_EX)
                with open(fd, "wb", closefd=False) as file:
                    file.write(image)
                if place.there is not None:
                    place.put(path)
                elif not _linked(path, place.path):
                    raise self._busy()
                mine = os.dup(fd)  # the lock is that of both
        finally:
            if held is not None:
                os.close(held)
        if self._fd is not None:
            os.close(self._fd)
        self._fd = mine

    def _claim(self, place: Outfile) -> int | None:
        """Lock what is there, so that nobody else replaces it; return its descriptor, None if nothing is there."""
        if place.there is None:
            return None
        try:
            fd = os.open(place.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ArgumentError(f"--counters {self._path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, place.path):
                return fd
        except BlockingIOError:
            pass
        except OSError as error:
            os.close(fd)
            raise ArgumentError(f"--counters {self._path}: {error.strerror}") from None
        os.close(fd)
        raise self._busy()

    def _busy(self) -> ArgumentError:
        return ArgumentError(f"--counters {self._path}: another run keeps its counters there; name another file")


def _packed(words: list[int]) -> bytes:
    """Return words as the file has them, with their checksum."""
    packed = struct.pack(f"<{len(words)}q", *words)
    return packed + struct.pack("<q", zlib.crc32(packed))


def _is_at(fd: int, path: str) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _linked(path: str, place: str) -> bool:
    """Put a file in a place where nothing is; return False if something has come there."""
    try:
        os.link(path, place)
    except FileExistsError:
        return False
    except OSError:  # a file system without links, where two that begin in one moment are not told
        os.rename(path, place)
    return True


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of a run at one moment.

    => `run`: a number that another run has another of. `counts`: uvmexp's words. `system`: SYSTEM_WORDS by name.
       `cpus`: CPU_WORDS by name, for each CPU.
    """

    run: int
    pid: int
    design: str
    npages: int
    counts: dict[str, int]
    system: dict[str, int]
    cpus: tuple[dict[str, int], ...]
    ended: bool

    @property
    def cached(self) -> int:
        """Pages in all caches."""
        return sum(cpu["cached"] for cpu in self.cpus)

    def alive(self) -> bool:
        """Whether the process that the run belongs to is there, and not merely unburied."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return state not in "ZX"


class CounterReader:
    """Reads the counter file at a path, of whichever run it is at the time."""

    def __init__(self, path: str) -> None:
        """Read the file once; CounterFileError if there is none, or it is something else."""
        self._path = path
        self._seen = False
        self.read()

    def read(self) -> Reading:
        """Read the counters; CounterFileError if the file has vanished, was cut off, or is something else."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            gone = "the counter page has vanished" if self._seen else "there is no such file"
            raise CounterFileError(f"{self._path}: {gone}; a run makes it with --counters {self._path}") from None
        except OSError as error:
            raise CounterFileError(f"{self._path}: {error.strerror}") from None
        try:
            header = self._header(fd)
            words = self._words(fd, len(COUNTERS) + len(SYSTEM_WORDS) + header["ncpus"] * len(CPU_WORDS) + 1)
        except OSError as error:
            raise CounterFileError(f"{self._path}: {error.strerror}") from None
        finally:
            os.close(fd)
        self._seen = True
        rest = iter(words)
        return Reading(
            ended=next(rest) == ENDED,
            run=header["run"],
            pid=header["pid"],
            design=header["design"],
            npages=header["param"]["npages"],
            counts={name: next(rest) for name in COUNTERS},
            system={name: next(rest) for name in SYSTEM_WORDS},
            cpus=tuple({name: next(rest) for name in CPU_WORDS} for _ in range(header["ncpus"])),
        )

    def _words(self, fd: int, count: int) -> list[int]:
        """Read words that belong together."""
        size = (count + 1) * 8
        for _ in range(_READS_MAX):
            packed = os.pread(fd, size, _PAGE)
            if len(packed) < size:
                raise self._cut_off()
            *words, checksum = struct.unpack(f"<{count + 1}q", packed)
            if zlib.crc32(packed[:-8]) == checksum:
                return words
        raise CounterFileError(f"{self._path}: is a counter page that is damaged")

    def _header(self, fd: int) -> dict[str, Any]:
        """Read the first page; CounterFileError if it is none of ours."""
        page = os.pread(fd, _PAGE, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        try:
            header = json.loads(page.rstrip(b"\0"))
        except (ValueError, RecursionError):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            # Where a page was cut off, and words were written behind it, there are zeros.
            if self._seen or (len(page) == _PAGE and not any(page)) or page.startswith(_BEGINS):
                raise self._cut_off()
            raise CounterFileError(f"{self._path}: is no counter page of uvmfree")
        if header.get("version") != VERSION:
            raise CounterFileError(
                f"{self._path}: is a counter page of version {header.get('version')}; this reads {VERSION}"
            )
        param = header.get("param")
        if (
            any(type(header.get(name)) is not int for name in ("ncpus", "pid", "run"))
            or not 1 <= header["ncpus"] <= _NCPUS_MAX
            or not isinstance(header.get("design"), str)
            or not isinstance(param, dict)
            or type(param.get("npages")) is not int
        ):
            raise CounterFileError(f"{self._path}: is a counter page that is damaged")
        return header

    def _cut_off(self) -> CounterFileError:
        return CounterFileError(f"{self._path}: the counter page was truncated")
