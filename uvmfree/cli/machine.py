"""The options that say what machine a command runs on: real threads, or CPUs in virtual time. Each is stated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.costs import table
from uvmfree.cli.values import AnyNumber, OneOf, Whole
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.stress.on_machine import Kind

COSTS, LOCK, SEED = "xeon-2s", "ttas", 1
"""Defaults of a virtual machine, as --help says."""

SEED_MAX = 1 << 62
"""The seeds of the repetitions follow it, and are of 64 bits too."""

THINK_NS_MAX = 10_000_000
"""Four seconds of work for a run: each second of virtual time costs real time, for timers and samples."""

_ATTRIBUTES: Mapping[str, dict[str, Any]] = {
    "costs": {
        "metavar": "SET|FILE.toml",
        "help": f"the table of costs; `uvmfree costs` lists them. Default: {COSTS}.",
    },
    "cost": {"multiple": True, "metavar": "NAME=NS", "help": "another value for one cost; repeatable."},
    "lock": {
        "metavar": "POLICY",
        "help": f"how shared locks are waited for: ttas, ticket, mcs or sleep. Default: {LOCK}.",
    },
    "think": {
        "type": Whole(0, THINK_NS_MAX),
        "metavar": "NS",
        "help": "work outside of the allocator after each operation of a synthetic workload. Default: page_fault.",
    },
    "copies": {
        "type": Whole(1, 512),
        "metavar": "K",
        "help": "so many replays of the trace beside each other, each on CPUs of its own. Default: 1.",
    },
    "warm-up": {
        "type": Whole(0, 100),
        "metavar": "LOOPS",
        "help": "play the trace so often before counting begins. Default: 1 with --copies, else 0.",
    },
    "seed": {
        "type": Whole(0, SEED_MAX),
        "metavar": "S",
        "help": f"of the first run; each further one has one more. Default: {SEED}.",
    },
    "busy": {
        "type": AnyNumber(),
        "metavar": "PERCENT",
        "help": "of the time in which CPUs are at work, 0.01 to 100. Default: 100.",
    },
}

_PARAMETERS = {"cost": "changes", "think": "think_ns", "warm-up": "warm_up"}
"""What a command is given an option's value as, where that is not its name."""


def virtual_options(*names: str, always: bool = False) -> Callable[[Any], Any]:
    """Add options of a virtual machine, in that order, None or () where not given.

    => Unless the command `always` runs in virtual time --machine comes first, given as `kind`.
    """

    def add(command: Any) -> Any:
        for name in reversed(names):
            attributes = dict(_ATTRIBUTES[name])
            said = attributes.pop("help")
            said = said[0].upper() + said[1:] if always else f"Virtual: {said}"
            command = click.option(f"--{name}", _PARAMETERS.get(name, name), help=said, **attributes)(command)
        return command if always else _kind(command)

    return add


_kind = click.option(
    "--machine",
    "kind",
    type=OneOf(["threads", "virtual"]),
    default="threads",
    show_default=True,
    help="Real threads, or CPUs in virtual time: as many as you like, and the same seed is the same run.",
)


def refuse_for_threads(given: Mapping[str, object]) -> None:
    """Refuse options of a virtual machine that were given for threads: ArgumentError."""
    for name, value in given.items():
        if value not in (None, ()):
            raise ArgumentError(f"--{name} goes with --machine virtual; threads have the host's time")


def policy(lock: str | None) -> str:
    """Return the lock policy that was asked for, or the default; ArgumentError."""
    from uvmfree.machine.virtual.policies import POLICIES

    if lock is not None and lock not in POLICIES:
        raise ArgumentError(f"--lock {lock}: must be one of {', '.join(POLICIES)}")
    return lock or LOCK


def machine_of(kind: str, costs: str | None, changes: tuple[str, ...], lock: str | None, busy: float | None) -> Kind:
    """Return the machine of a stress run that the options name; ArgumentError, ParamError."""
    from uvmfree.stress.on_machine import THREADS, Virtual

    if kind != "virtual":
        refuse_for_threads({"costs": costs, "cost": changes, "lock": lock, "busy": busy})
        return THREADS
    named = costs or COSTS
    return Virtual(
        costs=table(named, changes),
        named=named,
        changes=changes,
        lock=policy(lock),
        busy=100.0 if busy is None else busy,
    )
