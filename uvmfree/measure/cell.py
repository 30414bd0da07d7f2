"""A cell of a sweep: all that is needed to measure one point of a grid, in plain values, and the measuring.

=> Any process on any machine can measure it. One at a time is measured on a machine: it takes a lock file there. Two
   that ran at once would measure each other.
"""

import fcntl
import json
import os
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import ArgumentError, HangError
from uvmfree.measure.bench import measure, new_record
from uvmfree.measure.decode import decode
from uvmfree.measure.settings import parse_settings
from uvmfree.measure.workloads import Workload, by_name, check_fits
from uvmfree.param import Param
from uvmfree.workload.plural import plural
from uvmfree.workload.trace import read_trace

TURN_S: Final = 3600.0
"""How long a cell waits for its machine; longer than any cell takes."""

TERMINAL: Final = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all processes that it has begun: for the first of them to hear, and to end the others."""

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2) of Linux."""

_POLL_S: Final = 0.05
_GIVEN: Final = {"ncpus": "--cpus", "design": "--design", "lockstat": "every cell runs with lockstat and without"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid.

    => `settings`: tunables as NAME=VALUE, in the order of the grid. `trace`, `seconds`: of the workload, where it has
       them. `unpacked_max_bytes`: to which a packed trace may unpack.
    """

    workload: str
    ncpus: int | None
    design: str
    settings: tuple[str, ...]
    repetitions: int
    trace: str | None = None
    seconds: float | None = None
    unpacked_max_bytes: int | None = None

    def ready(self, designs: Sequence[str] = ()) -> tuple[Workload, Param]:
        """Make the workload and the tunables; ArgumentError, ParamError or TraceError if they make no sense.

        => `designs`: others whose tunables it may have.
        """
        read = partial(read_trace, unpacked_max_bytes=self.unpacked_max_bytes)
        workload = by_name(
            self.workload, self.trace, ncpus=self.ncpus, seconds=self.seconds, read=read, by_task=False
        )
        tunables = parse_settings(self.settings, given=_GIVEN, designs=(*designs, self.design))
        tunables.setdefault("npages", workload.npages or Param().npages)
        param = Param(**tunables, ncpus=workload.ncpus, design=self.design)
        check_fits(workload, param.npages, param.pagesize)
        return workload, param

    def __str__(self) -> str:
        """Return it in a few words."""
        cpus = "" if self.ncpus is None else f", {plural(self.ncpus, 'CPU')}"
        return f"{self.workload}{cpus}, {self.design}" + "".join(f", {setting}" for setting in self.settings)


class Worker:
    """What a process that measures cells was told when it began; for this process alone.

    => `stop()`: whether the cell under way is to be given up.
    """

    stop: Callable[[], bool] = staticmethod(lambda: False)

    @classmethod
    def begin(cls, stop: Any, parent: int) -> None:
        """Look at a byte of the process that began this one, leave Ctrl-C to that one, and end when it ends."""
        for number in TERMINAL:
            signal.signal(number, signal.SIG_IGN)
        _end_with(parent)
        cls.stop = staticmethod(lambda: stop.value != 0)


def _end_with(parent: int) -> None:
    """Have the system end this process with its parent, which may be killed: nobody would be left to stop it."""
    import ctypes  # for this call only

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)


def measure_cell(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Measure a cell, given as plain values, when it is its turn on this machine; return the record's document."""
    cell = decode(Cell, {**plain, "settings": list(plain["settings"])}, "cell")
    workload, param = cell.ready()
    record = new_record(workload, param, (cell.design,), ("uvmfree", "sweep", str(cell)))
    with _turn():
        for _ in measure(record, workload, cell.repetitions, lambda what: None, Worker.stop):
            pass
    document: dict[str, Any] = json.loads(json.dumps(record.document()))  # what a file would have
    return document


@contextmanager
def _turn() -> Iterator[None]:
    """Hold this machine's lock file; ArgumentError if it is not ours, HangError if it is held for over TURN_S."""
    path = Path(tempfile.gettempdir()) / f"uvmfree-sweep-{os.getuid()}.lock"
    try:
        # Where everybody may make files somebody may have made this one: a link elsewhere, or something to wait for.
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ArgumentError(_not_ours(path, error.strerror)) from None
    try:
        there = os.fstat(file)
        if not stat.S_ISREG(there.st_mode) or there.st_uid != os.getuid():
            raise ArgumentError(_not_ours(path, "it is no file of this user"))
        until_s = time.monotonic() + TURN_S
        while not _locked(file) and not Worker.stop():
            if time.monotonic() > until_s:
                raise HangError(f"this machine was measuring something else for {TURN_S:.0f} s")
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(file)


def _not_ours(path: Path, why: str | None) -> str:
    return f"{path}: cannot be locked, so that one cell at a time is measured: {why}; remove it, or set TMPDIR"


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
