"""What `uvmfree check-design` runs, and its exit code by how the contract's tests ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import uvmfree.measure.extras
from tests.cli.conftest import Said

Run = Callable[..., Said]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Have pytest end like that, with so many tests that held and that failed; return what it was called with."""

    def ends(status: int, held: int = 0, failed: int = 0, broken: str = "") -> list[list[str]]:
        calls: list[list[str]] = []

        def main(args: list[str], plugins: list[Any]) -> int:
            calls.append(args)
            (judge,) = plugins
            judge.broken = broken
            for number in range(held + failed):
                crash = SimpleNamespace(reprcrash=SimpleNamespace(message="assert 1 == 2"))
                judge.pytest_runtest_logreport(
                    SimpleNamespace(
                        nodeid=f"test_it.py::test_{number}",
                        failed=number >= held,
                        skipped=False,
                        when="call",
                        longrepr=crash,
                    )
                )
            return status

        stand_in = SimpleNamespace(main=main, ExitCode=pytest.ExitCode)
        monkeypatch.setattr(uvmfree.measure.extras, "needs", lambda *_: stand_in)
        return calls

    return ends


def test_what_is_no_design_is_refused_before_any_test_runs(run: Run, ends: Callable[..., list[list[str]]]) -> None:
    calls = ends(pytest.ExitCode.OK, held=3)
    said = run("check-design", "hope")
    assert (said.status, said.out, calls) == (2, "", [])
    assert "hope" in said.err


def test_the_tests_are_those_of_the_contract_on_that_design(run: Run, ends: Callable[..., list[list[str]]]) -> None:
    calls = ends(pytest.ExitCode.OK, held=3)
    assert run("check-design", "depot").status == 0
    ((*_, where),) = calls
    root = Path(where).parents[1]
    assert (root / "tests/conformance/conftest.py").is_file()
    assert calls[0][calls[0].index("--design") + 1] == "depot"
    assert calls[0][calls[0].index("--rootdir") + 1] == str(root)
    assert f"pythonpath={root}" in calls[0]


@pytest.mark.parametrize(
    ("ended", "status", "said"),
    [
        ({"status": 0, "held": 3}, 0, ""),
        ({"status": 1, "held": 2, "failed": 1}, 1, ""),
        ({"status": 0}, 1, "the tests did not run to their end: 0"),
        (
            {"status": 2, "held": 3, "broken": "no such module"},
            1,
            "the tests did not run to their end: no such module",
        ),
        ({"status": 1, "failed": 2}, 1, "the tests did not run to their end: 1"),
    ],
)
def test_only_tests_that_ran_to_their_end_and_held_are_a_success(
    run: Run, ends: Callable[..., list[list[str]]], ended: dict[str, Any], status: int, said: str
) -> None:
    ends(**ended)
    found = run("check-design", "depot")
    assert (found.status, found.err != "") == (status, said != "")
    assert said in found.err
    sums = f"depot: {ended.get('held', 0)} tests of the contract hold, {ended.get('failed', 0)} fail, "
    assert found.out.splitlines()[-1] == f"{sums}0 ask for what its traits do not claim"
