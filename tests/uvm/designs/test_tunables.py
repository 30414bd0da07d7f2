"""Which tunables a design says that it uses: just those that its code reads, or what serves its caches."""

import ast
import importlib
import inspect
from dataclasses import fields
from types import ModuleType

import pytest

from uvmfree.param import Param
from uvmfree.uvm import drainer, system
from uvmfree.uvm.designs import REGISTRY, design_for

SYSTEMS = {"npages", "pagesize", "ncpus", "ncolors", "nfreelists", "idlezero", "idle_interval_s"}
"""What every system has, whatever its design."""

CHOICE = {"design", "lockstat", "lockdebug"}
"""What chooses a design, or watches it."""


def read_in(module: ModuleType) -> set[str]:
    """The fields of Param that a module reads, as `param.NAME`."""
    tree = ast.parse(inspect.getsource(module))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute | ast.Name)
        and (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id) == "param"
    }


def modules_of(name: str) -> set[str]:
    """The modules of a design, of its variants and of their CPUs."""
    variants = [design_for(Param(design=name)), design_for(Param(design=name, hoard_max=8))]
    classes = [base for variant in variants for base in variant.__mro__]
    classes += [base for variant in variants for base in getattr(variant, "cpu_class", object).__mro__]
    return {each.__module__ for each in classes if each.__module__.startswith("uvmfree.uvm.designs")}


@pytest.mark.parametrize("name", REGISTRY)
def test_a_design_uses_what_it_says(name: str) -> None:
    read = set().union(*(read_in(importlib.import_module(module)) for module in modules_of(name)))
    if "refill" in read:  # it has caches: they are drained, and may count as free
        read |= read_in(drainer) | (read_in(system) & {"count_cached"})
    assert read - SYSTEMS - CHOICE == REGISTRY[name].tunables


def test_each_tunable_is_somebodys() -> None:
    """Whoever adds one has to say whose: a sweep measures only what a design uses."""
    of_designs = frozenset[str]().union(*(design.tunables for design in REGISTRY.values()))
    assert {field.name for field in fields(Param)} == SYSTEMS | CHOICE | of_designs
    assert not of_designs & (SYSTEMS | CHOICE)
