"""Designs for tests that are right, and claim of themselves what is not so: one trait each."""

from dataclasses import replace
from typing import Any

from tests.conformance.linux_like import LinuxLike
from tests.conformance.xnu_like import XnuLike
from uvmfree.param import Param
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.percpu import Percpu
from uvmfree.uvm.traits import Traits


def lying(name: str, base: type[Design[Any]] = LinuxLike, **claims: Any) -> type[Design[Any]]:
    """Make a design that is like `base`, but for what it claims."""

    def traits(cls: type[Design[Any]], param: Param, tunables: Any) -> Traits:
        return replace(base.traits(param, tunables), **claims)

    return type(name, (base,), {"traits": classmethod(traits)})


Colors = lying("Colors", colors="system")
ColorsOfAll = lying("ColorsOfAll", Percpu, colors="system")
Zeros = lying("Zeros", zeros=True)
NoZeros = lying("NoZeros", Percpu, zeros=False)
Lifo = lying("Lifo", XnuLike, lifo=True)
FreedToTheStore = lying("FreedToTheStore", freed="store")
FreedToBoth = lying("FreedToBoth", freed="both")
FreedToTheCache = lying("FreedToTheCache", XnuLike, freed="cache")
Bound = lying("Bound", bound=100)
NoBound = lying("NoBound", bound=None)
Refill = lying("Refill", refill=8)
Flush = lying("Flush", idle=0)
NoTimer = lying("NoTimer", idle=None)
NoPressure = lying("NoPressure", causes=LinuxLike.traits(Param(), None).causes - {"pressure"})
Retry = lying("Retry", causes=LinuxLike.traits(Param(), None).causes | {"retry"})
NoExplicit = lying("NoExplicit", causes=LinuxLike.traits(Param(), None).causes - {"explicit"})
FreeIsAll = lying("FreeIsAll", free="all")
Steals = lying("Steals", steals=True)
ShortOfAll = lying("ShortOfAll", short="all")
GateAtTheStore = lying("GateAtTheStore", gate="store")
GateForAll = lying("GateForAll", Percpu, gate="system")
