"""The counter file: a running system's counters where another process can read them, as one reads a kernel's.

    page 0           the header: JSON, then zeros; its last two words say how the run is getting on
    page 1           the counter page itself (machine/words.py): the words that the CPUs update
    page 2 and on    words that the observer publishes: a line of the system, then one for each CPU

=> A reader maps the file, takes no lock, asks nothing of the run, and cannot slow it down. Words are whole, and may
   belong to slightly different moments.
=> What a CPU counts for itself has no word that it updates: a local hit touches nothing shared (P4). The observer
   copies it, up to 250 times a second.
=> A new run puts a new file in the place of the old one. The file stays when the run has ended, and says so.
"""

import json
import mmap
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import ArgumentError, CounterFileError
from uvmfree.machine.words import LINE
from uvmfree.param import Param
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import COUNTERS

FORMAT: Final = "uvmfree.counters"
VERSION: Final = 1

SYSTEM_WORDS: Final = ("clock_ns", "waiters", "pdwoke", "pdscans", "pdfreed", "pdpageouts", "redistributions", "lag")
CPU_WORDS: Final = ("cached", "allocs", "frees", "cpuhit", "filled", "drained", "zeroed", "atomics")
"""What is published, one cache line of eight words each."""

_STATE: Final = mmap.PAGESIZE // 8 - 1
"""The last word of the header: RUNNING or ENDED."""

RUNNING, ENDED = 0, 1
_COUNTS_AT: Final = mmap.PAGESIZE
_PUBLISHED_AT: Final = 2 * mmap.PAGESIZE


class CounterFile:
    """The file of one run; written by the observer's thread, except for the counter page."""

    def __init__(self, path: str, param: Param) -> None:
        """Put a new file in place; ArgumentError if it cannot be."""
        size = _PUBLISHED_AT + -(-(param.ncpus + 1) * LINE * 8 // mmap.PAGESIZE) * mmap.PAGESIZE
        header = {
            "format": FORMAT,
            "version": VERSION,
            "pid": os.getpid(),
            "design": param.design,
            "ncpus": param.ncpus,
            "param": asdict(param),
        }
        beside = Path(f"{path}.{os.getpid()}.new")
        try:
            self._file = beside.open("w+b")
            self._file.truncate(size)
            self._file.write(json.dumps(header).encode())
            self._file.flush()
            self._page = mmap.mmap(self._file.fileno(), size)
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise ArgumentError(f"--counters {path}: {error.strerror}") from None
        self._words = memoryview(self._page).cast("q")

    @property
    def place(self) -> tuple[int, int]:
        """Where the counter page stands: what ThreadsMachine takes as `counters`."""
        return self._file.fileno(), _COUNTS_AT

    def publish(self, uvm: Uvm, cached: tuple[int, ...], lag: int) -> None:
        """Copy what the CPUs and the daemon count for themselves; the caches and the lag were read a moment ago."""
        daemon, at = uvm.uvmexp.daemon_stats(), _PUBLISHED_AT // 8
        row = (
            uvm.machine.clock_ns(),
            daemon.waiters,
            daemon.pdwoke,
            daemon.pdscans,
            daemon.pdfreed,
            daemon.pdpageouts,
            sum(uvm.redistributions().values()),
            lag,
        )
        self._store(at, row)
        for cpu, stats in enumerate(uvm.cpu_stats()):
            row = (
                cached[cpu],
                stats.allocs,
                stats.frees,
                stats.cpuhit,
                stats.filled,
                stats.drained,
                stats.zeroed,
                stats.atomics,
            )
            self._store(at + (cpu + 1) * LINE, row)

    def close(self) -> None:
        """Say that the run has ended, and let go of the file; idempotent."""
        if not self._file.closed:
            self._words[_STATE] = ENDED
            self._words.release()
            self._page.close()
            self._file.close()

    def _store(self, at: int, row: tuple[int, ...]) -> None:
        for word, value in enumerate(row):
            self._words[at + word] = value


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
        """Open the file; CounterFileError if there is none, or it is something else."""
        self._path = path
        self._inode = -1
        self._header: dict[str, Any] = {}
        self._words = memoryview(b"")
        self.read()

    def read(self) -> Reading:
        """Read the counters; CounterFileError if the file has vanished, or is something else."""
        try:
            inode = os.stat(self._path).st_ino
            if inode != self._inode:
                self._open()
        except FileNotFoundError:
            gone = "there is no such file" if self._inode < 0 else "the counter page has vanished"
            raise CounterFileError(f"{self._path}: {gone}; a run makes it with --counters {self._path}") from None
        except OSError as error:
            raise CounterFileError(f"{self._path}: {error.strerror}") from None
        words, at = self._words, _PUBLISHED_AT // 8
        return Reading(
            run=self._inode,
            pid=self._header["pid"],
            design=self._header["design"],
            npages=self._header["param"]["npages"],
            counts={name: words[_COUNTS_AT // 8 + line * LINE] for line, name in enumerate(COUNTERS)},
            system=dict(zip(SYSTEM_WORDS, words[at : at + LINE], strict=True)),
            cpus=tuple(
                dict(zip(CPU_WORDS, words[at + line * LINE : at + (line + 1) * LINE], strict=True))
                for line in range(1, self._header["ncpus"] + 1)
            ),
            ended=words[_STATE] == ENDED,
        )

    def _open(self) -> None:
        with open(self._path, "rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            size = os.fstat(file.fileno()).st_size
            self._header = _header(file.read(mmap.PAGESIZE), size, self._path)
            self._words = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)).cast("q")
            self._inode = inode


def _header(page: bytes, size: int, path: str) -> dict[str, Any]:
    """Read the first page of a counter file; CounterFileError if it is none of ours."""
    try:
        header = json.loads(page[: _STATE * 8].rstrip(b"\0"))
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CounterFileError(f"{path}: is no counter page of uvmfree")
    if header.get("version") != VERSION:
        raise CounterFileError(f"{path}: is a counter page of version {header.get('version')}; this reads {VERSION}")
    ncpus, param = header.get("ncpus"), header.get("param")
    if (
        type(ncpus) is not int
        or size % 8
        or size < _PUBLISHED_AT + (ncpus + 1) * LINE * 8
        or not isinstance(header.get("design"), str)
        or type(header.get("pid")) is not int
        or not isinstance(param, dict)
        or type(param.get("npages")) is not int
    ):
        raise CounterFileError(f"{path}: is a counter page that is cut off or damaged")
    return header
