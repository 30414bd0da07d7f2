"""How many schedules are explored: a few in a plain run, all that were asked for with `pytest -m explore`."""

import sys

import pytest

FULL = 500
"""Schedules of each model that `pytest -m explore` explores at least."""

QUICK = 50
"""Schedules of each model in a plain run: enough to notice most of what goes wrong, in a second or so."""


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


@pytest.fixture(scope="session")
def budget(thorough: bool) -> int:
    """Return how many schedules of each model are to be explored."""
    return FULL if thorough else QUICK
