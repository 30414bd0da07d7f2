"""`uvmfree top` on a terminal: each figure of a reading stands where its name says."""

import re
import sys

import pytest

from tests.cli.screen import Terminal
from tests.layouts.test_top import BEFORE, BUSY, IDLE, NOW
from uvmfree.cli.top import top
from uvmfree.measure import counterfile


class Reader:
    """Reads two moments of a run that goes on."""

    def __init__(self, file: str) -> None:
        self._readings = iter([BEFORE, NOW])

    def read(self) -> counterfile.Reading:
        return next(self._readings)


def test_each_figure_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(counterfile, "CounterReader", Reader)
    monkeypatch.setattr(counterfile.Reading, "alive", lambda self: True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "200")
    assert top.callback is not None
    top.callback(file="run", batch=False, count=1, wait_s=0.05, as_json=False)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    words = " ".join(text.split())
    assert "percpu, running; 1,000 pages: 500 used, 400 free, 40 cached, 60 paging; 3 waiting for pages" in words
    assert "Per s: 50 allocated, 50 freed, 20.0 % local; daemon 0.5 wakeups, 4 scans, 2 freed." in words
    assert "2.0 redistributions. uvmexp.free is off by -2." in words
    lines = [line.split() for line in text.splitlines()]
    heads = ["CPU", "cached", "alloc/s", "free/s", "local", "%", "filled/s", "drained/s"]
    assert heads in lines
    assert (IDLE["cached"], BUSY["cached"]) == (10, 30)
    assert ["0", "10", "0", "0", "0.0", "0", "0"] in lines
    assert ["1", "30", "50", "50", "20.0", "40", "30"] in lines
