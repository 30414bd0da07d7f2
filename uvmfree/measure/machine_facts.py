"""Facts about the machine: real threads, or the virtual one with what its time passes by; kept with a record."""

from dataclasses import dataclass, field
from typing import Final

from uvmfree.workload.plural import plural

THREADS: Final = "threads"
VIRTUAL: Final = "virtual"
"""Kinds of machine, by Machine.name."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What the CPUs were. All but `kind` is of the virtual machine (machine/virtual/machine.py).

    => `costs`: the name of a set of costs; `changed`: the figures that replace its own, by name.
    => `lock`: the policy of shared locks. The seed is the record's; repetition i runs with `seed + i`.
    => `think_ns`: work outside of the allocator after each operation, where the workload has no gaps of its own.
    => `copies`: of the trace, each on CPUs of its own; None if nothing was replayed.
    => `warm_up`: how often the trace was played before counting began.
    => `busy`: of a stress run, percent of the time in which the CPUs are at work.
    """

    kind: str = THREADS
    costs: str = ""
    changed: dict[str, float] = field(default_factory=dict)
    lock: str = ""
    think_ns: int | None = None
    copies: int | None = None
    busy: float | None = None
    warm_up: int = 0

    @property
    def virtual(self) -> bool:
        """Whether times are virtual: by a table of costs, whatever the host and its interpreter."""
        return self.kind == VIRTUAL

    @property
    def words(self) -> str:
        """The machine in a few words: two with the same take the same time for the same."""
        if not self.virtual:
            return "real threads"
        changed = "".join(f", {name}={value:g}" for name, value in sorted(self.changed.items()))
        busy = "" if self.busy is None else f", {self.busy:g} % busy"
        warm_up = f", {plural(self.warm_up, 'loop')} of warm-up" if self.warm_up else ""
        return f"virtual, costs {self.costs}{changed}, {self.lock} locks{busy}{warm_up}"
