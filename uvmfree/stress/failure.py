"""The report of a stress run that failed: what went wrong, the command that does it again, what every CPU did last.

=> The whole goes to a file; its beginning, and the last few operations of each CPU, are for the terminal.
=> Operations are those in the CPUs' rings (stress/player.py), with times up to the failure.
"""

import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from uvmfree.errors import ArgumentError, AuditError
from uvmfree.outfile import Outfile
from uvmfree.stress.engine import Stress
from uvmfree.stress.player import Player
from uvmfree.stress.program import described

TAIL: Final = 5
"""Operations of each CPU that the terminal gets."""


def causes(failures: Sequence[tuple[str, BaseException]]) -> Iterator[str]:
    """Yield what went wrong in one line each, the first one first."""
    for who, error in failures:
        if isinstance(error, AuditError):
            yield from (f"{who}: audit: {finding}" for finding in error.findings)
        else:
            yield f"{who}: {type(error).__name__}: {error}"


def whole(stress: Stress, command: str, now_ns: int, hang: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines of the file: the command, the failures with their tracebacks, a hang's locks and stacks, the
    last operations of each CPU and the last injections of each fault.
    """
    yield f"again: {command}"
    failures = stress.shared.failures()
    yield f"in the phase: {stress.phase}"
    yield from causes(failures)
    yield from hang
    for who, error in failures:
        yield ""
        yield f"{who}:"
        yield from "".join(traceback.format_exception(error)).rstrip().splitlines()
    for player in stress.players:
        yield ""
        yield (
            f"CPU {player.index}: {player.done} operations; the last, each with its time before the end, "
            "its number in the program, what was done and what came of it"
        )
        yield from operations(player, now_ns)
    for fault in stress.faults:
        yield ""
        yield f"fault {fault.name}: {fault.injected} times, {fault.survived} survived; the last"
        yield from (f"{_before(at_ns, now_ns)}  {what}" for at_ns, what in fault.events)


def operations(player: Player, now_ns: int) -> Iterator[str]:
    """Yield the last operations of a CPU, oldest first."""
    for number, at_ns, step, outcome in player.last():
        yield f"{_before(at_ns, now_ns)}  {number:>9}  {described(step)} -> {outcome}"


def tail(stress: Stress, now_ns: int) -> Iterator[str]:
    """Yield the last few operations of each CPU."""
    for player in stress.players:
        yield f"CPU {player.index}, {player.done} operations; the last:"
        yield from list(operations(player, now_ns))[-TAIL:]


def written(name: str, lines: Sequence[str]) -> str:
    """Write the report to a file of this name, here or where temporary files go; return its path, or why not."""
    problem = ""
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            # Its name is known beforehand: whatever somebody has put there is replaced, and no link followed.
            Outfile("the report", name, str(folder / name), None).write("\n".join([*lines, ""]).encode())
        except ArgumentError as error:
            problem = f"(not written: {error})"
        else:
            return str(folder / name)
    return problem


def _before(at_ns: int, now_ns: int) -> str:
    return f"{(at_ns - now_ns) / 1e6:12.3f} ms"
