"""What the package's face returns or raises, it exports: nobody has to look for a type in a module of ours.

=> From each exported function and class, and from the attributes of a booted system on: the annotations of what
   public calls and properties return, of the fields of dataclasses, and so on from each type that is found.
=> A Machine is made and handed over; what its calls return is the allocator's. So is what designs are written with.
"""

import inspect
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pkgutil import walk_packages
from types import FunctionType, ModuleType
from typing import Any

import uvmfree
from uvmfree import errors

INNER = ("uvmfree.machine.", "uvmfree.kern.lock.", "uvmfree.kern.mutex.", "uvmfree.uvm.designs.")
"""Where the walk does not go on."""


def parts(annotation: Any) -> Iterator[type]:
    """Yield the classes of an annotation: X of `X | None`, of `Iterator[X]`, and so on."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        yield annotation
    for part in (typing.get_origin(annotation), *typing.get_args(annotation)):
        if part is not None and part is not annotation and not isinstance(part, (list, str)):
            yield from parts(part)


def returned(cls: type) -> Iterator[type]:
    """Yield what the public calls and properties of a class return, and what its fields are."""
    for name, member in inspect.getmembers_static(cls):
        if name.startswith("_") and name != "__enter__":
            continue
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        if isinstance(member, property):
            member = member.fget
        if isinstance(member, FunctionType):
            yield from parts(hints(member).get("return"))
    for field in fields(cls) if is_dataclass(cls) else ():
        if not field.name.startswith("_"):
            yield from parts(hints(cls).get(field.name))


def hints(of: Any) -> dict[str, Any]:
    """Return the annotations of a function or a class, resolved; names that only type checkers import are skipped."""
    while hasattr(of, "__wrapped__"):
        of = of.__wrapped__
    return typing.get_type_hints(of, localns=_NAMES)


class _Names(dict[str, Any]):
    """What an annotation may name though its module does not import it: what the package exports."""

    def __missing__(self, name: str) -> Any:
        if name in uvmfree.__all__:
            return getattr(uvmfree, name)
        raise KeyError(name)


_NAMES = _Names()


def inner(cls: type) -> bool:
    """Whether a class is not one of a user of a system."""
    return not cls.__module__.startswith("uvmfree") or f"{cls.__module__}.".startswith(INNER)


def unexported(face: ModuleType, *live: object) -> set[str]:
    """Return the names of our types that are returned, or public attributes of what lives, and not exported."""
    exported = {name: getattr(face, name) for name in face.__all__}
    found: set[type] = set()
    new = [one for one in exported.values() if isinstance(one, type)]
    for one in exported.values():
        if isinstance(one, FunctionType):
            new += parts(hints(one).get("return"))
    for one in live:
        new += [type(value) for name, value in vars(one).items() if not name.startswith("_")]
    while new:
        cls = new.pop()
        if cls not in found and not inner(cls):
            found.add(cls)
            new += returned(cls)
    return {cls.__name__ for cls in found if exported.get(cls.__name__) is not cls}


def test_every_type_that_a_call_returns_is_exported() -> None:
    with uvmfree.boot(npages=64, ncpus=1) as uvm:
        assert unexported(uvmfree, uvm) == set()


RAISING = ("kern", "machine", "uvm")
"""Packages that a booted system consists of. What others raise, only commands do."""


def errors_of(*packages: str) -> set[type[errors.UvmError]]:
    """Return the errors that modules of packages define; not those that an `except` knows by a more general name."""
    for package in packages:
        folder = import_module(f"uvmfree.{package}")
        for module in walk_packages(folder.__path__, f"{folder.__name__}."):
            import_module(module.name)
    found, left = set[type[errors.UvmError]](), [errors.UvmError]
    while left:
        new = left.pop().__subclasses__()
        left += new
        found |= {one for one in new if one.__module__.startswith(tuple(f"uvmfree.{name}." for name in packages))}
    return {one for one in found if errors.UvmError in one.__bases__}


def test_every_error_is_exported() -> None:
    named = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.UvmError)}
    assert named - set(uvmfree.__all__) == set()


def test_every_error_that_a_system_raises_is_exported() -> None:
    """Those, too, that stand in the module that raises them."""
    found = errors_of(*RAISING)
    assert {one.__name__ for one in found} >= {"StampError", "SwapReadError"}
    assert {one for one in found if getattr(uvmfree, one.__name__, None) is not one} == set()
    assert {one.__name__ for one in found} - set(uvmfree.__all__) == set()


def test_what_is_not_exported_is_found() -> None:
    class Inner:
        def deeper(self) -> "uvmfree.Ticket | None": ...

    Inner.__module__ = "uvmfree.uvm.inner"

    class Outer:
        def inner(self) -> list[Inner]: ...

    face = ModuleType("face")
    Outer.__module__ = Outer.inner.__module__ = "uvmfree"
    face.Outer, face.__all__ = Outer, ["Outer"]  # type: ignore[attr-defined]
    Outer.inner.__annotations__["return"] = list[Inner]
    assert unexported(face) == {"Inner", "Ticket"}
