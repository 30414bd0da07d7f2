"""The designs of the allocator, by name.

A design that is not of this package is named by where it stands, `module:Class`.
"""

from importlib import import_module
from typing import Final, cast

from uvmfree.errors import ParamError
from uvmfree.param import Param
from uvmfree.uvm.allocator import Design
from uvmfree.uvm.designs.fpageqlock import Fpageqlock
from uvmfree.uvm.designs.percpu import Percpu
from uvmfree.uvm.designs.percpu_bounded import BoundedPercpu

REGISTRY: Final[dict[str, type[Design]]] = {"fpageqlock": Fpageqlock, "percpu": Percpu}
"""Every design that boot() knows; never changed after import."""


def design_for(param: Param) -> type[Design]:
    """Return the design that was asked for, in the variant that the tunables ask for; ParamError if there is none."""
    if ":" in param.design:
        return _imported(param.design)
    if param.design not in REGISTRY:
        raise ParamError(f"design={param.design!r}: must be one of {', '.join(REGISTRY)}, or module:Class")
    if param.design == "percpu" and param.hoard_max is not None:
        return BoundedPercpu
    return REGISTRY[param.design]


def _imported(name: str) -> type[Design]:
    """Import a design by the module and the class that it is called."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParamError(f"design={name!r}: {error}") from error
    if not isinstance(found, type) or not hasattr(found, "traits"):
        raise ParamError(f"design={name!r}: {attribute} is no design; it must be a class with traits()")
    return cast("type[Design]", found)
