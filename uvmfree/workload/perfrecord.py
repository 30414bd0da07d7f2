"""Records page traffic with perf(1) while a command runs, and leaves it as a trace that trace.py reads.

    perf record -a -e kmem:mm_page_alloc -e kmem:mm_page_free ... -- COMMAND
    perf script

=> What is missing is found out first, by perf itself, on a command that does nothing: perf, the right to trace the
   whole machine, the events. The command is not run then. The two events that tell what Linux's own per-CPU lists did
   are recorded where the kernel has them.
=> The trace is written beside its place, read once, and put there: a file that is there can be read.
=> A recording is never lost once it is whole: where it cannot be made a trace of, perf's own data is left in the
   trace's folder, and the error tells its name.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from uvmfree.errors import ArgumentError, TraceError, UvmError
from uvmfree.outfile import NEW, Outfile
from uvmfree.workload.trace import Trace, read_trace

EVENTS: Final = ("kmem:mm_page_alloc", "kmem:mm_page_free")
"""Without these there is no trace."""

YARDSTICK: Final = ("kmem:mm_page_alloc_zone_locked", "kmem:mm_page_pcpu_drain")
"""What went between Linux's own per-CPU lists and the zone's."""

UNPACKED: Final = (".gz", ".xz")
"""What a trace may be packed with, by the end of its name."""

_PACKED_OTHERWISE = (".bz2", ".zst", ".lz4", ".zip", ".lzma", ".Z")
_PROBE_S = 60.0  # perf reads all symbols of the kernel when it starts, on a busy machine for seconds
_END_S = 15.0  # how long perf may take to write out what it has, once it was told to end
_TICK_S = 0.1
_DENIED = ("permission", "not permitted", "access to performance", "can't access trace events", "access denied")
_NO_EVENT = ("unknown tracepoint", "event syntax error", "invalid or unsupported event")


class PerfError(UvmError):
    """Page traffic cannot be recorded here: says what is missing, or what perf said."""


class RecordingInterruptedError(KeyboardInterrupt):
    """Ctrl-C came when the recording was whole but no trace yet.

    => `kept`: where perf's data is.
    """

    def __init__(self, kept: Path) -> None:
        super().__init__()
        self.kept = kept


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded.

    => `exit_code`: the command's, negative for a signal. `lost`: what perf said of lost events, line by line.
    """

    trace: Trace
    exit_code: int
    interrupted: bool
    lost: tuple[str, ...]


def record(command: Sequence[str], file: str, stop: Callable[[], bool] = lambda: False) -> Recorded:
    """Run a command, record the page traffic of the whole machine meanwhile, and write it to a file.

    => The file is packed as the end of its name says. What was there before is replaced, once all went well.
    => Once `stop()` is true recording ends, the command is told to end, and what was recorded is kept.
       KeyboardInterrupt if that is nothing, or if the command was not running yet; RecordingInterruptedError if it
       had ended.
    => PerfError if perf is not there, may not trace, or fails, or if what it recorded is no trace, or cannot be
       written; ArgumentError names a command that is not there, or a file that cannot be written. Nothing is left
       behind then but perf's data, if the command has run; PerfError tells where.
    """
    if file.endswith(_PACKED_OTHERWISE):
        raise ArgumentError(f"-o {file}: a trace may be packed as {' or '.join(UNPACKED)}, or not at all")
    if shutil.which(command[0]) is None:
        raise ArgumentError(f"{command[0]}: there is no such command to record")
    perf = shutil.which("perf")
    if perf is None:
        raise PerfError("perf is not on PATH; it comes with the kernel's tools (linux-perf, linux-tools, perf)")
    path, place = Path(file), Outfile.find("-o", file)
    try:
        with tempfile.TemporaryDirectory(prefix=NEW, dir=place.folder) as beside:
            data, text = Path(beside, "perf.data"), Path(beside, f"trace{path.suffix}")
            try:
                events = _events(perf, data)
                data.unlink(missing_ok=True)  # of a command that did nothing
                exit_code, interrupted = _run([*_perf_record(perf, events, data), *command], stop)
            except PerfError:
                if stop():
                    raise KeyboardInterrupt from None
                raise
            try:
                lost = _script(perf, data, text)
                trace = _read(text, file)
                halfway = stop() and not interrupted  # perf script has heard it too, and stopped with exit code 0
                if not halfway:
                    place.put(str(text))
            except (UvmError, OSError, KeyboardInterrupt) as error:
                if not data.exists():
                    if stop():
                        raise KeyboardInterrupt from None
                    raise
                kept = _keep(data, path.parent if place.folder else Path.cwd())
                if stop() or isinstance(error, KeyboardInterrupt):
                    raise RecordingInterruptedError(kept) from None
                what = f"-o {file}: {error.strerror}" if isinstance(error, OSError) else error
                raise PerfError(f"{what}; what perf recorded is kept in {kept}") from error
            if halfway:
                raise RecordingInterruptedError(_keep(data, path.parent if place.folder else Path.cwd()))
    except OSError as error:
        raise ArgumentError(f"-o {file}: {error.strerror}") from None
    return Recorded(replace(trace, name=path.name), exit_code, interrupted, lost)


def _keep(data: Path, folder: Path) -> Path:
    """Leave perf's data in a folder, under a name that is free there; return its path."""
    for number in count():
        kept = folder / (f"perf.data.{number}" if number else "perf.data")
        if not os.path.lexists(kept):
            break
    shutil.move(data, kept)
    return kept


def _perf_record(perf: str, events: Sequence[str], data: Path) -> list[str]:
    chosen = [word for event in events for word in ("-e", event)]
    return [perf, "record", "-a", *chosen, "-o", str(data), "--"]


def _events(perf: str, data: Path) -> tuple[str, ...]:
    """Return the events that can be recorded here; PerfError if those that matter cannot."""
    everything = (*EVENTS, *YARDSTICK)
    if _complaint(perf, everything, data) is None:
        return everything
    complaint = _complaint(perf, EVENTS, data)
    if complaint is not None:
        raise PerfError(_explain(complaint))
    return *EVENTS, *(event for event in YARDSTICK if _complaint(perf, (event,), data) is None)


def _complaint(perf: str, events: Sequence[str], data: Path) -> str | None:
    """Return what perf says when it cannot record these events, or None if it can."""
    try:
        done = subprocess.run(
            [*_perf_record(perf, events, data), "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError as error:
        return f"{perf}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"perf record of a command that does nothing took over {_PROBE_S:.0f} s"
    return (done.stderr or f"exit code {done.returncode}") if done.returncode else None


def _explain(complaint: str) -> str:
    """Say in one line what is missing, from what perf said in many."""
    said = complaint.lower()
    if any(words in said for words in _DENIED):
        return (
            "perf may not trace the whole machine; be root, or have CAP_PERFMON and a tracefs that you may read "
            f"(kernel.perf_event_paranoid is {_paranoid()}, you are {'' if os.geteuid() == 0 else 'not '}root)"
        )
    if any(words in said for words in _NO_EVENT):
        return f"the kernel has no events {' and '.join(EVENTS)} that perf could record; is tracefs there?"
    return f"perf record fails here: {_first_line(complaint)}"


def _paranoid() -> str:
    try:
        return Path("/proc/sys/kernel/perf_event_paranoid").read_text().strip()
    except OSError:
        return "unknown"


def _run(command: list[str], stop: Callable[[], bool]) -> tuple[int, bool]:
    """Run perf record to its end; return its exit code, which is its command's, and whether it was stopped."""
    perf = subprocess.Popen(command)
    stopped, ticks_left = False, int(_END_S / _TICK_S)
    try:
        while True:
            try:
                exit_code = perf.wait(_TICK_S)
                return exit_code, stopped or stop()
            except subprocess.TimeoutExpired:
                if stopped:
                    ticks_left -= 1
                elif stop():
                    # The terminal's Ctrl-C has reached perf too; a signal to this process alone has not.
                    stopped = True
                    perf.send_signal(signal.SIGINT)
                if not ticks_left:
                    raise PerfError(f"perf record did not end within {_END_S:.0f} s of being interrupted") from None
    finally:
        if perf.poll() is None:
            perf.kill()
            perf.wait()


def _script(perf: str, data: Path, text: Path) -> tuple[str, ...]:
    """Have perf script print what was recorded, packed as the name says; return what it says of lost events."""
    # The option is of perf 4.21; without it the number of lost events is not in the trace.
    exit_code, warnings = _print([perf, "script", "--show-lost-events", "-i", str(data)], text)
    if exit_code and "unknown option" in warnings:
        exit_code, warnings = _print([perf, "script", "-i", str(data)], text)
    if exit_code:
        raise PerfError(f"perf script fails: {_first_line(warnings) or f'exit code {exit_code}'}")
    return tuple(line.strip() for line in warnings.splitlines() if "lost" in line.lower())


def _print(command: list[str], text: Path) -> tuple[int, str]:
    """Run a command whose output becomes the text; return its exit code, and what it said on stderr."""
    with text.with_name("perf.err").open("w+b") as said, _packing(text) as out:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as script:
            try:
                assert script.stdout is not None
                shutil.copyfileobj(script.stdout, out, 1 << 20)
            except BaseException:
                script.kill()
                raise
        said.seek(0)
        return script.returncode, said.read().decode(errors="replace")


def _packing(path: Path) -> IO[bytes] | Any:
    if path.suffix == ".gz":
        return gzip.open(path, "wb")
    if path.suffix == ".xz":
        return lzma.open(path, "wb")
    return path.open("wb")


def _read(text: Path, file: str) -> Trace:
    """Read the trace before it is put into its place; an error names that place."""
    try:
        return read_trace(text)
    except TraceError as error:
        raise TraceError(str(error).replace(str(text), file)) from None


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
