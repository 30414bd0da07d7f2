"""Examples do what they say: those in the docstrings of what the package exports, in README.md and in docs/.

=> An example is what stands at Python's prompt. Those of one page, or one docstring, follow each other.
"""

import doctest
import inspect
import re
from pathlib import Path

import pytest

import uvmfree
from uvmfree import errors
from uvmfree.design import Design

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```.*\n((?:.*\n)*?)^```", re.MULTILINE)
PAGES = {
    path.relative_to(ROOT).as_posix(): ">>> " in path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
MODULES = {"uvmfree": uvmfree, "uvmfree.errors": errors}
USED = (
    "AnonMemory",
    "Cpu",
    "CpuStats",
    "Design",
    "EventLog",
    "LockStat",
    "Pagedaemon",
    "Pageout",
    "Param",
    "PhysMem",
    "Ticket",
    "Traits",
    "Uvm",
    "UvmExp",
    "VirtualMachine",
    "VmPage",
    "Xcall",
    "boot",
)
"""What a user makes, or is handed, and calls."""
EXPORTED = {name: getattr(uvmfree, name) for name in uvmfree.__all__}
DOCSTRINGS = (
    MODULES
    | {"Design": Design}
    | {name: one for name, one in EXPORTED.items() if isinstance(one, type) or inspect.isroutine(one)}
)


def failures(test: doctest.DocTest) -> str:
    """Run examples; return what went wrong."""
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    return "".join(said)


def page(name: str, text: str) -> doctest.DocTest:
    """Return the examples in a page's blocks of code, as one."""
    blocks = (block for block in BLOCK.findall(text) if ">>> " in block)
    return doctest.DocTestParser().get_doctest("\n".join(blocks), {}, name, name, 0)


@pytest.mark.parametrize("name", [name for name, has in PAGES.items() if has])
def test_page(name: str) -> None:
    test = page(name, (ROOT / name).read_text())
    assert test.examples
    assert failures(test) == ""


@pytest.mark.parametrize("name", sorted(DOCSTRINGS))
def test_docstring(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=name not in MODULES)
    tests = finder.find(DOCSTRINGS[name], name, module=False, globs={"uvmfree": uvmfree} | EXPORTED)
    assert [said for test in tests if (said := failures(test))] == []


@pytest.mark.parametrize("name", [*MODULES, *USED])
def test_what_is_used_has_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(DOCSTRINGS[name]) or "")


def test_an_example_that_is_wrong_is_found() -> None:
    text = "```python\n>>> 1 + 1\n3\n```\n"
    assert "Expected:" in failures(page("a page", text))
    assert failures(page("a page", text.replace("3", "2"))) == ""
