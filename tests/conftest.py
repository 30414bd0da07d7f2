"""What every test gets: the same Hypothesis settings, a header that names the interpreter, no thread left over."""

import gc
import os
import platform
import signal
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.threads.summary", "tests.timelimit", "tests.plain_run"]

THREADS_END_S = 5.0

# Derandomised: a change is judged by what it changed, not by the luck of the draw. `search` is for hunting:
# pytest --hypothesis-profile=search. Speed is no verdict here, so neither deadline nor `too_slow` is one.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("default"), derandomize=False, max_examples=5000)
settings.load_profile("default")


def pytest_configure() -> None:
    """Have Ctrl-C heard: a shell without job control starts what it puts into the background with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Keep what was collected out of every later search for garbage: it stays, and each full one would visit it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_report_header() -> str:
    """Name the interpreter: what a test of threads proves depends on it."""
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    build = "free-threaded build" if sysconfig.get_config_var("Py_GIL_DISABLED") else "GIL build"
    gil = f"GIL on, switch interval {sys.getswitchinterval() * 1e3:g} ms" if enabled else "GIL off"
    return (
        f"interpreter: {platform.python_implementation()} {platform.python_version()}, {build}, {gil}, "
        f"{len(os.sched_getaffinity(0))} CPUs"
    )


@pytest.fixture(scope="module", autouse=True)
def _what_came_before_is_kept() -> None:
    """Keep what earlier files imported and cached out of the searches of this one's tests, many of which ask for one.

    => What is garbage already is taken away before, so that it is not kept.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have a folder for temporary files: what one process locks there must not keep another one waiting."""
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Fail a test that leaves a thread running, daemon or not, and name the thread.

    => A test that hangs a thread on purpose lets it go before it returns.
    """
    before = set(threading.enumerate())
    yield
    started = set(threading.enumerate()) - before
    give_up = time.monotonic() + THREADS_END_S
    for thread in started:
        thread.join(max(0.0, give_up - time.monotonic()))
    left = sorted(thread.name for thread in started if thread.is_alive())
    if left:
        pytest.fail(f"threads left running: {', '.join(left)}", pytrace=False)
