"""Every seeded bug is caught by the suite that should catch it, and without the bug that suite finds nothing.

./run pytest -m mutants

=> Each runs in a process of its own, so that a bug which hangs a thread or breaks a module harms no other.
=> A table at the end says what caught each bug, after how many examples, schedules or tests, in how many seconds.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutants.bugs import MUTANTS
from tests.mutants.run import BOUND_S, run, why_not

Record = Callable[[str, object], None]

pytestmark = [pytest.mark.mutants, pytest.mark.timeout(2 * BOUND_S)]

CATCHERS = sorted({mutant.caught_by for mutant in MUTANTS.values()})


def skip_unless_it_runs_here(test: str) -> None:
    if why := why_not(test):
        pytest.skip(why)


@pytest.mark.sampled(30)
@pytest.mark.parametrize("test", CATCHERS)
def test_the_product_passes(test: str, tmp_path: Path) -> None:
    """The control: what catches a bug finds nothing in the code as it is shipped."""
    skip_unless_it_runs_here(test)
    ended = run(test, None, tmp_path / "record")
    assert not ended.failed, ended.output
    assert ended.tests, ended.output


@pytest.mark.sampled(80)
@pytest.mark.parametrize("name", MUTANTS)
def test_caught(name: str, tmp_path: Path, record_property: Record) -> None:
    """The bug is found, by a failure that a test reports, within the bound."""
    mutant = MUTANTS[name]
    skip_unless_it_runs_here(mutant.caught_by)
    ended = run(mutant.caught_by, name, tmp_path / "record")
    record_property("mutant", (name, mutant.caught_by, ended.after, ended.seconds, ended.said))
    assert ended.caught, f"{mutant.bug}: {ended.said or 'no test failed'}\n{ended.output}"
    assert ended.seconds < BOUND_S
