"""What the tests of this folder say at the end: how far the counters were seen to lag behind the lists."""

import pytest

from tests.threads.programs import Report

REPORT = pytest.StashKey[Report]()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """Collect what all observers saw; printed when the tests are over."""
    return request.config.stash.setdefault(REPORT, Report())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the widest gaps, each with the bound that held at that moment."""
    seen = config.stash.get(REPORT, Report())
    if seen.programs:
        amount = f"{seen.programs} programs, {seen.looks} looks, {seen.reads} unlocked reads"
        terminalreporter.section(f"uvmexp.free against the lists: {amount}")
    for variant, widest in sorted(seen.widest.items()):
        (high, high_bound), (low, low_bound) = widest.high, widest.low
        terminalreporter.write_line(
            f"largest gap {high:+} (bound {high_bound:+}) and {low:+} (bound {low_bound:+}) pages: {variant}"
        )
