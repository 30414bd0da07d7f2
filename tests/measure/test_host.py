"""Facts about the host: each is what the system or the interpreter says, when it is asked."""

import io
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from uvmfree.measure import host as module
from uvmfree.measure.host import gil_enabled, host


def test_facts_are_those_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0: {9, 1, 64}}[pid])
    monkeypatch.setattr(os, "cpu_count", lambda: 65)
    monkeypatch.setattr(sys, "getswitchinterval", lambda: 0.25)
    here = host()
    assert (here.affinity, here.cpus, here.switch_interval_s) == ((1, 9, 64), 65, 0.25)
    assert (here.python, here.kernel) == (platform.python_version(), f"{os.uname().sysname} {os.uname().release}")
    date = datetime.fromisoformat(here.date)
    assert date.utcoffset() == timedelta(0)
    assert date.microsecond == 0
    assert abs(datetime.now(UTC) - date) < timedelta(minutes=5)


def test_a_system_that_does_not_count_its_processors_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert host().cpus == 1


@pytest.mark.parametrize("on", [True, False])
def test_the_gil_is_what_the_interpreter_says(on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on in a build that can do without."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: on, raising=False)
    assert gil_enabled() is host().gil is on
    assert host().interpreter.endswith("with the GIL" if on else "free-threaded")


def test_an_interpreter_that_does_not_know_of_such_a_choice_has_a_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    assert gil_enabled() is True


def holding(text: str) -> Callable[..., Any]:
    return lambda file, **how: io.StringIO(text)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel name\t: One: 2 GHz \nmodel name\t: Another\n", "One: 2 GHz"),
        ("model\t: 79\nmodel name\t: One\n", "One"),
        ("processor\t: 0\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_model_is_that_of_the_first_processor(text: str, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open", holding(text), raising=False)
    assert host().cpu_model == model


def test_without_a_file_that_tells_the_model_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(file: str, **how: Any) -> Any:
        raise FileNotFoundError(file)

    monkeypatch.setattr(module, "open", gone, raising=False)
    assert host().cpu_model == "unknown"
