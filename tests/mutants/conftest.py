"""When the mutants run, and the table that they end with."""

import pytest

HEAD = ("bug", "caught by", "after", "s")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the mutants out unless they were asked for, by their mark or by their file."""
    if "mutants" in str(config.getoption("markexpr")) or any("test_mutants.py" in arg for arg in config.args):
        return
    asked = [item for item in items if not item.get_closest_marker("mutants")]
    left_out = [item for item in items if item.get_closest_marker("mutants")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = asked


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each mutant that was run: what caught it, after how much, in how many seconds."""
    rows = []
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for key, value in getattr(report, "user_properties", ()):
                if key == "mutant":
                    name, test, after, seconds, _ = value
                    rows.append((name, test if outcome == "passed" else "NOT CAUGHT", after, f"{seconds:.1f}"))
    if not rows:
        return
    terminalreporter.section("seeded bugs")
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    for row in (HEAD, tuple("-" * width for width in widths), *sorted(rows)):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
    caught = sum(row[1] != "NOT CAUGHT" for row in rows)
    terminalreporter.write_line(f"{caught} of {len(rows)} caught, in {sum(float(row[3]) for row in rows):.0f} s")
