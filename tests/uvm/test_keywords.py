"""The keywords of boot() as editors and type checkers see them are the tunables that there are."""

from dataclasses import fields
from typing import Any, get_type_hints

from uvmfree.param import Param
from uvmfree.uvm.designs import REGISTRY
from uvmfree.uvm.keywords import Keywords


def tunables(cls: type[Any]) -> dict[str, Any]:
    """Return the fields of a dataclass, with their types."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def test_the_keywords_are_those_of_param_and_of_the_designs() -> None:
    known = tunables(Param)
    for design in REGISTRY.values():
        for name, kind in tunables(design.Tunables).items():
            assert known.setdefault(name, kind) == kind, f"{name} of {design.name} is of another type elsewhere"
    assert get_type_hints(Keywords) == known
