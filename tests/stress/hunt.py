"""Hunts a seeded bug of concurrency in three ways: stress in virtual time, explored schedules, stress on threads.

=> The bugs are those of tests/explore/bugs.py and tests/stress/test_seeded_bugs.py. Each hunt is for a process of its
   own: what a bug leaves behind, strands or threads that hang, ends with it.
"""

import contextlib
import importlib.util
import json
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.explore import bugs
from tests.stress.test_seeded_bugs import BUGS
from uvmfree.machine.virtual.words import VirtualAdder
from uvmfree.stress.on_machine import THREADS, Kind, Virtual
from uvmfree.stress.supervised import Options, stress

BOUNDED = ("hoard_max=16",)

NAMES = (*bugs.CAUGHT_BY, *BUGS)
"""All of them."""

WAYS = ("virtual", "schedules", "threads")


def hunt(name: str, way: str, most: float) -> tuple[float, str] | None:
    """Hunt a bug; return after how many seeds, schedules or seconds it was found, and what was found, or None.

    => `most`: how many at most.
    """
    if way == "schedules":
        return _schedules(name, int(most))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), seeded(name):
        if way == "virtual":
            for seed in range(1, int(most) + 1):
                if error := _stressed(name, Virtual(), seed, 0.02):
                    return seed, error
            return None
        began_s = time.monotonic()
        error = _stressed(name, THREADS, 1, most)
        return (round(time.monotonic() - began_s, 1), error) if error else None


def described(name: str, way: str, most: float) -> dict[str, Any]:
    """Hunt; return `after` and `found`, `found` alone if that is None, or `why` there was no hunt."""
    if way == "schedules":
        if name not in bugs.CAUGHT_BY:
            return {"why": "no model"}
        if importlib.util.find_spec("interleave_test") is None:
            return {"why": "Python 3.12"}
    found = hunt(name, way, most)
    return {"found": None} if found is None else {"after": found[0], "found": found[1]}


@contextlib.contextmanager
def seeded(name: str) -> Iterator[None]:
    """Have the bug in the shipped code for a while."""
    if name in bugs.CAUGHT_BY:
        with getattr(bugs, name)():
            yield
        return
    with pytest.MonkeyPatch.context() as patch:
        BUGS[name][0](patch)
        if name == "a counter without atomicity":
            patch.setattr(VirtualAdder, "add", _torn_add)
        yield


def options(name: str, machine: Kind, seed: int, seconds: float) -> tuple[Options, str]:
    """Return the run that a bug is hunted with, and the design."""
    how: dict[str, Any] = {"settings": BUGS[name][1].get("settings", ())} if name in BUGS else {}
    model = bugs.CAUGHT_BY.get(name, "")
    if "bounded" in model or name.startswith("spill"):
        how["settings"] = BOUNDED
    design = "fpageqlock" if "fpageqlock" in model else "percpu"
    return Options(seed=seed, seconds=seconds, machine=machine, **how), design


def _stressed(name: str, machine: Kind, seed: int, seconds: float) -> str:
    record = stress(*options(name, machine, seed, seconds))
    return record.errors[0] if record.errors else ""


def _schedules(name: str, most: int) -> tuple[float, str] | None:
    from tests.explore.models import explore_model

    found = explore_model(bugs.CAUGHT_BY[name], most, seed=1, patch=f"tests.explore.bugs:{name}")
    return (found.schedules, (found.failure or "").splitlines()[0]) if found.failure else None


def _torn_add(adder: VirtualAdder, n: int) -> None:
    """Load, let others go first, store."""
    words, slot = adder._words, adder._slot
    before = words.view()[slot]
    words.update(slot)
    words.view()[slot] = before + n


if __name__ == "__main__":
    import sys

    print(json.dumps(described(*sys.argv[1:3], float(sys.argv[3]))), flush=True)
    os._exit(0)  # past threads that hang
