"""Waiting for a key: how long it lasts, how often it looks whether to stop, and what comes of it."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
import termios
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from uvmfree.cli import keys


class Terminal:
    """Stands for clock and terminal: time passes only while somebody waits for a key.

    => `pressed`: how many waits go by before there is a key. `waits`: how long each lasted; each of its descriptors.
    """

    def __init__(self, pressed: int | None = None) -> None:
        self.now, self.waits, self.pressed = 7.0, list[float](), pressed
        self.descriptors: list[list[int]] = []

    def monotonic(self) -> float:
        return self.now

    def select(self, read: list[int], write: list[int], wrong: list[int], seconds: float) -> tuple[object, ...]:
        assert len(self.waits) < 100, "it waits for ever"
        ready = self.pressed is not None and len(self.waits) >= self.pressed
        self.waits.append(round(seconds, 6))
        self.descriptors.append(read)
        self.now += 0 if ready else seconds
        return read if ready else [], [], []


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Terminal], Terminal]:
    def at(terminal: Terminal) -> Terminal:
        monkeypatch.setattr(keys, "time", terminal)
        monkeypatch.setattr(keys, "select", terminal)
        return terminal

    return at


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    both = os.pipe()
    yield both
    for end in both:
        os.close(end)


def never() -> bool:
    return False


def test_a_wait_without_a_key_lasts_as_long_as_it_was_asked_to(at: Callable[[Terminal], Terminal]) -> None:
    """It looks each tenth of a second, and for the rest at the end."""
    terminal = at(Terminal())
    assert keys._waited(5, 0.25, never) == ""
    assert (terminal.waits, terminal.descriptors) == ([0.1, 0.1, 0.05], [[5]] * 3)
    assert keys._waited(5, 0.0, never) == ""
    assert len(terminal.waits) == 3


def test_without_a_terminal_it_waits_for_the_time_alone(
    at: Callable[[Terminal], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For ever is then no time."""
    terminal = at(Terminal(pressed=0))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    with keys.pressed(never) as key:
        terminal.pressed = None
        assert (key(0.15), terminal.waits) == ("", [0.1, 0.05])
        assert (key(None), len(terminal.waits)) == ("", 2)
    assert terminal.descriptors == [[], []]


def test_a_wait_for_ever_ends_when_it_is_told_to_stop(at: Callable[[Terminal], Terminal]) -> None:
    terminal = at(Terminal())
    assert keys._waited(5, None, lambda: len(terminal.waits) == 40) == ""
    assert terminal.waits == [0.1] * 40


def test_a_key_is_what_was_pressed_and_a_terminal_that_is_gone_quits(
    at: Callable[[Terminal], Terminal], ends: tuple[int, int]
) -> None:
    """One key at a time."""
    read, write = ends
    terminal = at(Terminal(pressed=2))
    os.write(write, b"ab\xff")
    assert [keys._waited(read, None, never) for _ in range(3)] == ["a", "b", "\ufffd"]
    assert len(terminal.waits) == 5
    gone = os.open(os.devnull, os.O_RDONLY)
    try:
        assert keys._waited(gone, 1.0, never) == "q"
    finally:
        os.close(gone)


def test_afterwards_the_terminal_is_as_it_was_however_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    try:
        with open(theirs, closefd=False) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            before, echo_and_lines = termios.tcgetattr(theirs), termios.ECHO | termios.ICANON
            assert before[3] & echo_and_lines == echo_and_lines
            with contextlib.suppress(ZeroDivisionError), keys.pressed(never) as key:
                assert termios.tcgetattr(theirs)[3] & echo_and_lines == 0
                os.write(ours, b"x")
                assert key(None) == "x"
                raise ZeroDivisionError
            assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)
