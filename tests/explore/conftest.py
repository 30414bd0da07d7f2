"""How many schedules are explored: a few in a plain run, all that were asked for with `pytest -m explore`."""

import sys
import sysconfig

import pytest

FULL = 500
"""Schedules of each model that `pytest -m explore` explores at least."""

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
"""There a switch takes ten times as long, since every waiting thread wakes at once to see whose turn it is."""

QUICK = 15 if FREE_THREADED else 50
"""Schedules of each model in a plain run: enough to notice much of what goes wrong, in a second or so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the explorer where it does not run."""
    if sys.version_info < (3, 12):
        for item in items:
            if item.get_closest_marker("explore"):
                item.add_marker(pytest.mark.skip(reason="interleave-test needs Python 3.12 or later"))


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether this run is `pytest -m explore`."""
    return "explore" in str(request.config.getoption("markexpr")).replace("not explore", "")


@pytest.fixture
def _quick_enough(thorough: bool) -> None:
    """Skip a test in a plain run where it would take minutes; what it shows does not depend on the interpreter."""
    if FREE_THREADED and not thorough:
        pytest.skip("takes minutes without the GIL; `pytest -m explore` does it")


@pytest.fixture(scope="session")
def budget(thorough: bool) -> int:
    """Return how many schedules of each model are to be explored."""
    return FULL if thorough else QUICK
