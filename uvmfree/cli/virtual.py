"""The options that choose a machine: real threads, or a virtual one with its costs, locks and seed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.costs import changed_figures
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.measure.machine_facts import MachineFacts

COSTS, LOCK, SEED = "xeon-2s", "ttas", 1
"""Defaults of a virtual machine, as --help says."""

SEED_MAX = 1 << 62
"""The seeds of the repetitions follow it, and are of 64 bits too."""

THINKING = ("pingpong", "handoff", "forkexit")
"""Workloads that have no time of their own between two operations."""


@dataclass(frozen=True, slots=True)
class VirtualOptions:
    """What was asked for; None where nothing was."""

    kind: str
    costs: str | None
    changes: tuple[str, ...]
    lock: str | None
    think_ns: int | None
    copies: int | None
    seed: int | None

    def machine(self, workload: str, *, memory: bool = False) -> tuple[MachineFacts, int | None]:
        """Return the machine for a workload, and the first seed, if there is one.

        => `memory`: whether the workload is a trace in less memory than it needs.
        => ArgumentError, ParamError for what does not go together, or does not exist.
        """
        from uvmfree.machine.virtual.policies import POLICIES
        from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
        from uvmfree.workload.thinking import THINK_NS

        if self.kind != VIRTUAL:
            for option, value in self._given().items():
                if value not in (None, ()):
                    raise ArgumentError(f"{option} goes with --machine virtual")
            return MachineFacts(), None
        if self.think_ns is not None and workload not in THINKING:
            own = "a trace has gaps of its own" if workload == "trace" else "its CPUs work all the time"
            raise ArgumentError(f"--think goes with {', '.join(THINKING)}, not with --workload {workload}: {own}")
        if self.copies is not None and (workload != "trace" or memory):
            what = "--memory" if workload == "trace" else f"--workload {workload}"
            raise ArgumentError(f"--copies goes with a trace, not with {what}")
        lock = self.lock or LOCK
        if lock not in POLICIES:
            raise ArgumentError(f"--lock {lock}: must be one of {', '.join(POLICIES)}")
        costs, changed = changed_figures(self.costs or COSTS, self.changes)
        think_ns = THINK_NS if self.think_ns is None and workload in THINKING else self.think_ns
        copies = (self.copies or 1) if workload == "trace" else None
        return MachineFacts(VIRTUAL, costs, changed, lock, think_ns, copies), SEED if self.seed is None else self.seed

    def _given(self) -> dict[str, object]:
        return {
            "--costs": self.costs,
            "--cost": self.changes,
            "--lock": self.lock,
            "--think": self.think_ns,
            "--copies": self.copies,
            "--seed": self.seed,
        }


def virtual_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --machine, and what goes with a virtual one; it is called with VirtualOptions as `virtual`."""

    @click.option(
        "--machine",
        "kind",
        type=click.Choice(["threads", "virtual"]),
        default="threads",
        show_default=True,
        help="Real threads, or CPUs in virtual time: as many as you like, whatever the host.",
    )
    @click.option(
        "--costs",
        metavar="SET|FILE.toml",
        help=f"Virtual: the table of costs; `uvmfree costs` lists them. Default: {COSTS}.",
    )
    @click.option(
        "--cost", "changes", multiple=True, metavar="NAME=NS", help="Virtual: another value for one cost; repeatable."
    )
    @click.option(
        "--lock",
        metavar="POLICY",
        help=f"Virtual: how shared locks are waited for: ttas, ticket, mcs or sleep. Default: {LOCK}.",
    )
    @click.option(
        "--think",
        "think_ns",
        type=click.IntRange(0, 1_000_000_000),
        metavar="NS",
        help="Virtual: work outside of the allocator after each operation of a synthetic workload. Default: 1000.",
    )
    @click.option(
        "--copies",
        type=click.IntRange(1, 512),
        metavar="K",
        help="Virtual: so many replays of the trace beside each other, each on CPUs of its own. Default: 1.",
    )
    @click.option(
        "--seed",
        type=click.IntRange(0, SEED_MAX),
        metavar="S",
        help=f"Virtual: of the first repetition; the next has one more. Default: {SEED}.",
    )
    @functools.wraps(command)
    def with_virtual(
        *,
        kind: str,
        costs: str | None,
        changes: tuple[str, ...],
        lock: str | None,
        think_ns: int | None,
        copies: int | None,
        seed: int | None,
        **rest: Any,
    ) -> Any:
        return command(virtual=VirtualOptions(kind, costs, changes, lock, think_ns, copies, seed), **rest)

    return with_virtual


def strands() -> str:
    """Return what strands are made of here; where that is slow, say so on stderr."""
    from uvmfree.machine.virtual.strands import kind_named

    kind = kind_named(None).name
    if kind == "baton":
        click.echo(
            "uvmfree: no greenlet for this interpreter: strands of virtual time are threads that pass a baton, and "
            "switch some 20 times slower; the results are the same",
            err=True,
        )
    return kind
