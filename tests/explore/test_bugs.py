"""The models can fail: each seeded bug of concurrency is found, and its one line finds it again."""

import os
import shlex
import subprocess
import sys

import pytest

from tests.explore import bugs
from tests.explore.explorer import ROOT
from tests.explore.models import explore_model

pytestmark = [
    pytest.mark.explore,
    # A bug ends its schedule wherever the threads are: what they leave behind may complain when it is collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

BUG_SCHEDULES = 3000
"""What a model explores of itself; a bug that it does not find in so many it is as good as blind to."""

RACE = "redistribution_without_the_cpu_lock"
DEADLOCK = "sleeper_listed_after_the_unlock"


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a reader would who pastes it into a shell, in the project's folder."""
    return subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False
    )


def patch(bug: str) -> str:
    return f"tests.explore.bugs:{bug}"


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("_quick_enough")
@pytest.mark.parametrize("bug", bugs.CAUGHT_BY)
def test_a_seeded_bug_is_found(bug: str) -> None:
    """R3, R18, R22, R28, R30, Q13 and the lock order: broken by a line or two, and noticed."""
    outcome = explore_model(bugs.CAUGHT_BY[bug], BUG_SCHEDULES, seed=1, patch=patch(bug))
    assert outcome.failure is not None


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("bug", "says"), [(RACE, "Error"), (DEADLOCK, "deadlock: every live thread is blocked")])
def test_the_line_that_a_failure_prints_fails_again(bug: str, says: str) -> None:
    """A schedule is a whole description of a failure: replayed, it ends in the very same way."""
    outcome = explore_model(bugs.CAUGHT_BY[bug], BUG_SCHEDULES, seed=1, patch=patch(bug))
    assert outcome.failure is not None
    assert outcome.reproduce is not None
    assert outcome.failure.splitlines()[-1] == outcome.reproduce
    (said,) = {line for line in outcome.failure.splitlines() if line.startswith(says) or f"{says}:" in line}
    for _ in range(2):
        again = run(outcome.reproduce)
        assert again.returncode == 1, again.stdout + again.stderr
        assert said in again.stdout


def test_a_schedule_of_other_code_is_refused() -> None:
    """Without the bug the same schedule leads elsewhere; that is said, and passes for neither success nor failure."""
    outcome = explore_model(bugs.CAUGHT_BY[RACE], BUG_SCHEDULES, seed=1, patch=patch(RACE))
    assert outcome.reproduce is not None
    line, _, _ = outcome.reproduce.partition(" --patch")
    done = run(line)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "does not fit this code" in done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nonsense alloc//", "nonsense"),
        ("redistribute alloc//sing", "'sing'"),
        ("redistribute alloc", "3 threads"),
        ("redistribute alloc//", "none.json"),
    ],
)
def test_a_wrong_line_is_told_what_is_wrong(words: str, says: str) -> None:
    done = run(f"PYTHONPATH=. {shlex.quote(sys.executable)} -m tests.explore.replay {words} none.json")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
