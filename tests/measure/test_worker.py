"""How a process that measures cells begins: deaf to the terminal, bound to who began it, with a byte to look at."""

import ctypes
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.measure.cell import Worker

PARENT = 77


class Ended(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was asked of the system, in a process that PARENT began."""
    calls: list[tuple[Any, ...]] = []

    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr(Worker, "stop", staticmethod(lambda: False))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(prctl=lambda *call: calls.append(call)))
    monkeypatch.setattr(signal, "signal", lambda *call: calls.append(call))
    monkeypatch.setattr(os, "getppid", lambda: PARENT)
    monkeypatch.setattr(os, "_exit", end)
    return calls


def test_a_cell_is_given_up_when_the_byte_is_set(asked: list[tuple[Any, ...]]) -> None:
    byte = SimpleNamespace(value=0)
    Worker.begin(byte, PARENT)
    assert not Worker.stop()
    byte.value = 1
    assert Worker.stop()


def test_it_is_deaf_to_the_terminal_and_is_killed_with_its_parent(asked: list[tuple[Any, ...]]) -> None:
    Worker.begin(SimpleNamespace(value=0), PARENT)
    pr_set_pdeathsig = 1
    assert asked == [
        (signal.SIGINT, signal.SIG_IGN),
        (signal.SIGHUP, signal.SIG_IGN),
        (pr_set_pdeathsig, signal.SIGKILL),
    ]


@pytest.mark.usefixtures("asked")
def test_it_ends_if_its_parent_was_gone_before() -> None:
    with pytest.raises(Ended, match=r"^1$"):
        Worker.begin(SimpleNamespace(value=0), PARENT + 1)
