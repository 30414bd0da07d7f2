"""Cells that are measured once, wherever, and kept in a file: a run that was broken off goes on where it was.

=> A cell is a frozen dataclass of plain values, and its text is its name. What measures it is a function of a module,
   given those values, so that any process or machine can; it returns plain values for JSON, or None if it was told to
   give up.
=> Each cell says by which code it was measured (bench/grid/code.py). With other code it is measured anew: figures of
   two versions stand in one table only where a run was broken off, and the page says so. `same`: unless one cell of
   each design, measured again, came out the same.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final

from bench.grid.code import ROOT, code_of
from bench.harness import write_json
from uvmfree.cli.running import first_signal_asks
from uvmfree.errors import ArgumentError
from uvmfree.measure.executors import local, scheduled
from uvmfree.measure.host import host as host_facts

RESULTS: Final = ROOT / "docs" / "results"

PAGE: Final = ROOT / "docs" / "designs" / "index.md"
"""The page that shows the tables, where it has a place for them."""

Measure = Callable[[dict[str, Any]], "dict[str, Any] | None"]


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a file would have them; files of the project by where they stand in it."""
    found: dict[str, Any] = json.loads(json.dumps(values).replace(f"{ROOT}/", ""))
    return found


@dataclass(slots=True)
class Kept:
    """What was measured so far, by the cells' names, as JSON has it.

    => `file`: where it is kept, whole, after each cell; None keeps nothing. `host`: what measured the last of them.
       `earlier`: designs with cells that code of another day measured, as far as mark() was asked.
    """

    file: Path | None
    command: str
    host: dict[str, Any] = field(default_factory=lambda: plain(asdict(host_facts())))
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    earlier: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, file: Path | None, command: str, *, as_it_is: bool = False) -> Kept:
        """Go on with a file, if there is one; `as_it_is`: there has to be, since only the page is written."""
        kept = cls(file, command)
        found = json.loads(file.read_text()) if file is not None and file.exists() else {}
        if as_it_is and not found:
            raise ArgumentError(f"--write: nothing was measured: {file} is not there")
        if found:
            kept.host, kept.cells, kept.earlier = found["host"], found["cells"], set(found.get("earlier", ()))
            kept.command = found["command"] if as_it_is else command
        return kept

    def document(self) -> dict[str, Any]:
        """Return all of it."""
        about = {"command": self.command, "host": self.host, "earlier": sorted(self.earlier)}
        return {**about, "cells": dict(sorted(self.cells.items()))}

    def add(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep a cell that was measured now."""
        self.cells[name] = plain(values)
        self.host = plain(asdict(host_facts()))
        self.save()

    def save(self) -> None:
        """Write all of it to the file, if there is one."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.file, self.document())

    def host_s(self, cells: Sequence[Any] | None = None) -> float:
        """Return the seconds of one processor that all cells took, or those of these that are kept."""
        names = self.cells if cells is None else [name for name in map(str, cells) if name in self.cells]
        return sum(float(self.cells[name]["host_s"]) for name in names)


@dataclass(frozen=True, slots=True)
class Where:
    """Where cells are measured: by so many processes here, or by the workers of a scheduler."""

    processes: int = len(os.sched_getaffinity(0))
    scheduler: str | None = None


def code(cell: Any) -> str:
    """Return by which code a cell would be measured now."""
    return code_of(type(cell).__module__, getattr(cell, "design", ""))


def fill(kept: Kept, cells: Sequence[Any], measure: Measure, where: Where, *, same: bool = False) -> bool:
    """Measure the cells that are not kept yet, by this code; whether all are there, and it was not broken off.

    => What a cell raised is raised here, with those before it kept.
    """
    if same and not _confirm(kept, cells, measure, where):
        return False
    left = [cell for cell in cells if not _by_this_code(kept, cell)]
    try:
        return _measure(kept, left, measure, where)
    finally:
        mark(kept, cells)
        kept.save()


def mark(kept: Kept, cells: Sequence[Any]) -> None:
    """Note of which designs there are cells that earlier code measured."""
    stale = {cell.design for cell in cells if str(cell) in kept.cells and not _by_this_code(kept, cell)}
    kept.earlier = kept.earlier - {cell.design for cell in cells} | stale


def _by_this_code(kept: Kept, cell: Any) -> bool:
    return bool(kept.cells.get(str(cell), {}).get("code") == code(cell))


def _confirm(kept: Kept, cells: Sequence[Any], measure: Measure, where: Where) -> bool:
    """Measure the cheapest kept cell of each design again; where it came out the same, so would its others.

    => Whether it was not broken off.
    """
    there: dict[str, list[Any]] = {}
    for cell in cells:
        if str(cell) in kept.cells:
            there.setdefault(cell.design, []).append(cell)
    cheapest = [min(each, key=lambda cell: float(kept.cells[str(cell)]["host_s"])) for each in there.values()]
    again = Kept(None, kept.command)
    if not _measure(again, cheapest, measure, where):
        return False
    for cell in cheapest:
        if _figures(again.cells[str(cell)]) == _figures(kept.cells[str(cell)]):
            for each in there[cell.design]:
                kept.cells[str(each)]["code"] = code(each)
        else:
            print(f"{cell.design}: not the same, measured anew", file=sys.stderr)
    kept.save()
    return True


def _figures(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in ("host_s", "code")}


def _measure(kept: Kept, left: Sequence[Any], measure: Measure, where: Where) -> bool:
    """Measure cells; whether it was not broken off."""
    if not left:
        return True
    with ExitStack() as held:
        stop = held.enter_context(first_signal_asks())
        source = local(min(where.processes, len(left))) if where.scheduler is None else scheduled(where.scheduler)
        executor, at_once = held.enter_context(source)
        under_way: dict[Future[dict[str, Any] | None], Any] = {}
        waiting = iter(left)
        began_s, done = perf_counter(), 0
        while not stop():
            for cell in _some(waiting, at_once - len(under_way)):
                under_way[executor.submit(timed, measure, asdict(cell))] = cell
            if not under_way:
                return True
            ended, _ = wait(under_way, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ended:
                cell = under_way.pop(future)
                values = future.result()
                if values is None:
                    return False
                kept.add(str(cell), {**values, "code": code(cell)})
                done += 1
                print(f"{done} of {len(left)}, {perf_counter() - began_s:.0f} s: {cell}", file=sys.stderr, flush=True)
    return False


def _some(waiting: Iterator[Any], number: int) -> Iterator[Any]:
    for _ in range(number):
        try:
            yield next(waiting)
        except StopIteration:
            return


def timed(measure: Measure, plain: dict[str, Any]) -> dict[str, Any] | None:
    """Measure a cell, and how long a processor of the host worked at it."""
    began_s = process_time()
    values = measure(plain)
    return None if values is None else {**values, "host_s": round(process_time() - began_s, 3)}


def source(kept: Mapping[str, Any]) -> str:
    """Say in a sentence where figures are from: command, day, host, interpreter."""
    host = kept["host"]
    gil = "with the GIL" if host["gil"] else "free-threaded"
    earlier = f" Measured by earlier code: {', '.join(kept['earlier'])}." if kept.get("earlier") else ""
    return (
        f"`{kept['command']}`, {host['date'][:10]}; {len(host['affinity'])} processors, {host['kernel']}; "
        f"{host['implementation']} {host['python']}, {gil}.{earlier}"
    )


END: Final = "<!-- end -->"


def into_page(file: Path, script: str, text: str) -> bool:
    """Put generated text into a page, between `<!-- bench/SCRIPT -->` and END; whether the page has the place.

    => Headings go down a level, since the page has a title of its own; what is linked stands in docs/results.
    """
    begin = f"<!-- bench/{script} -->"
    if not file.exists() or begin not in (page := file.read_text()):
        return False
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    lines = [f"#{line}" if line.startswith("##") else line for line in text.splitlines()[2:]]
    body = re.sub(r"\]\((\w+\.svg)\)", r"](../results/\1)", "\n".join(lines))
    file.write_text(f"{before}{begin}\n{body}\n{END}{after}")
    return True
