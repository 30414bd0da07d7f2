"""Which tunables a design says that it uses: just those that its code reads, or what serves its caches."""

import ast
import importlib
import inspect
from dataclasses import fields
from types import ModuleType

import pytest

from uvmfree.param import Param
from uvmfree.uvm import drainer
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs import REGISTRY

SYSTEMS = {"npages", "pagesize", "ncpus", "ncolors", "nfreelists", "idlezero", "idle_interval_s"}
"""What every system has, whatever its design."""

BY_CAUSE = {**dict.fromkeys(("timer", "decay", "trim"), "redistribute_interval_s"), "retry": "drain_retry"}
"""What decides about a cause, in code that all designs share."""

CHOICE = {"design", "lockstat", "lockdebug"}
"""What chooses a design, or watches it."""


def read_in(module: ModuleType) -> set[str]:
    """The tunables that a module reads, as `param.NAME` or `tunables.NAME`."""
    tree = ast.parse(inspect.getsource(module))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute | ast.Name)
        and (node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id) in ("param", "tunables")
    }


@pytest.mark.whole
@pytest.mark.parametrize("name", REGISTRY)
def test_a_design_uses_what_it_says(name: str) -> None:
    design = REGISTRY[name]
    others = {other.__module__ for other in REGISTRY.values() if other is not design}
    parts = {part.__module__ for part in (design, *design.cpu_class.__mro__, design.Tunables)} - others
    modules = {part for part in parts if part.startswith(design.__module__.rpartition(".")[0])} | {
        design.Tunables.__module__,
        *(base.__module__ for base in design.__mro__ if issubclass(base, Design)),
    } - {Design.__module__}
    read = set[str]().union(*(read_in(importlib.import_module(module)) for module in modules))
    if "pressure" in design.CAUSES:
        read |= read_in(drainer)
    if design.traits(Param(), design.Tunables()).free == "store":  # what is cached counts as free, or does not
        read.add("count_cached")
    read |= {tunable for cause, tunable in BY_CAUSE.items() if cause in design.CAUSES}
    if "retry" in design.CAUSES:
        read.add("redistribute_min_gap_s")
    assert read - SYSTEMS - CHOICE == design.used()


def test_each_tunable_is_somebodys() -> None:
    """Whoever adds one has to say whose: a sweep measures only what a design uses."""
    of_designs = frozenset[str]().union(*(design.uses for design in REGISTRY.values()))
    assert {field.name for field in fields(Param)} >= SYSTEMS | CHOICE | of_designs
    assert not of_designs & (SYSTEMS | CHOICE)


@pytest.mark.whole
@pytest.mark.parametrize("name", REGISTRY)
def test_each_tunable_of_a_design_has_a_unit_and_a_reason(name: str) -> None:
    for field in fields(REGISTRY[name].Tunables):
        assert field.metadata["unit"]
        assert field.metadata["why"]


@pytest.mark.parametrize("cause", ["pressure", "retry"])
def test_either_cause_that_goes_by_a_gap_uses_the_gap(cause: str) -> None:
    class Caused(REGISTRY["percpu"]):  # type: ignore[misc,name-defined]
        """A design with one cause."""

        CAUSES = (cause,)

    assert "redistribute_min_gap_s" in Caused.used()
    assert "redistribute_interval_s" not in Caused.used()
