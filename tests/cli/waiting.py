"""How tests of commands wait for what another process does: by a look now and then, which leaves it the processor."""

import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

BOUND_S = 50
LOOK_S = 0.002
"""Between two looks: far less than a process takes to start, and a spinning test would slow that down."""


def until(true: Callable[[], object], running: "subprocess.Popen[Any] | None" = None) -> None:
    """Wait until something is true, bounded.

    => `running`: a process that must not end before.
    """
    never, give_up_s = threading.Event(), time.monotonic() + BOUND_S
    while not true():
        if running is not None:
            assert running.poll() is None, running.communicate()
        assert time.monotonic() < give_up_s
        never.wait(LOOK_S)
