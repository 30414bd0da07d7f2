"""The widest gaps that observers saw, printed when the tests are over, also of tests that ran in other processes."""

from typing import Any

import pytest

REPORT = pytest.StashKey[list[dict[str, Any]]]()
"""A Report of tests/threads/programs.py, as plain values, from each process."""
OUTPUT = "uvmfree.threads"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what was seen, if this is one of several processes."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[OUTPUT] = session.config.stash.get(REPORT, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    seen = node.config.stash.setdefault(REPORT, [])
    seen += getattr(node, "workeroutput", {}).get(OUTPUT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the widest gaps, each with the bound that held at that moment."""
    reports = config.stash.get(REPORT, [])
    if not reports:
        return
    programs, looks, reads = (sum(each[name] for each in reports) for name in ("programs", "looks", "reads"))
    amount = f"{programs} programs, {looks} looks, {reads} unlocked reads"
    terminalreporter.section(f"uvmexp.free against the lists: {amount}")
    for variant in sorted({variant for each in reports for variant in each["widest"]}):
        seen = [each["widest"][variant] for each in reports if variant in each["widest"]]
        (high, high_bound), (low, low_bound) = max(each["high"] for each in seen), min(each["low"] for each in seen)
        terminalreporter.write_line(
            f"largest gap {high:+} (bound {high_bound:+}) and {low:+} (bound {low_bound:+}) pages: {variant}"
        )
