"""Threads for tests: every wait is bounded, and an error in a thread fails the test."""

import threading
from collections.abc import Callable

from uvmfree.machine.threads import OsThread

WAIT_S = 10.0
"""Far longer than anything here takes; a test that waits so long has failed."""

WORK_S = 40.0
"""The same for threads that work for a second or two, which a busy host makes into many."""


def begin(body: Callable[[], object], name: str = "body") -> OsThread:
    return OsThread(name, lambda: void(body()))


def finish(*tasks: OsThread, wait_s: float = WAIT_S) -> None:
    """Join the threads, and raise the first error that ended one; those that work for long are given WORK_S."""
    late = [task.name for task in tasks if not task.join(wait_s)]
    assert late == []
    for task in tasks:
        if task.error is not None:
            raise task.error


def run_all(*bodies: Callable[[], object]) -> None:
    finish(*[begin(body, f"body/{number}") for number, body in enumerate(bodies)])


def await_event(event: threading.Event) -> None:
    assert event.wait(WORK_S)


def void(_: object) -> None:
    return None
