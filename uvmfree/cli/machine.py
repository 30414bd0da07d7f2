"""The options that say what a stress run runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.costs import table
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.measure.stress_machine import Kind

NOT_VIRTUAL = "goes with --machine virtual; threads have the host's time"


def machine_options(command: Any) -> Any:
    """Add the options; the command gets `kind`, `costs`, `changes`, `lock`, `busy`."""
    for option in reversed(
        (
            click.option(
                "--machine",
                "kind",
                type=click.Choice(["threads", "virtual"]),
                default="threads",
                show_default=True,
                help="Real threads, or CPUs in virtual time: the same seed is then the same run.",
            ),
            click.option("--costs", metavar="SET", help="Virtual: a table of costs, or FILE.toml. Default: xeon-2s."),
            click.option("--cost", "changes", multiple=True, metavar="NAME=NS", help="Virtual: another cost."),
            click.option("--lock", metavar="POLICY", help="Virtual: ttas, ticket, mcs or sleep. Default: ttas."),
            click.option(
                "--busy",
                type=float,
                metavar="PERCENT",
                help="Virtual: of the time in which CPUs are at work. Default: 100.",
            ),
        )
    ):
        command = option(command)
    return command


def machine_of(kind: str, costs: str | None, changes: tuple[str, ...], lock: str | None, busy: float | None) -> Kind:
    """Return the machine that the options name; ArgumentError, ParamError."""
    from uvmfree.machine.costs import DEFAULT
    from uvmfree.measure.stress_machine import THREADS, Virtual

    if kind != "virtual":
        for name, value in {"costs": costs, "cost": changes or None, "lock": lock, "busy": busy}.items():
            if value is not None:
                raise ArgumentError(f"--{name}: {NOT_VIRTUAL}")
        return THREADS
    given: dict[str, Any] = {name: value for name, value in {"lock": lock, "busy": busy}.items() if value is not None}
    named = costs or DEFAULT
    return Virtual(costs=table(named, changes), named=named, changes=changes, **given)
