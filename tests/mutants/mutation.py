"""A mutant: a small, named change to the shipped code, made while the module is loaded, never in the product.

=> A change says which text of one function becomes which. That text has to occur there exactly once, or Disarmed is
   raised: a refactoring cannot silently turn a mutant into the product.
=> install() has the module come from the changed source, under its own file name: every importer gets the bug, and
   tools that go by paths see the file that they know.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[2]

Change = Callable[[str], str]
"""From the source of a function, indented as if it stood alone, to another one."""


class Disarmed(AssertionError):
    """The shipped code is no longer what the mutant was made for."""


def become(old: str, new: str) -> Change:
    """Replace a piece of text."""

    def change(source: str) -> str:
        if (times := source.count(old)) != 1:
            raise Disarmed(f"{old!r} occurs {times} times, not once")
        return source.replace(old, new)

    return change


def _at_line(line: str, put: Callable[[str, str], str]) -> Change:
    def change(source: str) -> str:
        lines = source.splitlines(keepends=True)
        found = [number for number, text in enumerate(lines) if text.strip() == line]
        if len(found) != 1:
            raise Disarmed(f"the line {line!r} occurs {len(found)} times, not once")
        (at,) = found
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at] = put(lines[at], indent)
        return "".join(lines)

    return change


def forget(line: str) -> Change:
    """Do nothing where a line stood."""
    return _at_line(line, lambda text, indent: f"{indent}pass\n")


def before(line: str, *new: str) -> Change:
    """Put lines before one, as far indented."""
    return _at_line(line, lambda text, indent: "".join(f"{indent}{each}\n" for each in new) + text)


def after(line: str, *new: str) -> Change:
    """Put lines after one, as far indented."""
    return _at_line(line, lambda text, indent: text + "".join(f"{indent}{each}\n" for each in new))


@dataclass(frozen=True, slots=True)
class Mutant:
    """One seeded bug.

    => `name`: how the table calls it. `where`: the function, as `module:Class.function`.
    => `bug`: what the changed code does. `harm`: why that matters. One line each, for docs/mutants.md.
    => `caught_by`: the test that must fail, as pytest names it, without `tests/`.
    """

    name: str
    where: str
    changes: Sequence[Change]
    bug: str
    harm: str
    caught_by: str

    @property
    def module(self) -> str:
        """The module that is changed."""
        return self.where.partition(":")[0]

    def mutate(self, source: str) -> str:
        """Return the source of the module with the bug in it; Disarmed if there is no such place."""
        lines = source.splitlines(keepends=True)
        start, end = _span(ast.parse(source), self.where.partition(":")[2].split("."))
        text = "".join(lines[start:end])
        indent = text[: len(text) - len(text.lstrip(" "))]
        mutated = textwrap.dedent(text)
        try:
            for change in self.changes:
                mutated = change(mutated)
        except Disarmed as error:
            raise Disarmed(f"{self.name}: in {self.where} {error}") from None
        return "".join(lines[:start]) + textwrap.indent(mutated, indent) + "".join(lines[end:])


def _span(tree: ast.AST, path: Sequence[str]) -> tuple[int, int]:
    """Return the first line of a function of the module, counted from 0, and the line after its last."""
    node = tree
    for name in path:
        kinds = (ast.FunctionDef, ast.ClassDef)
        found = [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds) and child.name == name]
        if len(found) != 1:
            raise Disarmed(f"there is no function {'.'.join(path)}")
        (node,) = found
    assert isinstance(node, ast.FunctionDef)
    assert node.end_lineno is not None
    return node.lineno - 1, node.end_lineno


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads the changed source, past all compiled files."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        return compile(self._mutant.mutate(Path(path).read_text()), path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=_Loader(self._mutant, spec.origin)
        )


def install(mutant: Mutant) -> None:
    """Put the bug in, for the life of this process; before anything of the package is imported."""
    loaded = sorted(name for name in sys.modules if name.split(".")[0] == "uvmfree")
    assert not loaded, f"too late for a mutant, there is already {', '.join(loaded)}"
    sys.meta_path.insert(0, _Finder(mutant))
