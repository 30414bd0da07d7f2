"""Figures for the generated pages, each read from a record in docs/results by name.

=> A method is what a template calls: it takes words and returns text. NotMeasured if no record has the figure.
=> docs/results: designs.json, curve.json, steps.json, linux.json (bench/grid/kept.py), published.json, and
   evidence-BUILD.json (bench/all.py), of which the free-threaded build's comes first: waits can be measured there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from bench.grid.cell import GridCell
from bench.grid.point import CurveCell
from bench.grid.step import StepCell
from bench.steps import MANY, STEPS, point_of, work
from uvmfree.measure.decode import decode
from uvmfree.measure.scale import Point
from uvmfree.uvm.designs import REGISTRY

MISSING: Final = "(not measured)"
BUILDS: Final = ("3.13t", "3.11")


class NotMeasured(Exception):
    """No record has the figure."""


@dataclass
class Figures:
    """The records of a folder."""

    folder: Path
    _read: dict[str, Any] = field(default_factory=dict)

    def _file(self, name: str) -> Any:
        if name not in self._read:
            file = self.folder / name
            self._read[name] = json.loads(file.read_text()) if file.exists() else {}
        return self._read[name]

    def _cell(self, file: str, name: str) -> dict[str, Any]:
        found = self._file(f"{file}.json").get("cells", {}).get(name)
        if found is None:
            raise NotMeasured
        return dict(found)

    def _value(self, file: str, cell: str, name: str) -> float:
        figures: dict[str, Any] = self._cell(file, cell).get("figures", {})
        if figures.get(name) is None:
            raise NotMeasured
        return float(figures[name])

    # The steps

    def _step(self, step: str, trace: str, name: str) -> float:
        return self._value("steps", str(StepCell(*STEPS[step], trace)), name)

    def step(self, step: str, trace: str, name: str, form: str) -> str:
        """A figure of a step on a trace, 2 CPUs."""
        return format(self._step(step, trace, name), form)

    def fewer(self, step: str, than: str, trace: str, form: str) -> str:
        """How many times less often a step takes shared locks than another."""
        name = "page_locks_per_op"
        return format(self._step(than, trace, name) / self._step(step, trace, name), form)

    def one_in(self, step: str, trace: str, form: str) -> str:
        """A step's shared locks on a trace as one in so many operations."""
        return format(1 / self._step(step, trace, "page_locks_per_op"), form)

    def _many(self, step: str, trace: str) -> Point:
        point = point_of(self._file("steps.json").get("cells", {}), step, trace)
        if point is None:
            raise NotMeasured
        return point

    def waits(self, step: str, trace: str, form: str) -> str:
        """The share of time that a step waits for page locks on MANY CPUs, percent."""
        return format(self._many(step, trace).wait_share_percent, form)

    def works(self, step: str, trace: str, form: str) -> str:
        """The CPUs that would do as much as MANY do with a step, if they never waited."""
        return format(work(self._many(step, trace)), form)

    def many(self) -> str:
        """How many CPUs that is."""
        return str(MANY)

    def pageout_percent(self, form: str) -> str:
        """Of the acquisitions of today's lock under pressure, those that the pagedaemon's own lock takes off it."""
        cell = self._cell("steps", str(StepCell("fpageqlock", (), "pressure", 4)))
        return format(100 * cell["pageout_lock"] / (cell["pageout_lock"] + cell["shared_locks"]), form)

    def steps_table(self) -> str:
        """All steps, a row each: locks and pages parked on cc-j4, work and waiting on MANY CPUs."""
        rows = ["| step | locks an operation | parked | work of 64 CPUs | waiting, % |", "|---|---:|---:|---:|---:|"]
        for step in STEPS:
            cells = [
                self._or_dash("step", step, "cc-j4", "page_locks_per_op", ".4f"),
                self._or_dash("step", step, "cc-j4", "parked_pages_max", ",.0f"),
                self._or_dash("works", step, "cc-j4", ".1f"),
                self._or_dash("waits", step, "cc-j4", ".2f"),
            ]
            rows.append(f"| {step} | {' | '.join(cells)} |")
        return "\n".join(rows)

    def _or_dash(self, name: str, *words: str) -> str:
        try:
            return str(getattr(self, name)(*words))
        except NotMeasured:
            return "-"

    # The table of designs, and the curve

    def design(self, design: str, load: str, name: str, form: str) -> str:
        """A figure of a design under a load of the table; "cc-j4, 4 passes" is a load, too."""
        return format(self._value("designs", f"{design}: {load}", name), form)

    def stranded(self, design: str, seconds: str) -> str:
        """Pages that an exit leaves stranded, so many seconds later."""
        found = self._cell("designs", str(GridCell(design, "exit")))["exit"]
        return format(found[f"after_{seconds}_s"], ",")

    def curve(self, design: str, trace: str, lock: str, ncpus: str, name: str, form: str) -> str:
        """A figure of a point of the curve: work, share (of linear, percent) or waits (percent)."""
        cell = str(CurveCell(design, trace, int(ncpus), lock))
        point = decode(Point, self._cell("curve", cell)["point"], cell)
        found = {
            "work": work(point),
            "share": 100 * work(point) / point.case.ncpus,
            "waits": point.wait_share_percent,
        }
        return format(found[name], form)

    def below(self, design: str, trace: str, lock: str, percent: str) -> str:
        """The first CPU count at which a design does less than so many percent of linear, as a sentence has it."""
        counts = []
        for name, cell in self._file("curve.json").get("cells", {}).items():
            if name.startswith(f"{design}: {trace}, {lock}, ") and not cell["point"]["case"]["varied"]:
                point = decode(Point, cell["point"], name)
                counts.append((point.case.ncpus, 100 * work(point) / point.case.ncpus))
        if not counts:
            raise NotMeasured
        return next((str(n) for n, share in sorted(counts) if share < float(percent)), f"> {max(counts)[0]}")

    def beside(self, trace: str) -> str:
        """All designs on a trace: shared locks for 1,000 operations, and pages parked."""
        lines = ["| design | locks for 1,000 operations | pages parked, most | warm, % |", "|---|---:|---:|---:|"]
        for design in REGISTRY:
            locks = self._or_dash("design", design, trace, "page_locks_per_op", ".6f")
            cells = [
                locks if locks == "-" else f"{1000 * float(locks):,.2f}",
                self._or_dash("design", design, trace, "parked_pages_max", ",.0f"),
                self._or_dash("design", design, trace, "warm_percent", ".0f"),
            ]
            lines.append(f"| {design} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def section(self, page: str, title: str) -> str:
        """A table of a generated page, by its heading."""
        file = self.folder / page
        _, _, after = (file.read_text() if file.exists() else "").partition(f"\n## {title}\n")
        lines = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("|")]
        if not lines:
            raise NotMeasured
        return "\n".join(lines)

    # What others published

    def published(self, *path: str) -> str:
        """A value of published.json, by its keys; the last word is its form."""
        *keys, form = path
        found = self._file("published.json")
        for key in keys:
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError) as error:
                raise NotMeasured from error
        return format(found, form)

    def auto_tuned(self, form: str) -> str:
        """Pages under the zone lock with auto-tuning, of 100 without."""
        on, off = (float(self.published("predicted", "auto-tuning", name, "")) for name in ("on", "off"))
        return format(100 * on / off, form)

    def bulk_ratio(self, name: str, ncpus: str, form: str) -> str:
        """Bulk allocation: the time of so many cores over that of 8."""
        some, eight = (float(self.published("predicted", "bulk_ns", name, each, "0", "")) for each in (ncpus, "8"))
        return format(some / eight, form)

    def chunks_on(self, ncpus: str, form: str) -> str:
        """The least and the greatest change by frees in chunks on so many CPUs, percent."""
        rows = self._file("published.json").get("illustrated", {}).get("chunks", [])
        values = [row[-1] for row in rows if row[0] == int(ncpus)]
        if not values:
            raise NotMeasured
        return f"{min(values):{form}} to {max(values):{form}}"

    def illustrated(self, name: str, form: str) -> str:
        """The least and the greatest of the last value of an illustration's rows."""
        rows = self._file("published.json").get("illustrated", {}).get(name)
        if not rows:
            raise NotMeasured
        values = [row[-1] for row in rows]
        return f"{min(values):{form}} to {max(values):{form}}"

    # The evidence of real threads

    @cached_property
    def _outputs(self) -> dict[tuple[str, str], tuple[str, list[str]]]:
        """What scripts printed, by script and the title of the block: the build, and the lines below the title."""
        found: dict[tuple[str, str], tuple[str, list[str]]] = {}
        for build in reversed(BUILDS):
            for script in self._file(f"evidence-{build}.json").get("scripts", []):
                for block in "\n".join(script["output"]).split("\n\n"):
                    title, *lines = block.splitlines() or [""]
                    found[script["script"], title.strip()] = build, lines
        return found

    def _block(self, script: str, begins: str) -> tuple[str, list[list[str]]]:
        """Return the build and the rows of the block of a script whose title begins so."""
        for (name, title), (build, lines) in self._outputs.items():
            if name == script and title.startswith(begins):
                rows = [re.split(r"\s{2,}", line.strip()) for line in lines if line.startswith("    ")]
                if rows:
                    return build, rows
        raise NotMeasured

    def printed(self, script: str, begins: str) -> str:
        """A block of a script's output as a table."""
        head, rows = self._table(script, begins)
        return _markdown(head, rows)

    def _table(self, script: str, begins: str) -> tuple[list[str], list[list[str]]]:
        """Return head and rows of a block; the first line is the head if it ends in no number."""
        _, rows = self._block(script, begins)
        if rows[0][-1][0].isdigit():
            return ["setting", "median [least-most]"], rows
        head, *rows = rows
        return ["setting", *head] if len(head) < len(rows[0]) else head, rows

    def stacked(self, script: str, *blocks: str) -> str:
        """Blocks with the same columns as one table; each is LABEL=TITLE, and its rows get the label."""
        found: list[list[str]] = []
        head: list[str] = []
        for block in blocks:
            label, _, begins = block.partition("=")
            head, rows = self._table(script, begins)
            named = head[0] == "setting"
            found += [[f"{label}, {row[0]}", *row[1:]] if named else [label, *row] for row in rows]
            head = head if named else ["", *head]
        return _markdown(head, found)

    def cell(self, script: str, begins: str, row: str, column: str) -> str:
        """The median in a block of a script's output; `row` is "" where it has but one."""
        _, (head, *rows) = self._block(script, begins)
        for each in rows:
            if not row or each[0] == row:
                values = each[len(each) - len(head) :]
                return values[head.index(column)].partition(" ")[0]
        raise NotMeasured

    def below_table(self) -> str:
        """At which CPU count each design falls below 90 % / 50 % of linear, for each trace and lock policy."""
        names = self._file("curve.json").get("cells", {})
        loads = list(dict.fromkeys(tuple(name.partition(": ")[2].split(", ")[:2]) for name in names))
        if not loads:
            raise NotMeasured
        lines = [f"| design | {' | '.join(', '.join(load) for load in loads)} |", "|---|" + "---:|" * len(loads)]
        for design in REGISTRY:
            cells = [
                " / ".join(self._or_dash("below", design, *load, percent) for percent in ("90", "50"))
                for load in loads
            ]
            lines.append(f"| {design} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def _records(self, build: str) -> dict[str, Any]:
        scripts: Sequence[Any] = self._file(f"evidence-{build}.json").get("scripts", [])
        found: dict[str, Any] = {}
        for script in scripts:
            for record in script["records"]:
                found.setdefault(record["id"], record)
                found[f"{record['id']}|{record['claim'].rpartition(': ')[2]}"] = record
        return found

    def measured(self, id: str, form: str, build: str = "") -> str:
        """The median of a record, by its id, or `id|row`; of a build, or of the first that has it."""
        for each in [build] if build else BUILDS:
            record = self._records(each).get(id)
            if record is not None and record["measured"] is not None:
                return format(record["measured"], form)
        raise NotMeasured

    def when(self, file: str = "") -> str:
        """The day, the host and the interpreter of a record; without a name, of the evidence."""
        names = [file] if file else [f"evidence-{build}" for build in BUILDS]
        said = []
        for name in names:
            host = self._file(f"{name}.json").get("host")
            if host:
                gil = "with the GIL" if host["gil"] else "free-threaded"
                said.append(f"{host['date'][:10]}, {host['implementation']} {host['python']} {gil}")
        if not said:
            raise NotMeasured
        return "; ".join(said)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(each)} |" for each in rows)])
