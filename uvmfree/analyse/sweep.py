"""A sweep: a grid of tunables, designs, workloads and CPU counts, one record for each cell.

=> The sweep's file is written anew, whole, after each cell; a sweep that was broken off goes on where it was, and one
   that is asked for more is measured for what is new. Two at once would overwrite each other: alone().
=> A cell has only those tunables that its design uses: what changes nothing is not measured again.
"""

import errno
import hashlib
import itertools
import math
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from uvmfree.errors import ArgumentError, ParamError, RecordError
from uvmfree.measure.cell import Cell, measure_cell
from uvmfree.measure.decode import decode, shown
from uvmfree.measure.record import Record, of_document, read_document
from uvmfree.measure.settings import unused
from uvmfree.outfile import Outfile
from uvmfree.uvm.designs import find, traits_of
from uvmfree.workload.plural import plural

SCHEMA: Final = "uvmfree.sweep"
VERSION: Final = 1

CELLS_MAX: Final = 10_000
"""More than a week at a minute each: a slip in the grid, not a plan."""

_TICK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Grid:
    """What is combined with what; each in the order given, the last of them changing fastest.

    => `settings`: the values of each tunable, as text; a design that does not use it is measured once for all.
    """

    workloads: tuple[str, ...]
    ncpus: tuple[int | None, ...]
    designs: tuple[str, ...]
    settings: tuple[tuple[str, tuple[str, ...]], ...]
    repetitions: int = 5
    trace: str | None = None
    seconds: float | None = None
    unpacked_max_bytes: int | None = None

    def cells(self) -> list[Cell]:
        """Return every cell; ArgumentError or ParamError for the first that cannot be measured."""
        for design in self.designs:
            find(design)
        choices = [[f"{name}={value}" for value in values] for name, values in self.settings]
        count = math.prod(map(len, (self.workloads, self.ncpus, self.designs, *choices)))
        if count > CELLS_MAX:
            raise ArgumentError(f"the grid has {count:,} cells; {CELLS_MAX:,} is the most")
        cells: list[Cell] = []
        for workload, ncpus, settings in itertools.product(self.workloads, self.ncpus, itertools.product(*choices)):
            all_of_them = [self._cell(workload, ncpus, design, settings) for design in self.designs]
            # What the designs have in common is looked at once: reading a trace takes a second. With all settings,
            # for those that a design does not use have to make sense, too.
            try:
                _, param = (cell := all_of_them[0]).ready(self.designs)
                for cell in all_of_them:
                    traits_of(replace(param, design=cell.design))
            except (ArgumentError, ParamError) as error:
                raise type(error)(f"{cell}: {error}") from None
            cells += [
                replace(cell, settings=tuple(each for each in settings if each.partition("=")[0] not in unused))
                for cell in all_of_them
                for unused in [self.unused(cell.design)]
            ]
        return list(dict.fromkeys(cells))

    def unused(self, design: str) -> list[str]:
        """The tunables of the grid that a design does not use: another's own, or such that only others use."""
        return unused((name for name, _ in self.settings), design, self.designs)

    def _cell(self, workload: str, ncpus: int | None, design: str, settings: tuple[str, ...]) -> Cell:
        return Cell(
            workload,
            ncpus,
            design,
            settings,
            self.repetitions,
            self.trace if workload == "trace" else None,
            self.seconds if workload == "pressure" else None,
            self.unpacked_max_bytes if workload == "trace" else None,
        )


@dataclass(slots=True)
class Sweep:
    """A grid, and the records of its cells so far, by the cell's text."""

    cells: list[Cell]
    records: dict[Cell, Record] = field(default_factory=dict)

    def left(self) -> list[Cell]:
        """The cells that have yet to be measured."""
        return [cell for cell in self.cells if cell not in self.records]

    def document(self) -> dict[str, Any]:
        """Return the sweep as plain values for JSON."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "cells": [asdict(cell) for cell in self.cells],
            "measured": [
                {"cell": asdict(cell), "record": record.document()} for cell, record in self.records.items()
            ],
        }


@contextmanager
def alone(file: str) -> Iterator[None]:
    """Have the file of a sweep to oneself in a `with` block; ArgumentError if another sweep of this machine has it.

    => By an abstract name of unix(7), for any name of the same place: it makes no file, and goes with the process,
       however that ends. Only Linux has such names; elsewhere nothing is refused.
    """
    if sys.platform != "linux":
        yield
        return
    place = hashlib.sha256(os.fsencode(Outfile.find("-o", file).path)).hexdigest()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        try:
            held.bind(f"\0uvmfree-sweep-{place}")
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            why = "another sweep writes there; name another file" if busy else error.strerror
            raise ArgumentError(f"-o {file}: {why}") from None
        yield


def resume(cells: Sequence[Cell], file: str) -> Sweep:
    """Return the sweep of these cells, with what a file of an earlier one has of them.

    => The earlier one may have had fewer cells, but none that is not among these: nothing that was measured is lost.
    => RecordError if the file is no sweep; ArgumentError if it is one of another grid, and nothing was touched.
    """
    sweep = Sweep(list(cells))
    if not Path(file).exists():
        return sweep
    earlier = sweep_of(read_document(file), file)
    wanted = set(cells)
    if others := [cell for cell in (*earlier.cells, *earlier.records) if cell not in wanted]:
        raise ArgumentError(
            f"-o {file}: is a sweep of another grid: {others[0]}, {plural(others[0].repetitions, 'repetition')}, is "
            "not in this one; ask for all that it has, and more, or name another file"
        )
    sweep.records = earlier.records
    return sweep


def load_records(file: str) -> list[Record]:
    """Read a record, or all records of a sweep, from a file, or with '-' from stdin; RecordError."""
    return records_of(read_document(file), file)


def records_of(document: Any, where: str) -> list[Record]:
    """Make a record, or all records of a sweep, of plain values; RecordError."""
    if isinstance(document, dict) and document.get("schema") == SCHEMA:
        return list(sweep_of(document, where).records.values())
    return [of_document(document, where)]


def sweep_of(document: Any, where: str) -> Sweep:
    """Make a sweep of plain values; RecordError."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise RecordError(f"{where}: is no sweep of uvmfree")
    if document.get("version") != VERSION:
        raise RecordError(
            f"{where}: is a sweep of version {shown(document.get('version'))}; this uvmfree reads {VERSION}"
        )
    cells, measured = document.get("cells"), document.get("measured")
    if not isinstance(cells, list) or not isinstance(measured, list):
        raise RecordError(f"{where}: is a sweep without cells")
    sweep = Sweep([decode(Cell, cell, f"{where}.cells[{number}]") for number, cell in enumerate(cells)])
    for number, each in enumerate(measured):
        place = f"{where}.measured[{number}]"
        if not isinstance(each, dict) or "cell" not in each or "record" not in each:
            raise RecordError(f"{place}: must have a cell and a record")
        cell = decode(Cell, each["cell"], f"{place}.cell")
        sweep.records[cell] = of_document(each["record"], f"{place}.record")
    return sweep


def run_sweep(
    sweep: Sweep,
    executor: Executor,
    save: Callable[[Sweep], None],
    stop: Callable[[], bool] = lambda: False,
    at_once: int = 1,
) -> Iterator[Cell]:
    """Measure the cells that are left; yield each when it has been measured and saved.

    => `at_once`: how many are given to the executor at a time. What an executor's process raised is raised here,
       with the records before it saved. When `stop()` is true no more are begun, and those under way are dropped.
    """
    waiting = iter(sweep.left())
    under_way: dict[Future[dict[str, Any]], Cell] = {}
    try:
        while not stop():
            for cell in itertools.islice(waiting, at_once - len(under_way)):
                under_way[executor.submit(measure_cell, asdict(cell))] = cell
            if not under_way:
                return
            done, _ = wait(under_way, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in done:
                cell = under_way.pop(future)
                record = of_document(future.result(), str(cell))
                if record.interrupted:
                    return
                sweep.records[cell] = record
                save(sweep)
                yield cell
    finally:
        for future in under_way:
            future.cancel()
