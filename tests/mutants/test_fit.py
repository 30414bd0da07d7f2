"""The mutants fit the shipped code: each of them is still the change that it says, and stands in docs/mutants.md.

In the plain run: whoever changes a line that a mutant is about learns it at once, and not when a bug goes uncaught.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.bugs import MUTANTS
from tests.mutants.mutation import ROOT, Disarmed, Mutant, after, become, before, forget
from tests.mutants.run import BOUND_S, run
from tests.mutants.test_mutants import test_caught as caught

MUST = (
    "forgotten spill", "splice loses the tail", "count before publish", "free read inside the wrong lock",
    "kick under a lock", "wakeup before the state change", "rate limit that starves", "stale nextcolor",
    "zero flag kept on a dirty page", "double insert", "reserve ignored", "ticket satisfied early",
    "swallowed xcall error", "pglistalloc misses cached pages", "pglistalloc takes a half-zeroed page",
    "lost page at detach", "pdpending unlocked",
)  # fmt: skip
"""Bugs that no list may lack."""


@cache
def dumped(source: str) -> str:
    """Return what a module says; many mutants are of one."""
    return ast.dump(ast.parse(source))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_the_product_with_its_lines_changed(name: str) -> None:
    mutant = MUTANTS[name]
    source = (ROOT / mutant.module.replace(".", "/")).with_suffix(".py").read_text()
    mutated = ast.parse(mutant.mutate(source))
    assert ast.dump(mutated) != dumped(source)
    compile(mutated, name, "exec")


@pytest.mark.parametrize("name", MUTANTS)
def test_what_catches_it_is_there(name: str) -> None:
    path, _, test = MUTANTS[name].caught_by.partition("::")
    assert f"def {test.partition('[')[0]}(" in (ROOT / "tests" / path).read_text()


def test_no_list_without_these() -> None:
    """At least 30, and among them those that every suite for an allocator should find."""
    assert len(MUTANTS) >= 30
    assert {mutant.name for mutant in MUTANTS.values()} >= set(MUST)


def test_each_is_explained() -> None:
    """docs/mutants.md says of each what it is, why it matters and what caught it; and how many there are."""
    document = (ROOT / "docs/mutants.md").read_text()
    missing = [mutant.name for mutant in MUTANTS.values() if f"| {mutant.name} | {mutant.bug}" not in document]
    missing += [name for name in MUTANTS if f"| {name} " not in document]
    assert missing == []
    (a_day,) = next(mark.args for mark in caught.pytestmark if mark.name == "sampled")  # type: ignore[attr-defined]
    assert f"There are {len(MUTANTS)} bugs. `.ci/run` runs {a_day} of them each day" in document


SOURCE = """\
class A:
    def f(self):
        x = 1
        if x:
            x = 2
        return x


def f():
    return 3
"""


def made(where: str, *changes: object) -> Mutant:
    return Mutant("some bug", f"some.module:{where}", changes, "", "", "")  # type: ignore[arg-type]


def test_changes_keep_to_their_function() -> None:
    assert "return 4" in made("f", become("return 3", "return 4")).mutate(SOURCE)
    assert made("A.f", forget("x = 2")).mutate(SOURCE) == SOURCE.replace("x = 2", "pass")
    assert "        x = 1\n        y = 5\n        if x" in made("A.f", after("x = 1", "y = 5")).mutate(SOURCE)
    assert "    if x:\n            y = 5\n            x = 2" in made("A.f", before("x = 2", "y = 5")).mutate(SOURCE)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("A.f", become("return 3", "return 4")),
        ("A.f", become("x", "y")),
        ("A.f", forget("x = 3")),
        ("A.g", forget("x = 2")),
        ("g", forget("x = 2")),
        ("A.f", after("x =", "y = 5")),
    ],
)
def test_a_change_that_does_not_fit_is_refused_and_named(where: str, change: object) -> None:
    with pytest.raises(Disarmed, match=where):
        made(where, change).mutate(SOURCE)


@pytest.mark.timeout(2 * BOUND_S)
@pytest.mark.rotated(2)
def test_a_process_with_a_mutant_has_it(tmp_path: Path) -> None:
    """The plugin puts the bug where the package is imported from, and says how the tests ended."""
    (tmp_path / "test_it.py").write_text(
        "import uvmfree.uvm.pglist\n"
        "def test_it():\n    assert uvmfree.uvm.pglist._round_up(8, 4) == 8\n"
        "def test_next():\n    pass\n"
    )
    ended = run(str(tmp_path / "test_it.py"), None, tmp_path / "record")
    assert (ended.failed, ended.tests, ended.after) == ("", 2, "2 tests"), ended.output
    ended = run(str(tmp_path / "test_it.py"), "alignment-off-by-one", tmp_path / "record")
    assert ended.caught, ended.output
    assert (ended.after, ended.said[-12:]) == ("1 test", "sert 12 == 8"), ended.output
