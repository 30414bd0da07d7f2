"""An executor of processes whose user is impatient: Ctrl-C again and again, and it ends, with all its processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest

from tests.cli.waiting import until
from tests.kern.tasks import WAIT_S
from uvmfree.measure.executors import local

PROGRAM = """
import signal, sys
from uvmfree.measure.executors import local

if __name__ == "__main__":
    try:
        with local(1) as (executor, _):
            executor.submit(exec, "print('begun', flush=True); import time; time.sleep(1)")
            signal.pause()
    except KeyboardInterrupt:
        sys.exit(130)
"""

BETWEEN_S = 0.2
"""Between the signals: what the first began is under way, and waits for a second that the process sleeps."""


def test_it_ends_at_the_second_interrupt() -> None:
    """The first waits for what is being measured. Where the second broke that off, the end waited for ever.

    => Nothing is said: a process that is killed is none that was lost, whatever the executor's own thread does then.
    """
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as user:
        assert user.stdout is not None
        assert user.stderr is not None
        try:
            assert user.stdout.readline() == b"begun\n"
            user.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                user.wait(BETWEEN_S)
            user.send_signal(signal.SIGINT)
            assert user.wait(WAIT_S) in (130, -signal.SIGINT)  # the latter if the first was enough, and it was ending
            assert user.stdout.read() == b""  # whoever is left would have it open
            assert user.stderr.read() == b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(user.pid, signal.SIGKILL)


def test_its_thread_has_ended_though_its_end_is_interrupted() -> None:
    """A thread that is left is stopped at the exit, wherever it is; holding the executor's lock the exit hung."""
    before = set(threading.enumerate())
    interrupt = threading.Timer(BETWEEN_S, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))

    def measuring() -> None:
        with local(1) as (executor, _):
            assert executor.submit(os.getpid).result() != os.getpid()
            future = executor.submit(exec, f"import time; time.sleep({WAIT_S})")
            until(future.running)
            interrupt.start()

    with pytest.raises(KeyboardInterrupt):
        measuring()
    interrupt.join()
    assert set(threading.enumerate()) == before


@pytest.mark.rotated(2)
def test_it_is_closed_once_though_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread still looks at its processes: closed a second time under that, it says so by a traceback."""
    asked: list[Any] = []

    def interrupted(executor: ProcessPoolExecutor, **how: Any) -> None:
        asked.append(how)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPoolExecutor, "shutdown", interrupted)
    with pytest.raises(KeyboardInterrupt), local(1) as (executor, _):
        assert executor.submit(os.getpid).result() != os.getpid()
    assert len(asked) == 1
