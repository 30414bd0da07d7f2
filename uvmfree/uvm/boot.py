"""Booting a system: from tunables to a Uvm."""

from __future__ import annotations

from typing import Any

from uvmfree.machine.face import Machine, WatchedMachine
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY, design_for
from uvmfree.uvm.system import Uvm


def boot(machine: Machine | None = None, **tunables: Any) -> Uvm:
    """Build a system; keyword arguments are fields of Param.

    => ParamError names a tunable that does not exist, or is out of range, and the limit.
    => `machine` is what it runs on: real threads by default.
    """
    param = Param.of(tunables)
    design = design_for(param)
    own = param.tunables_of(design.name, design.Tunables)
    if machine is None:
        machine = threads(lockstat=param.lockstat, lockdebug=param.lockdebug)
    return Uvm(param, machine, design, own)


def threads(**instruments: bool) -> WatchedMachine:
    """Make the machine that systems run on by default: the host's threads (machine/threads.py)."""
    return ThreadsMachine(**instruments)


def designs() -> dict[str, str]:
    """Return a one-line description of each design, by name."""
    return {name: design.summary for name, design in REGISTRY.items()}
