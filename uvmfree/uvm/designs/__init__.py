"""The designs of the allocator, by name.

A design that is not of this package is named by where it stands, `module:Class`.
"""

from importlib import import_module
from typing import Any, Final

from uvmfree.errors import ParamError
from uvmfree.param import Param
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.depot import Depot
from uvmfree.uvm.designs.fpageqlock import Fpageqlock
from uvmfree.uvm.designs.magazines import Magazines
from uvmfree.uvm.designs.openbsd_magazine import OpenbsdMagazine
from uvmfree.uvm.designs.percpu import Percpu
from uvmfree.uvm.traits import Traits

REGISTRY: Final[dict[str, type[Design[Any]]]] = {
    each.name: each for each in (Fpageqlock, Percpu, Depot, Magazines, OpenbsdMagazine)
}
"""Every design that boot() knows; never changed after import."""


def design_for(param: Param) -> type[Design[Any]]:
    """Return the design that was asked for; ParamError if there is none."""
    if ":" in param.design:
        return _imported(param.design)
    if param.design not in REGISTRY:
        raise ParamError(f"design={param.design!r}: must be one of {', '.join(REGISTRY)}, or module:Class")
    return REGISTRY[param.design]


def traits_of(param: Param) -> Traits:
    """Return what the design says of itself with these tunables; ParamError."""
    design = design_for(param)
    return design.traits(param, param.tunables_of(design.name, design.Tunables))


def _imported(name: str) -> type[Design[Any]]:
    """Import a design by the module and the class that it is called."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParamError(f"design={name!r}: {error}") from error
    if not isinstance(found, type) or not issubclass(found, Design):
        raise ParamError(f"design={name!r}: {attribute} is no design; it must be a class derived from Design")
    return found
