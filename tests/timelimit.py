"""A pytest plugin: a test that its time limit does not end takes its process down, with the stacks of all threads.

=> pytest-timeout ends a test that is too long by an alarm: it fails, and the next one runs. That needs the main
   thread in the interpreter. In a lock of C code, or in what clears up after the test, it may stay for ever.
=> So a thread of C code, which needs neither the interpreter nor its locks, waits beside it: `timeout_grace` seconds
   after the limit it writes all stacks to stderr, and ends the process with 1. pytest-xdist then names the test and
   ends the run.
"""

import faulthandler
import os
from collections.abc import Iterator

import pytest

_STDERR = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `-o timeout_grace=SECONDS`."""
    parser.addini("timeout_grace", "seconds after its time limit until a test takes its process down", default="60")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the stderr that is there before tests run, whose own is captured."""
    config.stash[_STDERR] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close it."""
    os.close(config.stash[_STDERR])


def limit_s(item: pytest.Item) -> float:
    """Return the limit that pytest-timeout has for a test; 0 for none."""
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        return float(marker.args[0] if marker.args else marker.kwargs["timeout"])
    given = item.config.getoption("timeout")
    return float((item.config.getini("timeout") or 0) if given is None else given)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch one test, its set-up and what clears up after it."""
    limit = limit_s(item)
    if limit:
        grace = float(item.config.getini("timeout_grace"))
        faulthandler.dump_traceback_later(limit + grace, exit=True, file=item.config.stash[_STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
