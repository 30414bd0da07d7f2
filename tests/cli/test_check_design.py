"""What `uvmfree check-design` counts: tests that hold, that fail, and that ask for what is not claimed."""

from pathlib import Path

import pytest

from uvmfree.cli.check_design import Judge

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
    assert (judge.held, judge.unclaimed, [test for test, _, _ in judge.failed]) == (
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
        "fails  test_it.py::test_fails",
        "       R1: one is two.",
        "       assert 1 == 2",
        "fails  test_it.py::test_is_not_begun",
        "       R2: it begins.",
        "       ValueError: not to be had",
        "fails  test_it.py::test_holds_and_leaves_something_behind",
        "       R3: all is freed.",
        "       ValueError: a page",
        "fails  test_it.py::test_fails_and_leaves_something_behind",
        "       R4: one is three.",
        "       assert 1 == 3",
        "fails  test_it.py::test_asks_too_much_and_leaves_something_behind",
        "       R5: no skipping.",
        "       ValueError: a page",
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
        "       so do test_two, test_three, test_four, 1 more",
        "fails  test_it.py::test_other",
        "       assert 1 == 2",
        "some: 0 tests of the contract hold, 7 fail, 0 ask for what its traits do not claim",
    ]
