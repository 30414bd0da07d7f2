"""A process that measures is killed, as one is for want of memory: its user hears of it, and is not left waiting."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.kern.tasks import WORK_S

PROGRAM = '''
from uvmfree.errors import WorkerLostError
from uvmfree.measure.executors import local

ASKING = """
import signal
from uvmfree.measure.cell import Worker
signal.setitimer(signal.ITIMER_REAL, 0.05)  # SIGALRM kills, in the midst of whatever is done then
while True:
    Worker.stop()
"""

if __name__ == "__main__":
    for _ in range(3):
        try:
            with local(1) as (executor, _):
                executor.submit(exec, ASKING).result()
        except WorkerLostError:
            print("lost", flush=True)
'''


@pytest.mark.rotated(2)
def test_it_is_said_whatever_the_process_was_doing() -> None:
    """Also while it asks whether to stop, as it does all the time: a lock for that is one that the dead keeps."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as user:
        try:
            out, err = user.communicate(timeout=WORK_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(user.pid, signal.SIGKILL)
    assert (user.returncode, out.split(), err) == (0, [b"lost"] * 3, b"")
