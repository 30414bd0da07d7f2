"""What `uvmfree check-design` counts: tests that hold, that fail, and that ask for what is not claimed."""

import sys
from pathlib import Path

import pytest

from tests.conformance.broken import ForgetsToCount
from uvmfree.cli.check_design import Judge, files_of

TESTS = '''
import pytest

@pytest.fixture
def broken():
    raise ValueError("not to be had")

def test_holds():
    pass

def test_holds_too():
    pass

def test_asks_too_much():
    pytest.skip("not claimed")

def test_fails():
    """R1: one is two."""
    assert 1 == 2

def test_is_not_begun(broken):
    """R2: it begins."""

@pytest.fixture
def left_behind():
    yield
    raise ValueError("a page")

def test_holds_and_leaves_something_behind(left_behind):
    """R3: all is freed."""

def test_fails_and_leaves_something_behind(left_behind):
    """R4: one is three."""
    assert 1 == 3

def test_asks_too_much_and_leaves_something_behind(left_behind):
    """R5: no skipping."""
    pytest.skip("not claimed")
'''


def test_each_test_counts_once_however_many_parts_it_has(tmp_path: Path) -> None:
    """Set-up, call and tear-down are a report each."""
    (tmp_path / "test_it.py").write_text(TESTS)
    judge = Judge()
    status = pytest.main(
        ["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        plugins=[judge],
    )
    assert status == pytest.ExitCode.TESTS_FAILED
    assert (judge.held, judge.unclaimed, [each.test for each in judge.failed]) == (
        2,
        1,
        [
            "test_it.py::test_fails",
            "test_it.py::test_is_not_begun",
            "test_it.py::test_holds_and_leaves_something_behind",
            "test_it.py::test_fails_and_leaves_something_behind",
            "test_it.py::test_asks_too_much_and_leaves_something_behind",
        ],
    )
    assert judge.lines("some") == [
        "fails  test_it.py::test_holds_and_leaves_something_behind",
        "       R3: all is freed.",
        "       ValueError: a page",
        "       so do 1 more test: test_asks_too_much_and_leaves_something_behind",
        "fails  test_it.py::test_fails",
        "       R1: one is two.",
        "       assert 1 == 2",
        "fails  test_it.py::test_is_not_begun",
        "       R2: it begins.",
        "       ValueError: not to be had",
        "fails  test_it.py::test_fails_and_leaves_something_behind",
        "       R4: one is three.",
        "       assert 1 == 3",
        "some: 2 tests of the contract hold, 5 fail, 1 ask for what its traits do not claim",
    ]


def test_what_many_tests_find_is_told_once() -> None:
    """One mistake fails many: with what they find, what is mostly wrong then, and the names of some."""
    judge = Judge()
    for number, test in enumerate(("one", "two", "three", "four", "five", "five")):
        judge._ended[f"test_it.py::test_{test}[{number}]"] = (
            "failed",
            f"uvmfree.errors.AuditError: page {number:#x} is free and stands on no list (and {number} more)",
        )
    judge._ended["test_it.py::test_other"] = "failed", "assert 1 == 2"
    first, *rest = judge.lines("some")
    assert first == "fails  test_it.py::test_one"
    assert rest[0] == "       page 0x0 is free and stands on no list"
    assert rest[1].startswith("       => a page left its list and came to no other")
    assert rest[2:] == [
        "       so do 5 more tests: test_two, test_three, test_four, ...",
        "fails  test_it.py::test_other",
        "       assert 1 == 2",
        "some: 0 tests of the contract hold, 7 fail, 0 ask for what its traits do not claim",
    ]


DESIGN = """
from uvmfree.uvm.designs.fpageqlock import Fpageqlock

class Ours(Fpageqlock):
    name = "ours"

    def walk(self):
        yield from self.shelf

    def parked(self):
        return self.shelf[0]
"""

ITS_TESTS = """
import pytest
from its_design import Ours

@pytest.mark.parametrize("number", [1, 2])
def test_walks(number):
    list(Ours.__new__(Ours).walk())

def test_walks_too():
    list(Ours.__new__(Ours).walk())

def test_parks():
    Ours.__new__(Ours).parked()
"""


def test_a_mistake_is_told_with_its_place_in_the_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is met: one text at one place is one mistake, at another it is another one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "its_design.py").write_text(DESIGN)
    (tmp_path / "test_places.py").write_text(ITS_TESTS)
    judge = Judge(frozenset([tmp_path / "its_design.py"]))
    where = ["--rootdir", str(tmp_path), str(tmp_path)]
    pytest.main(["-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", *where], plugins=[judge])
    del sys.modules["its_design"]
    assert judge.lines("ours")[:-1] == [
        "fails  test_places.py::test_walks",
        "       AttributeError: 'Ours' object has no attribute 'shelf'",
        "       at its_design.py:8",
        "       so do 2 more tests: test_walks_too",
        "fails  test_places.py::test_parks",
        "       AttributeError: 'Ours' object has no attribute 'shelf'",
        "       at its_design.py:11",
    ]


def test_the_files_of_a_design_are_those_of_its_own_package() -> None:
    names = {path.name for path in files_of(ForgetsToCount)}
    assert names == {"broken.py", "linux_like.py"}


def test_a_lock_that_counts_nothing_is_told_with_what_to_do() -> None:
    judge = Judge()
    said = "AssertionError: 16 pages move in a hold of trays, and guarded() names nothing that counts them"
    judge._ended["test_it.py::test_one"] = "failed", said
    assert judge.lines("some")[2].startswith("       => a hold of that lock counts as one page")


@pytest.mark.parametrize(
    "said",
    [
        "the cache of CPU 0: is marked as in a CPU's cache, owner None; it is in a CPU's cache, owner 0",
        "the global list: is marked as in a CPU's cache, owner None; it is on the global list, owner None",
    ],
)
def test_a_list_that_is_marked_wrongly_may_be_right(said: str) -> None:
    """Either the list, or walk()."""
    judge = Judge()
    judge._ended["test_places.py::test_one"] = "failed", f"uvmfree.errors.AuditError: {said}"
    advice = judge.lines("some")[2]
    assert "`pages.owner = self.index`" in advice
    assert "walk() is not" in advice
