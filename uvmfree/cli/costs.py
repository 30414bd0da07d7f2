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

    A file lies over a set: base = "SET", and a table [costs] of NAME = NS, or of NAME = [NS, "SOURCE"]. One without
    a base has all costs.
    """
    if name is None:
        if changes:
            raise ParamError("--cost: name the set that it changes")
        for one in names():
            click.echo(_summary(one, table(one)))
        click.echo("Line: what fetching a cache line takes from another core / another socket.")
        click.echo("Assumed: figures that nobody measured. `uvmfree costs SET` lists the sources.")
        return
    for line in _table(table(name, changes)):
        click.echo(line)


def names() -> list[str]:
    """Return the names of the sets: those of machine/costs.py, and the files that ship beside it."""
    from uvmfree.machine.costs import SETS

    return [*SETS, *_shipped()]


def table(name: str, changes: Iterable[str] = ()) -> Costs:
    """Return the costs that a command line asks for: a set, or a file that lies over one, and single figures.

    => ParamError, in one line, for what is unknown, missing or out of range.
    """
    from uvmfree.machine.costs import costs_for

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
        one = costs_for(file=name)
    elif name in (shipped := _shipped()):
        one = costs_for(file=shipped[name])
    elif name in names():
        one = costs_for(name)
    else:
        raise ParamError(f"costs={name!r}: must be one of {', '.join(sorted(names()))}, or a FILE.toml")
    return one.with_figures(figures, "--cost") if figures else one


def check_places(name: str, changes: Iterable[str], ncpus: int) -> None:
    """Refuse more CPUs than the topology of some costs has places for: ParamError, which names sets that do."""
    here = _places(table(name, changes))
    if ncpus > here:
        enough = [one for one in names() if _places(table(one, changes)) >= ncpus]
        other = f"; --costs {', '.join(enough)}: enough" if enough else ""
        raise ParamError(
            f"{ncpus} CPUs: costs {name} have places for {here}, sockets x socket_cores x core_threads{other}"
        )


def _places(one: Costs) -> int:
    return one.count("sockets") * one.count("socket_cores") * one.count("core_threads")


def _shipped() -> dict[str, Path]:
    """Return the files that ship, by the names of their sets."""
    from uvmfree.machine import costs as of_machine

    return {file.stem: file for file in sorted(Path(of_machine.__file__).with_name("sets").glob("*.toml"))}


def changed_figures(name: str, changes: Iterable[str] = ()) -> tuple[str, dict[str, float]]:
    """Return the name of the set that table() begins with, and the figures that are not its own; ParamError."""
    asked = table(name, changes)
    return asked.name, asked.changed


def _summary(name: str, one: Costs) -> str:
    """Say in a line what machine a set is of, and how much of it is assumed."""
    count, ns = one.count, one.ns
    sockets, assumed = count("sockets"), sum(figure.assumed for figure in one.figures.values())
    threads = plural(count("core_threads"), "thread")
    return (
        f"{name:<12} {sockets} x {count('socket_cores')} cores, {threads} each; "
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
