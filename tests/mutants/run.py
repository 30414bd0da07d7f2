"""Runs one test in a pytest process of its own, with a mutant or without, and says how it ended."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutation import ROOT

BOUND_S = 60.0
"""A mutant that needs longer is not caught."""
TEST_BOUND_S = 45
"""What a single test may take before pytest-timeout ends the process; that is a hang, and no catch."""

BROKEN = re.compile(r"(NameError|UnboundLocalError|SyntaxError|IndentationError|ImportError|ModuleNotFoundError)\b")
"""What a mutant that was made wrongly dies of: proof of nothing."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one process ended.

    => `tests`, `examples`, `programs`, `schedules`: how many were run, the failing one included.
    => `seconds`: of the whole process.
    => `failed`: which test, empty if none. `said`: the failure's first line. `output`: what the process printed.
    """

    tests: int
    examples: int
    programs: int
    schedules: int
    seconds: float
    failed: str
    said: str
    output: str

    @property
    def caught(self) -> bool:
        """Whether a test reported a failure that is about the bug."""
        return bool(self.failed) and not BROKEN.match(self.said)

    @property
    def after(self) -> str:
        """After how many of the finest unit that was counted."""
        units = {
            "schedule": self.schedules,
            "program": self.programs,
            "example": self.examples,
            "test": self.tests,
        }
        for unit, count in units.items():
            if count:
                return f"{count} {unit}{'s' * (count > 1)}"
        return "nothing"


def why_not(test: str) -> str:
    """Return why a catcher cannot run here; empty if it can."""
    if test.startswith("explore/"):
        if sys.version_info < (3, 12):
            return "schedules are explored on Python 3.12 or later"
        if importlib.util.find_spec("interleave_test") is None:
            return "interleave-test is not installed"
    return ""


def run(test: str, mutant: str | None, record: Path) -> Ended:
    """Run a test of tests/, with the mutant of that name in it; bounded. `record` is a file to write to."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.mutants.plugin", "-p", "no:cacheprovider", "-q", "-x"]
    command += ["--tb=short", "-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning"]
    command += [
        f"--timeout={TEST_BOUND_S}",
        "--timeout-method=thread",
        f"--mutant-record={record}",
        str(ROOT / "tests" / test),
    ]
    command += ["-m", "explore"] if test.startswith("explore/") else []  # all of its schedules
    command += [] if mutant is None else [f"--mutant={mutant}"]
    # The profile with more examples is for the suites themselves; here each has to be quick.
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    began_s = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
        )
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as error:
        output = f"not ended within {BOUND_S} s\n{(error.stdout or b'').decode()}"
    seconds = time.monotonic() - began_s
    if not record.exists():  # it was ended from outside, or did not get as far as running tests
        return Ended(0, 0, 0, 0, seconds, "", "", output)
    counted = json.loads(record.read_text())
    failed = counted.pop("failed")
    said = "" if failed is None else failed["said"].strip().partition("\n")[0]
    return Ended(
        **counted, seconds=seconds, failed="" if failed is None else failed["test"], said=said, output=output
    )
