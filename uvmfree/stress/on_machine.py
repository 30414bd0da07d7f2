"""The machine of a stress run, as the command line names it: the host's threads, or CPUs in virtual time.

=> In virtual time a run is a function of its options: the same command is the same run, to the byte.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.machine.costs import DEFAULT, Costs, costs_for
from uvmfree.machine.face import WatchedMachine
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.param import Param
from uvmfree.stress.shared import Pace
from uvmfree.uvm.boot import threads

RATE: Final = 200.0
"""How many times as much happens in a second as on threads: a step takes a microsecond or two, where one of Python's
takes some hundred."""

STEP_NS: Final = 1000
"""A CPU's own work between two operations: a page fault around an allocation (machine/costs.py, page_fault)."""

DEFAULT_COSTS: Final = costs_for(DEFAULT)

BUSY_MIN: Final = 0.01
"""Percent of the time in which CPUs are at work, at least."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process, in the host's time."""

    pace = Pace(processor_ns=time.process_time_ns)
    seconds_min = 0.1

    def words(self) -> tuple[str, ...]:
        """Return how the command line names it."""
        return ()

    def facts(self) -> MachineFacts:
        """Return what a record says of it."""
        return MachineFacts()

    def described(self) -> str:
        """Return it in a few words; nothing, as it goes without saying."""
        return ""

    def make(self, param: Param, seed: int, *, traced: bool) -> WatchedMachine:
        """Make the machine of one run."""
        return threads(lockstat=param.lockstat, lockdebug=param.lockdebug, lockwatch=True, locktrace=traced)


@dataclass(frozen=True, slots=True, kw_only=True)
class Virtual:
    """CPUs in virtual time; ArgumentError or ParamError where that makes no sense.

    => `costs`: the table; the command line names it by a set or a file, `named`, and single figures as NAME=NS,
       `changes`. `lock`: the policy.
    => `busy`: percent of the time in which the CPUs are at work, all together. `strands`: as VirtualMachine has it.
    """

    costs: Costs = DEFAULT_COSTS
    named: str = DEFAULT
    changes: tuple[str, ...] = ()
    lock: str = "ttas"
    busy: float = 100.0
    strands: str | None = None

    seconds_min = 0.001

    def __post_init__(self) -> None:
        if not BUSY_MIN <= self.busy <= 100:
            raise ArgumentError(f"--busy {self.busy:g}: must be from {BUSY_MIN:g} to 100 percent of the time")
        VirtualMachine(ncpus=1, lock=self.lock, strands=self.strands)

    @property
    def pace(self) -> Pace:
        """How dense a run is."""
        busy = self.busy / 100
        return Pace(rate=RATE * busy, busy=busy, step_ns=STEP_NS, preempts=True)

    def words(self) -> tuple[str, ...]:
        """Return how the command line names it; which kind of strand plays it changes nothing."""
        changes = tuple(word for change in self.changes for word in ("--cost", change))
        busy = () if self.busy == 100 else ("--busy", f"{self.busy:g}")
        return ("--machine", "virtual", "--costs", self.named, *changes, "--lock", self.lock, *busy)

    def facts(self) -> MachineFacts:
        """Return what a record says of it."""
        return MachineFacts(VIRTUAL, self.costs.name, self.costs.changed, self.lock, busy=self.busy)

    def described(self) -> str:
        """Return it in a few words."""
        return self.facts().words

    def make(self, param: Param, seed: int, *, traced: bool) -> VirtualMachine:
        """Make the machine of one run; each shared step in the strict order of time."""
        return VirtualMachine(
            ncpus=param.ncpus,
            costs=self.costs,
            lock=self.lock,
            seed=seed,
            quantum_ns=0,
            strands=self.strands,
            lockstat=param.lockstat,
            lockdebug=param.lockdebug,
            lockwatch=True,
            locktrace=traced,
        )


Kind = Threads | Virtual
"""A kind of machine."""

THREADS: Final = Threads()
