"""The designs of the allocator, by name."""

from typing import Final

from uvmfree.uvm.allocator import Design
from uvmfree.uvm.designs.fpageqlock import Fpageqlock
from uvmfree.uvm.designs.percpu import Percpu

REGISTRY: Final[dict[str, type[Design]]] = {"fpageqlock": Fpageqlock, "percpu": Percpu}
"""Every design that boot() knows; never changed after import."""
