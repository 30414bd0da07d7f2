"""What `check-design` tells of failures, from reports made by hand: how much of a text, which line, which names."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli.check_design import Judge

DESIGN = Path("/nowhere/design.py")


def failed(judge: Judge, test: str, said: str, *places: tuple[str, int]) -> None:
    """Report a test that failed, and by which lines of files it came, the outermost first."""
    entries = [SimpleNamespace(reprfileloc=SimpleNamespace(path=path, lineno=line)) for path, line in places]
    longrepr = SimpleNamespace(
        reprcrash=SimpleNamespace(message=said), reprtraceback=SimpleNamespace(reprentries=entries)
    )
    report: Any = SimpleNamespace(
        nodeid=f"test_it.py::{test}", failed=True, skipped=False, when="call", longrepr=longrepr
    )
    judge.pytest_runtest_logreport(report)


def test_of_a_text_the_first_line_is_told_and_200_characters_of_that() -> None:
    judge = Judge()
    failed(judge, "test_one", f"{'x' * 200}yz\nmore")
    assert judge.lines("some")[1] == f"       {'x' * 200}"


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (("two",), "1 more test: test_two"),
        (("two", "three", "four"), "3 more tests: test_two, test_three, test_four"),
        (("two", "three", "four", "five"), "4 more tests: test_two, test_three, test_four, ..."),
    ],
)
def test_three_of_the_other_tests_are_named(others: tuple[str, ...], told: str) -> None:
    judge = Judge()
    for test in ("one", *others):
        failed(judge, f"test_{test}", "page 1 is free already")
    assert judge.lines("some")[-2] == f"       so do {told}"


def test_what_most_tests_find_comes_first() -> None:
    judge = Judge()
    for test, said in (("one", "this"), ("two", "that"), ("three", "that")):
        failed(judge, f"test_{test}", said, ("/nowhere/test_it.py", 1))
    assert [line for line in judge.lines("some") if line.startswith("fails")] == [
        "fails  test_it.py::test_two",
        "fails  test_it.py::test_one",
    ]


def test_the_place_is_the_innermost_line_of_the_design() -> None:
    judge = Judge(frozenset([DESIGN]))
    failed(
        judge,
        "test_one",
        "it broke",
        ("/nowhere/test_it.py", 5),
        (str(DESIGN), 7),
        (str(DESIGN), 9),
        ("/nowhere/uvmfree.py", 11),
    )
    assert f"       at {DESIGN}:9" in judge.lines("some")


def test_without_a_line_of_the_design_no_place_is_told() -> None:
    judge = Judge(frozenset([DESIGN]))
    failed(judge, "test_one", "it broke", ("/nowhere/test_it.py", 5))
    assert not [line for line in judge.lines("some") if line.startswith("       at ")]


def test_one_text_at_two_places_is_two_mistakes_and_numbers_are_no_difference() -> None:
    judge = Judge(frozenset([DESIGN]))
    for test, said, line in (("one", "page 1", 7), ("two", "page 0x2", 7), ("three", "page 3", 8)):
        failed(judge, f"test_{test}", said, (str(DESIGN), line))
    assert [line for line in judge.lines("some") if line.startswith(("fails", "       so"))] == [
        "fails  test_it.py::test_one",
        "       so do 1 more test: test_two",
        "fails  test_it.py::test_three",
    ]


def test_what_came_first_of_a_test_that_fails_twice_is_kept() -> None:
    judge = Judge()
    failed(judge, "test_one", "it broke")
    failed(judge, "test_one", "and so did the end of it")
    assert [each.said for each in judge.failed] == ["it broke"]


def test_of_tests_that_cannot_be_collected_the_last_line_says_why() -> None:
    judge = Judge()
    judge.pytest_collectreport(SimpleNamespace(failed=False, longrepr="fine"))
    assert judge.broken == ""
    judge.pytest_collectreport(SimpleNamespace(failed=True, longrepr="in a file\n  a line\nE   ImportError: x\n"))
    assert judge.broken == "E   ImportError: x"
