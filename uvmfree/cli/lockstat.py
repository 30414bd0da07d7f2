"""The options by which a command shows lock statistics; they mean what they mean to lockstat(8)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

FORMATS = ("netbsd", "linux", "perf", "json")
"""Those of measure/lockstat_layout.py, spelled out, so that `--help` need not load it."""


def lockstat_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --format, -l, -f, -L and -F; it is called with `lock_format`, and a Selection as `selection`."""

    @click.option(
        "--format",
        "lock_format",
        type=click.Choice(FORMATS),
        default="netbsd",
        show_default=True,
        help="Lock statistics as lockstat(8), /proc/lock_stat or `perf lock contention` print them; "
        "json: a document of their records, and nothing else.",
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
        *, locks: tuple[str, ...], callers: tuple[str, ...], only_locks: bool, only_callers: bool, **rest: Any
    ) -> Any:
        from uvmfree.measure.lockstat_layout import Selection

        selection = Selection(locks, callers, only_locks=only_locks, only_callers=only_callers)
        return command(selection=selection, **rest)

    return with_selection
