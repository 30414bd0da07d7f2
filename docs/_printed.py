"""Figures of the evidence of real threads for the generated pages: records of scripts, and the tables they printed.

=> evidence-BUILD.json is what bench/all.py wrote; the free-threaded build's comes first: waits can be measured there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

MISSING: Final = "(not measured)"
BUILDS: Final = ("3.13t", "3.11")

ONE_VALUE: Final = re.compile(r"(\S+) \[\1-\1\]")
"""A median and extremes that are all the same."""


class NotMeasured(Exception):
    """No record has the figure."""


@dataclass
class Printed:
    """The records of a folder."""

    folder: Path
    _read: dict[str, Any] = field(default_factory=dict)

    def _file(self, name: str) -> Any:
        if name not in self._read:
            file = self.folder / name
            self._read[name] = json.loads(file.read_text()) if file.exists() else {}
        return self._read[name]

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

    def whole_output(self, script: str) -> str:
        """Return all blocks that a script printed, as they are, but for its head and its claims; and who ran it."""
        for build in BUILDS:
            evidence = self._file(f"evidence-{build}.json")
            for found in evidence.get("scripts", []):
                if found["script"] == script:
                    head, *blocks = "\n".join(found["output"]).split("\n\n")
                    text = "\n\n".join(blocks).partition("\nclaim ")[0]
                    return f"`./run python bench/{script}`, {head.strip()}:\n\n```text\n{text.strip()}\n```\n"
        raise NotMeasured

    def _block(self, script: str, begins: str) -> tuple[str, list[list[str]]]:
        """Return the build and the rows of the block of a script whose title begins so."""
        for (name, title), (build, lines) in self._outputs.items():
            if name == script and title.startswith(begins):
                indented = takewhile(lambda line: line.startswith("    "), lines)
                once = (ONE_VALUE.sub(r"\1", line) for line in indented)
                rows = [re.split(r"\s{2,}", line.strip()) for line in once]
                if rows:
                    return build, rows
        raise NotMeasured

    def printed(self, script: str, begins: str) -> str:
        """A block of a script's output as a table."""
        head, rows = self._table(script, begins)
        return markdown(head, rows)

    def of_rows(self, script: str, begins: str, ends: str) -> str:
        """Those rows of a block whose name ends so, as a table; the end is left out."""
        head, rows = self._table(script, begins)
        found = [[row[0].removesuffix(ends), *row[1:]] for row in rows if row[0].endswith(ends)]
        if not found:
            raise NotMeasured
        return markdown(head, found)

    def spans(self, script: str, begins: str, second: str = "most") -> str:
        """A block with rows "SETTING, SIZE" and cells "A / B": of all columns A from least to most, and the most B.

        => A row for each setting, a column for each size. `second` "span": B from least to most, too.
        """
        found: dict[str, dict[str, str]] = {}
        for name, *cells in self._table(script, begins)[1]:
            setting, _, size = name.rpartition(", ")
            first, other = zip(*(map(float, cell.split(" / ")) for cell in cells), strict=True)
            said = f"{max(other):,.0f}" if second == "most" else f"{min(other):.1f} to {max(other):.1f}"
            found.setdefault(setting, {})[size] = f"{min(first):.2f} to {max(first):.2f} / {said}"
        sizes = list(next(iter(found.values())))
        return markdown(["setting", *sizes], [[name, *(of[size] for size in sizes)] for name, of in found.items()])

    def _table(self, script: str, begins: str) -> tuple[list[str], list[list[str]]]:
        """Return head and rows of a block; the first line is the head if it ends in no number."""
        _, rows = self._block(script, begins)
        if rows[0][-1][0].isdigit():
            return ["setting", "median [least-most]"], rows
        head, *rows = rows
        return ["setting", *head] if len(head) < len(rows[0]) else head, rows

    def stacked(self, script: str, *blocks: str) -> str:
        """Blocks with the same columns as one table; each is LABEL=TITLE, and its rows get the label, if any."""
        return markdown(*self._stacked(script, blocks))

    def columns(self, script: str, names: str, *blocks: str) -> str:
        """Some columns of what stacked() has, their names apart by `;`."""
        head, rows = self._stacked(script, blocks)
        places = [0, *(head.index(name.strip()) for name in names.split(";"))]
        return markdown([head[place] for place in places], [[row[place] for place in places] for row in rows])

    def _stacked(self, script: str, blocks: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        found: list[list[str]] = []
        head: list[str] = []
        for block in blocks:
            label, _, begins = block.partition("=")
            head, rows = self._table(script, begins)
            named = head[0] == "setting"
            names = [f"{label}, {row[0]}" if label else row[0] for row in rows] if named else [label] * len(rows)
            found += [[name, *(row[1:] if named else row)] for name, row in zip(names, rows, strict=True)]
            head = head if named else ["", *head]
        return head, found

    def cell(self, script: str, begins: str, row: str, column: str) -> str:
        """The median in a block of a script's output; `row` is "" where it has but one."""
        return self._cell_of(script, begins, row, column).partition(" ")[0]

    def most(self, script: str, begins: str, row: str, column: str) -> str:
        """The greatest value there of all runs."""
        return re.split(r"[ [\]-]+", self._cell_of(script, begins, row, column).rstrip("]"))[-1]

    def extremes(self, script: str, begins: str, row: str, column: str) -> str:
        """The least and the greatest value there, in words; one if they are the same."""
        said = self._cell_of(script, begins, row, column).rstrip("]").partition("[")
        return (said[2] or said[0]).replace("-", " to ")

    def _cell_of(self, script: str, begins: str, row: str, column: str) -> str:
        _, (head, *rows) = self._block(script, begins)
        for each in rows:
            if not row or each[0] == row:
                values = each[len(each) - len(head) :]
                return values[head.index(column)]
        raise NotMeasured

    def first(self, label: str, design: str) -> str:
        """A median in the table that the first command printed."""
        file = self.folder / "first-command.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        heads = next((line.split() for line in lines if line.lstrip().startswith("fpageqlock  ")), [])
        row = next((line.removeprefix(label).split() for line in lines if line.startswith(f"{label}  ")), [])
        if design not in heads or len(row) != len(heads):
            raise NotMeasured
        return row[heads.index(design)]

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

    def spread(self, id: str, form: str, build: str) -> str:
        """The median of a record of a build, and its extremes."""
        median = self.measured(id, form, build)
        record = self._records(build)[id]
        return f"{median} [{record['low']:{form}}-{record['high']:{form}}]"

    def claims(self) -> str:
        """Every claim with a bound: what it says, what each build measured, and whether it holds.

        => By script, name and words: bounds from above and from below have one name, and two names the same words.
        """
        rows: dict[tuple[str, str, str], tuple[Any, dict[str, str]]] = {}
        for build in BUILDS:
            for script in self._file(f"evidence-{build}.json").get("scripts", []):
                for record in script["records"]:
                    if record["bound"] is not None and record["measured"] is not None:
                        key = script["script"].removesuffix(".py"), record["id"], record["claim"]
                        rows.setdefault(key, (record, {}))[1][build] = _measured(record)
        builds = sorted(BUILDS)
        return markdown(
            ["claim, and the script that measures it", "bound", *builds],
            [
                [
                    f"`{record['id']}` ({script}): {claim}; {record['unit']}",
                    f"{'>=' if record['at_least'] else '<='} {_number(record['bound'])}",
                    *(said.get(build, "") for build in builds),
                ]
                for (script, _, claim), (record, said) in sorted(rows.items(), key=lambda row: row[0])
            ],
        )

    def failed(self) -> str:
        """The claims that do not hold, each with the builds on which it does not."""
        found: dict[str, list[str]] = {}
        for build in sorted(BUILDS):
            for script in self._file(f"evidence-{build}.json").get("scripts", []):
                for record in script["records"]:
                    if record["holds"] is False and build not in found.setdefault(record["id"], []):
                        found[record["id"]].append(build)
        return ", ".join(f"`{id}` ({' and '.join(builds)})" for id, builds in sorted(found.items())) or "none"

    def when(self, file: str = "") -> str:
        """The day, the host and the interpreter of a record; without a name, of the evidence: its first and last day.

        => A script of the evidence prints the day first; those whose code has not changed are not run again.
        """
        names = [file] if file else [f"evidence-{build}" for build in BUILDS]
        said = []
        for name in names:
            document = self._file(f"{name}.json")
            host = document.get("host")
            if host:
                gil = "with the GIL" if host["gil"] else "free-threaded"
                heads = [script["output"][0] for script in document.get("scripts", []) if script["output"]]
                days = [head[:10] for head in heads] or [host["date"][:10]]
                day = " to ".join(sorted({min(days), max(days)}))
                said.append(f"{day}, {host['implementation']} {host['python']} {gil}")
        if not said:
            raise NotMeasured
        return "; ".join(said)


def _measured(record: dict[str, Any]) -> str:
    """Return a record's median, its extremes where they differ, and whether that holds."""
    low, median, high = (_number(record[name]) for name in ("low", "measured", "high"))
    said = median if low == high else f"{median} [{low}-{high}]"
    return {True: said, False: f"**{said}: no**", None: f"{said}, not judged"}[record["holds"]]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(each)} |" for each in rows)])
