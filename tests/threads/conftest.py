"""What the tests of this folder say at the end: how far the counters were seen to lag behind the lists."""

from collections.abc import Iterator

import pytest

from tests.threads.programs import Report
from tests.threads.summary import REPORT


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """Collect what all observers saw; tests/threads/summary.py prints it when the tests are over."""
    report = Report()
    yield report
    request.config.stash[REPORT] = [report.plain()]
