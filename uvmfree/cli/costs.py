"""`uvmfree costs`: the tables that virtual time passes by, and where each figure is from."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uvmfree.errors import ParamError
from uvmfree.workload.plural import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from uvmfree.machine.costs import Costs

COLUMNS = 80


@click.command(short_help="Print the tables of costs that virtual time passes by.")
@click.argument("name", required=False, metavar="[SET|FILE.toml]")
@click.option("--cost", "changes", multiple=True, metavar="NAME=NS", help="Another value for one cost; repeatable.")
def costs(name: str | None, changes: tuple[str, ...]) -> None:
    """Print a table of costs, each with its source; without a name, which tables there are.

    A file lies over a set: base = "SET", and a table [costs] of NAME = NS, or of NAME = [NS, "SOURCE"].
    """
    from uvmfree.machine.costs import SETS, costs_for

    if name is None:
        if changes:
            raise ParamError("--cost: name the set that it changes")
        for one in SETS:
            click.echo(_summary(costs_for(one)))
        click.echo("Line: what fetching a cache line takes from another core / another socket.")
        click.echo("Assumed: figures that nobody measured. `uvmfree costs SET` lists the sources.")
        return
    for line in _table(table(name, changes)):
        click.echo(line)


def table(name: str, changes: Iterable[str] = ()) -> Costs:
    """Return the costs that a command line asks for: a set, or a file that lies over one, and single figures.

    => ParamError, in one line, for what is unknown or out of range.
    """
    from uvmfree.machine.costs import DEFAULT, costs_for

    file: Path | None = None
    figures: dict[str, float] = {}
    for change in changes:
        cost, equals, text = change.partition("=")
        if not equals:
            raise ParamError(f"--cost {change}: must be NAME=NS")
        if cost in figures:
            raise ParamError(f"--cost {change}: {cost} was set to {figures[cost]:g} before")
        try:
            figures[cost] = float(text)
        except ValueError:
            raise ParamError(f"--cost {change}: must be a number") from None
    if name.endswith(".toml"):
        name, file = DEFAULT, Path(name)
    one = costs_for(name, file)
    return one.with_figures(figures, "--cost") if figures else one


def changed_figures(name: str, changes: Iterable[str] = ()) -> tuple[str, dict[str, float]]:
    """Return the name of the set that table() begins with, and the figures that are not its own; ParamError."""
    asked = table(name, changes)
    return asked.name, asked.changed


def _summary(one: Costs) -> str:
    """Say in a line what machine a set is of, and how much of it is assumed."""
    count, ns = one.count, one.ns
    sockets, assumed = count("sockets"), sum(figure.assumed for figure in one.figures.values())
    threads = plural(count("core_threads"), "thread")
    return (
        f"{one.name:<12} {sockets} x {count('socket_cores')} cores, {threads} each; "
        f"line {ns('line_socket')}" + (f" / {ns('line_remote')}" if sockets > 1 else "") + f" ns; {assumed} assumed"
    )


def _table(one: Costs) -> Iterator[str]:
    """Yield the figures; a source that is too long goes on below itself, so that a name begins each new figure."""
    from uvmfree.machine.costs import COUNTS

    width = max(map(len, one.figures))
    yield f"{'cost':<{width}} {'ns':>6}  source"
    for name, figure in one.figures.items():
        value = f"({figure.value:g})" if name in COUNTS else f"{figure.value:g}"
        first, *more = textwrap.wrap(figure.source, COLUMNS - width - 9) or [""]
        yield f"{name:<{width}} {value:>6}  {first}"
        for line in more:
            yield f"{'':<{width + 9}}{line}"
    yield "In brackets: numbers that are no times. Assumed: nobody has measured it."
