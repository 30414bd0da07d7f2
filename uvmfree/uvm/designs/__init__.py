"""The designs of the allocator, by name.

One that is not of this package is named by where it stands, `module:Class`, or by the name that its package gives it.
"""

from dataclasses import fields
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from uvmfree.errors import ParamError
from uvmfree.kern.lockrank import misplaced
from uvmfree.param import Param
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs.depot import Depot
from uvmfree.uvm.designs.fpageqlock import Fpageqlock
from uvmfree.uvm.designs.freebsd_pgcache import FreebsdPgcache
from uvmfree.uvm.designs.linux_pcp import LinuxPcp
from uvmfree.uvm.designs.llfree import Llfree
from uvmfree.uvm.designs.magazines import Magazines
from uvmfree.uvm.designs.netbsd10 import Netbsd10
from uvmfree.uvm.designs.openbsd_magazine import OpenbsdMagazine
from uvmfree.uvm.designs.percpu import Percpu
from uvmfree.uvm.designs.xnu import Xnu
from uvmfree.uvm.traits import Traits

REGISTRY: Final[dict[str, type[Design[Any]]]] = {
    each.name: each
    for each in (
        Fpageqlock,
        Percpu,
        Magazines,
        LinuxPcp,
        Netbsd10,
        FreebsdPgcache,
        OpenbsdMagazine,
        Xnu,
        Llfree,
        Depot,
    )
}
"""Every design that boot() knows; never changed after import."""


PAIR: Final = ("fpageqlock", "percpu")
"""What the mail is about: today's design, and its proposal."""

SHOWN: Final = (*PAIR, "depot")
"""What a command compares where no design is named: the mail's pair, and our answer to it."""

GROUP: Final = "uvmfree.designs"
"""The entry points by which another package brings designs: a name, and the module:Class that it stands for."""

_SLIPS: Final = (
    SyntaxError,
    NameError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    RuntimeError,
    AssertionError,
)
"""What a module that somebody is writing raises as it is imported, beside what says that it is not there."""


def names() -> tuple[str, ...]:
    """Return the names of all designs: those of this package, then those that other packages bring."""
    return tuple(dict.fromkeys((*REGISTRY, *sorted(point.name for point in entry_points(group=GROUP)))))


def find(name: str) -> type[Design[Any]]:
    """Return a design by its name, or by where it stands, module:Class; ParamError if there is none."""
    if name in REGISTRY:
        return REGISTRY[name]
    if ":" in name:
        return _imported(name, name)
    for point in entry_points(group=GROUP, name=name):
        return _imported(name, point.value)
    raise ParamError(f"design={name!r}: must be one of {', '.join(names())}, or module:Class")


def design_for(param: Param) -> type[Design[Any]]:
    """Return the design that was asked for; ParamError if there is none."""
    return find(param.design)


def traits_of(param: Param) -> Traits:
    """Return what the design says of itself with these tunables; ParamError."""
    design = design_for(param)
    return design.traits(param, param.tunables_of(design.name, design.Tunables))


def check_own(param: Param, design: type[Design[Any]]) -> None:
    """Check that each tunable DESIGN.FIELD is of a design that there is, and that this one has it; ParamError.

    => `design`: the one that is booted. The others are those of this package, and those that other packages name.
    """
    for said, _ in param.own:
        owner, dot, own = said.rpartition(".")
        if not dot or owner == design.name:
            continue  # tunables_of() checks those
        if owner not in (known := names()):
            raise ParamError(
                f"no design is called {owner}, of {said}; there are {', '.join(dict.fromkeys((*known, design.name)))}"
            )
        if own not in (has := [each.name for each in fields(find(owner).Tunables)]):
            raise ParamError(f"no tunable is called {said}; {owner} has {', '.join(has) or 'none'}")


def settings_of(param: Param) -> dict[str, Any]:
    """Return all tunables by name, those of designs as DESIGN.TUNABLE, whether they were set or not."""
    every: dict[str, Any] = {each.name: getattr(param, each.name) for each in fields(param) if each.name != "own"}
    for design in REGISTRY.values():
        every |= {f"{design.name}.{own.name}": own.default for own in fields(design.Tunables)}
    for said, value in param.own:
        every |= dict.fromkeys([name for name in every if name.endswith(f".{said}")] or [said], value)
    return every


def _imported(name: str, where: str) -> type[Design[Any]]:
    """Import a design from where it stands; ParamError names it as it was asked for.

    => What its module raises is its author's to see: the error says what, and has it as its cause.
    """
    module, _, attribute = where.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParamError(f"design={name!r}: {error}") from error
    except _SLIPS as error:
        raise ParamError(f"design={name!r}: {type(error).__name__}: {error}") from error
    except SystemExit as error:
        raise ParamError(f"design={name!r}: SystemExit as it was imported, with {error.code!r}") from error
    if not isinstance(found, type) or not issubclass(found, Design):
        raise ParamError(f"design={name!r}: {attribute} is no design; it must be a class derived from Design")
    if missing := [each for each in ("name", "summary", "cpu_class") if not hasattr(found, each)]:
        raise ParamError(f"design={name!r}: {attribute} is no whole design; it has no {', '.join(missing)}")
    if slip := misplaced(found.LOCKS):
        raise ParamError(f"design={name!r}: {slip}")
    return found
