"""What `uvmfree bench` makes of the options of a virtual machine, and what strands are made of here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from uvmfree.cli.costs import changed_figures, check_places, table
from uvmfree.cli.machine import COSTS, SEED, policy, refuse_for_threads, virtual_options
from uvmfree.cli.options import ENDING
from uvmfree.errors import ArgumentError

if TYPE_CHECKING:
    from uvmfree.measure.machine_facts import MachineFacts


@dataclass(frozen=True, slots=True)
class VirtualOptions:
    """What was asked for; None where nothing was."""

    kind: str
    costs: str | None
    changes: tuple[str, ...]
    lock: str | None
    think_ns: int | None
    copies: int | None
    warm_up: int | None
    seed: int | None

    def machine(self, workload: str, *, memory: bool = False) -> tuple[MachineFacts, int | None]:
        """Return the machine for a workload, and the first seed, if there is one.

        => `memory`: whether the workload is a trace in less memory than it needs.
        => ArgumentError, ParamError for what does not go together, or does not exist.
        """
        from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts

        if self.kind != VIRTUAL:
            given = {"costs": self.costs, "cost": self.changes, "lock": self.lock, "think": self.think_ns}
            refuse_for_threads(given | {"copies": self.copies, "warm-up": self.warm_up, "seed": self.seed})
            return MachineFacts(), None
        if self.think_ns is not None and workload not in ENDING:
            own = "a trace has gaps of its own" if workload == "trace" else "its CPUs work all the time"
            raise ArgumentError(f"--think goes with {', '.join(ENDING)}, not with --workload {workload}: {own}")
        for option, value in (("copies", self.copies), ("warm-up", self.warm_up)):
            if value is not None and (workload != "trace" or memory):
                what = "--memory" if workload == "trace" else f"--workload {workload}"
                raise ArgumentError(f"--{option} goes with a trace, not with {what}")
        lock = policy(self.lock)
        costs, changed = changed_figures(self.costs or COSTS, self.changes)
        think_ns = self.think_ns
        if think_ns is None and workload in ENDING:
            think_ns = table(self.costs or COSTS, self.changes).ns("page_fault")
        copies = (self.copies or 1) if workload == "trace" else None
        warm_up = int(self.copies is not None) if self.warm_up is None else self.warm_up
        facts = MachineFacts(VIRTUAL, costs, changed, lock, think_ns, copies, warm_up=warm_up)
        return facts, SEED if self.seed is None else self.seed

    def check_places(self, ncpus: int) -> None:
        """Refuse more CPUs than there are places for: ParamError."""
        check_places(self.costs or COSTS, self.changes, ncpus)


def bench_options(command: Callable[..., Any]) -> Any:
    """Give a command --machine, and what goes with a virtual one; it is called with VirtualOptions as `virtual`."""

    @virtual_options("costs", "cost", "lock", "think", "copies", "warm-up", "seed")
    @functools.wraps(command)
    def with_virtual(
        *,
        kind: str,
        costs: str | None,
        changes: tuple[str, ...],
        lock: str | None,
        think_ns: int | None,
        copies: int | None,
        warm_up: int | None,
        seed: int | None,
        **rest: Any,
    ) -> Any:
        return command(virtual=VirtualOptions(kind, costs, changes, lock, think_ns, copies, warm_up, seed), **rest)

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
