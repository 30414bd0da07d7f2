"""Records that somebody has tampered with: each command that reads one gives its answer, or says why not in a line.

=> Measured records are spoilt at places that Hypothesis chooses, with values that break what is not looked at.
"""

import contextlib
import copy
import io
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

import uvmfree.cli
from tests.measure.curves import saturating
from uvmfree.analyse.sweep import resume
from uvmfree.errors import ArgumentError, RecordError
from uvmfree.measure import workloads
from uvmfree.measure.bench import measure, new_record
from uvmfree.measure.cell import Cell
from uvmfree.param import Param
from uvmfree.report.page import whole_page
from uvmfree.stress import supervised as stresses

Document = dict[str, Any]
Spoil = Callable[[Document], None]

DESIGNS = ("fpageqlock", "percpu")
"""Of a list the first two are spoilt; more would be read for nothing."""
CELLS = [Cell("pressure", 2, design, ("npages=512",), 1, None, 0.05) for design in DESIGNS]
COUNTS = (1, 2, 4, 8, 16)


@cache
def bench() -> Document:
    """A benchmark's record, as a file has it: paging, waits, samples and events are in it."""
    workload = workloads.pressure(2, 0.05)
    record = new_record(workload, Param(npages=512, ncpus=2), DESIGNS, ("uvmfree", "bench"))
    for _ in measure(record, workload, 2, lambda what: None):
        pass
    return plain(record.document())


@cache
def stressed() -> Document:
    """A stress run's record."""
    options = stresses.Options(seconds=0.2, ncpus=2, npages=256, faults=("storm",), lockstat=True)
    record = stresses.new_record(options, ("percpu",))
    record.stress.append(stresses.stress(options, "percpu"))
    return plain(record.document())


@pytest.fixture(autouse=True)
def _without_plotly_js(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five megabytes that say nothing about the rest."""
    monkeypatch.setattr(whole_page, "library", lambda: "")


def plain(document: Document) -> Document:
    made: Document = json.loads(json.dumps(document))
    return made


def free_threaded(document: Document, ncpus: int) -> Document:
    """The record as if threads had run at once, on so many CPUs: the law is fitted to nothing else."""
    made = plain(document)
    made["host"]["gil"] = False
    made["workload"]["ncpus"] = ncpus
    return made


def sweep_of(record: Document) -> Document:
    """A sweep that has measured all of its cells."""
    cells = [asdict(cell) for cell in CELLS]
    measured = [{"cell": cell, "record": record} for cell in cells]
    return plain({"schema": "uvmfree.sweep", "version": 1, "cells": cells, "measured": measured})


class Commands:
    """Each command that reads records, on a spoilt one; what it says goes nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def written(self, name: str, document: Any) -> str:
        file = self.folder / name
        file.write_text(json.dumps(document), encoding="utf-8")  # json.dump() would take many times as long
        return str(file)

    @cached_property
    def good(self) -> str:
        """A record that nobody spoilt."""
        return self.written("good.json", bench())

    @cached_property
    def others(self) -> list[str]:
        """What makes a curve with one more."""
        return [self.written(f"{n}.json", free_threaded(bench(), n)) for n in COUNTS[:-1]]

    def all(self, spoilt: Document) -> Iterator[Sequence[str]]:
        """Yield the arguments of each command."""
        good, bad = self.good, self.written("bad.json", spoilt)
        yield ("compare", "--all", good, bad)
        yield ("compare", "--all", "--json", "-", bad, good)
        yield ("report", bad, good, "-o", str(self.folder / "report.html"))
        yield ("usl", bad, *self.others)  # most are refused before the others are read

    def run(self, *args: str) -> None:
        """Run a command: an answer that a terminal may have, or a line that says why there is none."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            status = main(args)
        if status == 2:
            assert out.getvalue() == ""
            assert err.getvalue().startswith("uvmfree: ")
            assert err.getvalue().removesuffix("\n").isprintable()
        assert status in ((0, 1, 2) if args[0] == "compare" else (0, 2))  # 1: a figure got worse
        for line in (out.getvalue() + err.getvalue()).splitlines():
            assert line.isprintable()


def main(args: Sequence[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["uvmfree", *args])
        with pytest.raises(SystemExit) as ended:
            uvmfree.cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("hostile"))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place of a document but those of the figures, which are not read; of a list its first two."""
    if path:
        yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for step, inner in steps:
        if step != "figures":
            yield from places(inner, (*path, step))


def at(document: Any, path: Sequence[Any]) -> Any:
    for step in path:
        document = document[step]
    return document


def put(document: Any, path: Sequence[Any], value: Any) -> None:
    document = at(document, path[:-1])
    if value is GONE:
        del document[path[-1]]
    else:
        document[path[-1]] = value


GONE: Any = object()
HUGE = 10**4000  # more digits than a word of 64 bits can have, fewer than Python refuses to read
VALUES: dict[type, tuple[Any, ...]] = {
    bool: (True, False),
    int: (-1, 0, 1, 2**62, 2**63 - 1, -(2**63), 2**64, HUGE),
    float: (0.0, -0.5, 1e18, 1e308, float("nan"), float("inf"), HUGE),
    str: ("", "\x1b[31mred", "[/red]", "a\r\nb\u202e", "\ud800"),
    list: ([], [0], [-1], [HUGE], [{}]),
    dict: ({}, {"\x1b[2J": 1}, {"\udfff": 1}),
    type(None): (None, GONE),
}


def spoilt(document: Document, seed: int) -> Document:
    """The document with up to three places spoilt; mostly by a value of the kind that stands there."""
    draw, made = random.Random(seed), plain(document)
    for _ in range(draw.randint(1, 3)):
        path = draw.choice(list(places(made)))
        kind = type(at(made, path)) if draw.random() < 0.8 else draw.choice(list(VALUES))
        value = draw.choice(VALUES[kind])
        note(f"{path}: {str(value)[:20]!r}" if value is not GONE else f"{path}: gone")
        put(made, path, value if value is GONE else copy.deepcopy(value))
    return made


SEEDS = st.integers(0, 2**32)
# A smaller seed spoils no less.
FUZZ = settings(
    max_examples=settings().max_examples // 2,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.rotated(2)
@FUZZ
@given(SEEDS)
def test_a_spoilt_benchmark_is_read_or_refused_in_a_line(commands: Commands, seed: int) -> None:
    made = spoilt(free_threaded(bench(), COUNTS[-1]), seed)
    for args in commands.all(made):
        commands.run(*args)


@pytest.mark.rotated(2)
@FUZZ
@given(SEEDS)
def test_a_spoilt_stress_run_is_read_or_refused_in_a_line(commands: Commands, seed: int) -> None:
    for args in commands.all(spoilt(stressed(), seed)):
        commands.run(*args)


@FUZZ
@given(SEEDS)
def test_a_spoilt_curve_is_drawn_or_refused_in_a_line(commands: Commands, seed: int) -> None:
    whole = saturating(band=True) if seed % 2 else saturating(counts=(1,))
    bad = commands.written("bad.json", spoilt(plain(whole.document()), seed))
    good = commands.written("curve.json", saturating("mcs").document())
    for files in ((bad,), (good, bad)):
        commands.run("report", *files, "-o", str(commands.folder / "report.html"))


def test_other_commands_refuse_a_curve_in_a_line(commands: Commands) -> None:
    curve = commands.written("curve.json", saturating().document())
    for args in (("compare", curve, curve), ("usl", curve)):
        commands.run(*args)
        assert main(args) == 2


@FUZZ
@given(SEEDS)
def test_a_spoilt_sweep_is_gone_on_with_or_refused_in_a_line(commands: Commands, seed: int) -> None:
    file = commands.written("sweep.json", spoilt(sweep_of(bench()), seed))
    with contextlib.suppress(RecordError, ArgumentError):
        resume(CELLS, file)
