"""The options by which a command shows lock statistics; they mean what they mean to lockstat(8)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from uvmfree.cli.output import goes_to_stdout
from uvmfree.cli.values import OneOf
from uvmfree.errors import ArgumentError

FORMATS = ("netbsd", "linux", "perf", "json")
"""Those of layouts/lockstat_layout.py, spelled out, so that `--help` need not load it."""

_LAYOUTS = (
    "Lock statistics as lockstat(8), /proc/lock_stat or `perf lock contention` print them; "
    "json: a document of their records, and nothing else."
)
_ON_REQUEST = f"{_LAYOUTS} Default: none, and without --perfetto locks count nothing; netbsd with -l, -f, -L or -F."


def lockstat_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --format, -l, -f, -L and -F; it is called with `lock_format`, and a Selection as `selection`."""
    return _with_options(command, always=True)


def lockstat_on_request(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the same options; `selection` is None where none of them was given."""
    return _with_options(command, always=False)


def check_one_document(json_file: str | None, lock_format: str) -> None:
    """Refuse two documents on stdout: ArgumentError."""
    if lock_format == "json" and goes_to_stdout("--json", json_file):
        raise ArgumentError(f"--json {json_file} and --format json both write to stdout; give --json a file")


def _with_options(command: Callable[..., Any], *, always: bool) -> Callable[..., Any]:
    @click.option(
        "--format",
        "lock_format",
        type=OneOf(FORMATS),
        default=FORMATS[0] if always else None,
        show_default=True,
        help=_LAYOUTS if always else _ON_REQUEST,
    )
    @click.option("-l", "only_locks", is_flag=True, help="Lock statistics by lock only, not by calling function.")
    @click.option("-f", "only_callers", is_flag=True, help="Lock statistics by calling function only, not by lock.")
    @click.option(
        "-L", "locks", multiple=True, metavar="LOCK", help="Only this lock's statistics; * and ? match; repeatable."
    )
    @click.option(
        "-F", "callers", multiple=True, metavar="FUNC", help="Only this calling function's; * and ? match, too."
    )
    @functools.wraps(command)
    def with_selection(
        *,
        lock_format: str | None,
        locks: tuple[str, ...],
        callers: tuple[str, ...],
        only_locks: bool,
        only_callers: bool,
        **rest: Any,
    ) -> Any:
        selection = None
        if lock_format is not None or locks or callers or only_locks or only_callers:
            from uvmfree.layouts.lockstat_layout import Selection

            selection = Selection(locks, callers, only_locks=only_locks, only_callers=only_callers)
        return command(lock_format=lock_format or FORMATS[0], selection=selection, **rest)

    return with_selection
