"""Booting a system: from tunables to a Uvm."""

from __future__ import annotations

from typing import Unpack

from uvmfree.machine.face import Machine, WatchedMachine
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY, check_own, design_for
from uvmfree.uvm.keywords import Keywords
from uvmfree.uvm.system import Uvm


def boot(machine: Machine | None = None, **tunables: Unpack[Keywords]) -> Uvm:
    """Build a system; keyword arguments are fields of Param, and own tunables of the design.

    => ParamError names a tunable that does not exist, or is out of range, and the limit. One of another design,
       `own=(("xnu.refill_limit", 8),)`, changes nothing: the same tunables may go to several designs.
    => `machine` is what it runs on: real threads by default. A VirtualMachine has to have as many CPUs, or more.
    => `with` starts its threads and closes it; without, what needs no threads works, and close() gives memory back.
    => O(npages): a page takes about 130 bytes of Python memory, and its RAM is committed where it is touched.

    >>> with uvmfree.boot(npages=4096, ncpus=2, design="percpu", refill=32) as uvm:
    ...     uvm.uvmexp.free
    4096
    >>> uvmfree.boot(design="fpageqlock", budget=4096)
    Traceback (most recent call last):
        ...
    uvmfree.errors.ParamError: no tunable is called budget...
    """
    param = Param.of(tunables)
    design = design_for(param)
    check_own(param, design)
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
