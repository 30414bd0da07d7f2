"""How wide a command's text is: that of a terminal, 80 columns in a pipe; labels stand in a column of their own."""

import io
import sys

import pytest

from tests.cli.screen import Terminal
from uvmfree.cli.terminal import say, say_labelled, width


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Have stdout be a terminal of 33 columns and 7 lines."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "33")
    monkeypatch.setenv("LINES", "7")
    return screen


def test_a_terminal_tells_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    assert width() == 33


def test_a_pipe_is_80_columns_wide_whatever_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "33")
    assert width() == 80


def test_a_paragraph_keeps_to_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    say("12345678 " * 6)
    assert screen.getvalue() == "12345678 12345678 12345678\n" * 2


def test_texts_stand_in_a_column_two_behind_the_longest_label(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    say_labelled([("a", "one"), ("label", "12345678 12345678 12345678 9")])
    assert screen.getvalue() == "a:     one\nlabel: 12345678 12345678 12345678\n       9\n"
