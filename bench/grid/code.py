"""By which code a cell was measured: a few characters that change when code changes that the cell runs.

=> The code of a cell is every module that its module and its design import, and what those import, as far as they
   are of this project. Other designs are not of it, though the registry imports them all: a change of one design
   leaves the figures of the others as they are.
=> Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from uvmfree.uvm.designs import REGISTRY

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("uvmfree", "bench")
DESIGNS: Final = "uvmfree.uvm.designs"


def modules_of(module: str, design: str) -> frozenset[str]:
    """Return the modules that a cell of a module runs; those of a design that is not registered are not known."""
    own = REGISTRY[design].__module__ if design in REGISTRY else module
    return _closure(module) | _closure(own)


@cache
def code_of(module: str, design: str) -> str:
    """Return the mark of what a cell of a module runs to play a design."""
    digest = hashlib.sha256()
    for name in sorted(modules_of(module, design)):
        digest.update(f"{name}\n{_text(name)}\n".encode())
    return digest.hexdigest()[:12]


@cache
def _closure(module: str) -> frozenset[str]:
    """Return a module and all that it imports, by way of others, too; through the registry nothing."""
    found: set[str] = set()
    left = [module]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [] if name == DESIGNS else _imports(name)
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Return the modules of this project that a module names in its imports."""
    named: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            named |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            named |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return tuple(sorted(name for name in named if name.partition(".")[0] in PACKAGES and _file(name) is not None))


@cache
def _text(module: str) -> str:
    """Return a module without what a run does not see."""
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _tree(module: str) -> ast.Module:
    file = _file(module)
    return ast.parse(file.read_bytes()) if file is not None else ast.Module([], [])


def _file(module: str) -> Path | None:
    """Return the file of a module of this project, if it is one."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
