"""A plugin for one pytest process: puts a mutant in before anything is imported, and writes down how the tests end.

python -m pytest -p tests.mutants.plugin --mutant forgotten-spill -x tests/...

=> Examples of Hypothesis, programs on real threads and schedules of interleave-test are counted, up to and including
   the first that fails.
=> Failures are not shrunk: that something is caught is all that is asked here.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.statistics import collector

from tests.mutants.bugs import MUTANTS
from tests.mutants.mutation import install

with contextlib.suppress(ImportError):
    import interleave_test


EXAMPLES = 200
"""Twice as many as in a plain run, with a bug and without: what a property finds must not hang by a few examples."""


class Count:
    """What was run, and how it ended."""

    def __init__(self) -> None:
        self.tests = self.examples = self.programs = self.schedules = 0
        self.failed: dict[str, str] | None = None


_count = Count()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mutants")
    group.addoption("--mutant", choices=list(MUTANTS), help="put this bug in")
    group.addoption("--mutant-record", type=Path, help="write how the tests ended to this file, as JSON")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    name = early_config.known_args_namespace.mutant
    if name is not None:
        install(MUTANTS[name])


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Take over from the profile that tests/conftest.py has loaded by now."""
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile(
        "mutants", settings(), phases=phases, max_examples=EXAMPLES, database=None, print_blob=False
    )
    settings.load_profile("mutants")
    with contextlib.suppress(NameError):
        _count_schedules()


def pytest_collection_finish() -> None:
    """Count programs on real threads, and have those that fail not be shortened either."""
    if programs := sys.modules.get("tests.threads.programs"):
        vars(programs)["SHRINK_S"] = 0.0
        vars(programs)["run_program"] = _counted_program(vars(programs)["run_program"])


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Count examples; the innermost wrapper, so that Hypothesis's own reporting is kept from it."""
    _count.tests += 1
    with collector.with_value(_count_examples):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed and _count.failed is None:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = str(report.longrepr) if crash is None else crash.message
        if said == "AssertionError":  # of a module whose assertions pytest does not explain
            said += f", {Path(crash.path).name}:{crash.lineno}"
        _count.failed = {"test": report.nodeid, "when": report.when or "", "said": said}


def pytest_sessionfinish(session: pytest.Session) -> None:
    to = session.config.getoption("mutant_record")
    if to is not None:
        to.write_text(json.dumps(vars(_count)))


def _count_examples(stats: dict[str, Any]) -> None:
    for phase in ("reuse-phase", "generate-phase"):
        for case in stats.get(phase, {}).get("test-cases", ()):
            _count.examples += 1
            if case["status"] == "interesting":
                return


def _counted_program(run_program: Callable[..., None]) -> Callable[..., None]:
    failed = False

    def counted(*args: Any, **how: Any) -> None:
        nonlocal failed
        _count.programs += not failed
        try:
            run_program(*args, **how)
        except BaseException:
            failed = True
            raise

    return counted


def _count_schedules() -> None:
    explore = interleave_test.explore

    def counted(*args: Any, **how: Any) -> Any:
        try:
            result = explore(*args, **how)
        except interleave_test.InterleaveError as error:
            _count.schedules += error.result.schedules_run if error.result is not None else 0
            raise
        _count.schedules += result.schedules_run
        return result

    interleave_test.explore = counted
