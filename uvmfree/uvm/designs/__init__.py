"""The designs of the allocator, by name."""

from typing import Final

from uvmfree.param import Param
from uvmfree.uvm.allocator import Design
from uvmfree.uvm.designs.fpageqlock import Fpageqlock
from uvmfree.uvm.designs.percpu import Percpu
from uvmfree.uvm.designs.percpu_bounded import BoundedPercpu

REGISTRY: Final[dict[str, type[Design]]] = {"fpageqlock": Fpageqlock, "percpu": Percpu}
"""Every design that boot() knows; never changed after import."""


def design_for(param: Param) -> type[Design]:
    """Return the design that was asked for, in the variant that the tunables ask for."""
    if param.design == "percpu" and param.hoard_max is not None:
        return BoundedPercpu
    return REGISTRY[param.design]
