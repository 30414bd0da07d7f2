"""Bugs put into the scheduler and the lock policies, one at a time: each has to be caught by the checks."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import uvmfree
from tests.machine.virtual_checks import CHECKS
from uvmfree.machine.virtual.strands import greenlets_work

HERE = Path(uvmfree.__file__).parent / "machine" / "virtual"
PACKAGE = "uvmfree.machine.virtual"

BUGS: dict[str, tuple[str, str, str]] = {
    "the running strand goes first whatever its clock": (
        "locks",
        "        if scheduler.now > scheduler.head and",
        "        if scheduler.now > scheduler.head + 500 and",
    ),
    "equal times in reverse order": (
        "scheduler",
        "        self.number = number = self.number + 1\n        (lock or strand)",
        "        self.number += 1\n        number = -self.number\n        (lock or strand)",
    ),
    "a timeout that was overtaken by its wakeup counts, too": (
        "scheduler",
        "            elif strand.ticket == number:",
        "            else:",
    ),
    "a strand may run while its CPU runs another": (
        "scheduler",
        "        if place.busy_until <= clock:\n",
        "        if True:\n",
    ),
    "a kernel thread does not stop the player": (
        "scheduler",
        "            if not strand.fresh:\n",
        "            if False:\n",
    ),
    "a stopped player does not go on": (
        "scheduler",
        "                self.push(now, below)\n",
        "                pass\n",
    ),
    "a lock is free while its last hold lasts": (
        "locks",
        "lock.holder is not None or lock.free_at > scheduler.now:\n            if not blocking:\n"
        "                tried",
        "lock.holder is not None:\n            if not blocking:\n                tried",
    ),
    "a hand-over takes the lock's line along for nothing": (
        "locks",
        "        scheduler.now = now + (move or acquire_ns)",
        "        scheduler.now = now + acquire_ns",
    ),
    "a suspended holder is overlooked": (
        "locks",
        "        elif lock.holder is not None or lock.free_at > scheduler.now:\n            if not blocking:\n"
        "                tried",
        "        elif lock.free_at > scheduler.now:\n            if not blocking:\n                tried",
    ),
    "a spinner looks too early": (
        "ttas",
        "            while look < free_at:",
        "            while False:",
    ),
    "a spinner forgets that its pauses double": (
        "ttas",
        "free_at:\n                pauses_ns += pauses_ns\n",
        "free_at:\n",
    ),
    "a look at a held lock costs its holder nothing": (
        "ttas",
        "since, move, longest = self.since, self.move, self._max_ns",
        "since, move, longest = self.since, 0, self._max_ns",
    ),
    "whose pauses are long is found at the next look only": (
        "ttas",
        "                    if seen + longest < self._old_ns:\n",
        "                    if False:\n",
    ),
    "a hand-off of MCS is one transfer": (
        "policies",
        "    handed_lines = 2",
        "    handed_lines = 0",
    ),
    "the tickets of who waits count for nothing": (
        "policies",
        "        scheduler.now += others * self._spinner_ns",
        "        scheduler.now += 0",
    ),
    "the last come is served first": (
        "fifo",
        "        self.holder = self.queue.popleft()",
        "        self.holder = self.queue.pop()",
    ),
    "a wakeup in the past of who sleeps": (
        "events",
        "        while self._sleepers:\n            scheduler.wake(self._sleepers.popleft(), scheduler.now + ",
        "        while self._sleepers:\n            scheduler.wake(self._sleepers.popleft(), scheduler.now - ",
    ),
    "updates of one word at the same time": (
        "words",
        "        if (waited_ns := self._free_at[line] - scheduler.now) > 0:",
        "        if (waited_ns := 0) > 0:",
    ),
    "jitter by the order of who draws": (
        "jitter",
        '        drawn = zlib.crc32(f"{self._seed}/{key}".encode())',
        "        drawn = id(key)",
    ),
}

MADE: list[Any] = []
"""Machines with bugs, for good: a greenlet that is collected runs on for a while, in the midst of another test."""


@contextmanager
def virtual_with(module: str, old: str, new: str) -> Iterator[Any]:
    """Import the package anew with one text changed in one module; yield the machine's class."""
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PACKAGE)}
    try:
        importlib.import_module(PACKAGE)
        text = (HERE / f"{module}.py").read_text(encoding="utf-8")
        assert text.count(old) == 1, f"the bug fits {module}.py {text.count(old)} times"
        name = f"{PACKAGE}.{module}"
        spec = importlib.util.spec_from_loader(name, loader=None)
        assert spec is not None
        patched = sys.modules[name] = importlib.util.module_from_spec(spec)
        exec(compile(text.replace(old, new), f"{module}.py with a bug", "exec"), patched.__dict__)
        yield importlib.import_module(f"{PACKAGE}.machine").VirtualMachine
    finally:
        for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
            del sys.modules[name]
        sys.modules.update(before)
        # The package's attributes are its modules, too.
        for name, found in before.items():
            if "." in name[len(PACKAGE) :]:
                setattr(before[PACKAGE], name.rpartition(".")[2], found)


def caught_by(cls: Callable[..., Any]) -> str:
    """Return the first check that a machine fails, or nothing."""

    def machine(**how: Any) -> Any:
        MADE.append(cls(**{**how, "hang_s": 2.0}))
        return MADE[-1]

    for name, check in CHECKS.items():
        try:
            check(machine)
        except Exception as error:  # noqa: BLE001  # any failure is a bug that was caught
            return f"{name}: {error!r:.80}"
        finally:
            # The strands of a failed check are left as they are.
            MADE[-1].scheduler.over.set()
    return ""


# A bug that leaves all strands asleep hangs batons for good, since nothing runs that could notice.
needs_greenlets = pytest.mark.skipif(not greenlets_work(), reason="no greenlet here")


@needs_greenlets
@pytest.mark.parametrize(("module", "old", "new"), BUGS.values(), ids=BUGS)
def test_caught(module: str, old: str, new: str) -> None:
    with virtual_with(module, old, new) as cls:
        caught = caught_by(cls)
    assert caught


@needs_greenlets
def test_no_bug_no_alarm() -> None:
    with virtual_with("jitter", "PERIOD: Final = 509", "PERIOD: Final = 509") as cls:
        assert caught_by(cls) == ""
