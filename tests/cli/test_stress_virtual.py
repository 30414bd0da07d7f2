"""`uvmfree stress --machine virtual`: what it says and refuses as `uvmfree bench` does."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

SMALL = ("stress", "--machine", "virtual", "--design", "percpu", "--cpus", "2", "--seconds", "0.001")


@pytest.mark.parametrize("more", [("--seed", "1"), ("--seeds", "1-1")])
def test_live_counters_are_refused(run: Run, more: tuple[str, ...]) -> None:
    said = run(*SMALL, *more, "--counters", "page")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("uvmfree: --counters: virtual time passes too unevenly to be watched")


@pytest.mark.parametrize("more", [("--seed", "1"), ("--seeds", "1-1")])
def test_without_greenlets_it_says_that_it_is_slow(
    run: Run, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "greenlet", None)
    said = run(*SMALL, *more)
    assert said.status == 0
    assert said.err.count("pass a baton, and switch some 20 times slower") == 1
