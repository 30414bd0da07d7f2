"""Figures for the generated pages, each read from a record in docs/results by name.

=> A method is what a template calls: it takes words and returns text. NotMeasured if no record has the figure.
=> docs/results: designs.json, curve.json, steps.json (bench/grid/kept.py), published.json; docs/_printed.py has what
   comes from the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.grid.cell import GridCell
from bench.grid.point import CurveCell
from bench.grid.step import StepCell
from bench.steps import MANY, STEPS, point_of, work
from docs._printed import BUILDS, NotMeasured, Printed, markdown
from uvmfree.measure.decode import decode
from uvmfree.measure.scale import Point
from uvmfree.uvm.designs import REGISTRY


@dataclass
class Figures(Printed):
    """The records of a folder."""

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
        head = f"| step | locks an operation | parked | work of {MANY} CPUs | waiting, % |"
        rows = [head, "|---|---:|---:|---:|---:|"]
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
        """Pages that an exit leaves outside of the store, so many seconds later."""
        return self._exit(design, f"after_{seconds}_s")

    def stranded_idle(self, design: str, seconds: str) -> str:
        """Those of them that the CPU of the process keeps, which is idle."""
        return self._exit(design, f"idle_after_{seconds}_s")

    def _exit(self, design: str, name: str) -> str:
        try:
            return format(self._cell("designs", str(GridCell(design, "exit")))["exit"][name], ",")
        except KeyError as error:
            raise NotMeasured from error

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

    def least_locks(self, trace: str, parked: str, form: str) -> str:
        """The fewest locks for 1,000 operations of CPUs that each may park so many pages (bench/grid/limit.py)."""
        points = self._cell("designs", f"limit: {trace}")["limit"]
        return format(1000 * dict(points)[int(parked)], form)

    def saturates(self, design: str, trace: str, lock: str, percent: str) -> str:
        """The first CPU count at which waiting for page locks takes more than so many percent of the time."""
        begins = f"{design}: {trace}, {lock}, "
        points = [
            decode(Point, cell["point"], name)
            for name, cell in self._file("curve.json").get("cells", {}).items()
            if name.startswith(begins) and not cell["point"]["case"]["varied"]
        ]
        if not points:
            raise NotMeasured
        full = [point.case.ncpus for point in points if point.wait_share_percent > float(percent)]
        return str(min(full)) if full else f"> {max(point.case.ncpus for point in points)}"

    def unsaturated(self, percent: str) -> str:
        """The designs of which no CPU count of the curve has so much waiting, on any trace and lock policy."""
        cells = self._file("curve.json").get("cells", {})
        points = [decode(Point, cell["point"], name) for name, cell in cells.items()]
        full = {point.case.design for point in points if point.wait_share_percent > float(percent)}
        found = [f"`{design}`" for design in REGISTRY if design not in full]
        if not points or not found:
            raise NotMeasured
        return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))

    def spent(self, design: str, lock: str, *sizes: str) -> str:
        """Where the time of all CPUs goes, percent of it, for each trace on so many CPUs."""
        cells = self._file("curve.json").get("cells", {})
        traces = dict.fromkeys(name.partition(": ")[2].partition(",")[0] for name in cells)
        rows = []
        for trace, ncpus in ((trace, ncpus) for trace in traces for ncpus in sizes):
            if (name := str(CurveCell(design, trace, int(ncpus), lock))) in cells:
                point = decode(Point, cells[name]["point"], name)
                whole, outside, stall = point.window_ns * int(ncpus), point.outside_ns or 0, point.stall_ns or 0
                parts = (outside, whole - outside - stall - point.wait_ns, stall, point.wait_ns)
                rows.append([f"{trace}, {ncpus} CPUs", *(f"{100 * part / whole:.1f}" for part in parts)])
        if not rows:
            raise NotMeasured
        return markdown(["", "other work", "allocator", "each other's pages", "page locks"], rows)

    def beside(self, trace: str) -> str:
        """All designs on a trace: shared locks, pages parked, warmth; and waiting on many CPUs that copy it."""
        head = f"| design | locks for 1,000 operations | pages parked, most | warm, % | waiting on {MANY} CPUs, % |"
        lines = [head, "|---|---:|---:|---:|---:|"]
        for design in REGISTRY:
            locks = self._or_dash("design", design, trace, "page_locks_per_op", ".6f")
            cells = [
                locks if locks == "-" else f"{1000 * float(locks):,.2f}",
                self._or_dash("design", design, trace, "parked_pages_max", ",.0f"),
                self._or_dash("design", design, trace, "warm_percent", ".0f"),
                self._or_dash("curve", design, trace, "ttas", str(MANY), "waits", ".1f"),
            ]
            lines.append(f"| {design} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def on_threads(self) -> str:
        """All designs on real threads: a local pair over the floor's and over percpu's, and how it scales."""
        builds = sorted(BUILDS)
        rows = []
        for design in (*REGISTRY, "nothing shared"):
            pairs = [(f"pair-{design}", of, build) for build in builds for of in ("pair-floor", "pair-percpu")]
            cells = [self._or_dash("over", *pair) for pair in pairs]
            rows.append(
                [design, *cells, self._or_dash("spread", f"scaling-{design.replace(' ', '-')}", ".2f", "3.13t")]
            )
        head = [f"{build}: pair / {of}" for build in builds for of in ("floor's", "`percpu`'s")]
        return markdown(["design", *head, "2 processors / 1"], rows)

    def over(self, id: str, of: str, build: str) -> str:
        """A ratio to the floor as one to another record's, which is such a ratio, too, or the floor itself."""
        base = 1.0 if of == "pair-floor" else float(self.measured(of, "", build))
        return format(float(self.measured(id, "", build)) / base, ".2f")

    def section(self, page: str, title: str) -> str:
        """A table of a generated page, by its heading; a sentence where every design has the same."""
        file = self.folder / page
        _, _, after = (file.read_text() if file.exists() else "").partition(f"\n## {title}\n")
        lines = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("|")]
        if not lines:
            raise NotMeasured
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")][1:] for line in lines)
        if any(row != rows[0] for row in rows):
            return "\n".join(lines)
        if set(rows[0]) == {"0"}:
            return "None, by any design on any load."
        return (
            f"All designs the same: {', '.join(f'{said} on {of}' for of, said in zip(head, rows[0], strict=True))}."
        )

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

    def chunks_on(self, ncpus: str, what: str, form: str) -> str:
        """Frees in chunks on so many CPUs: the change, `merged` or `posted`, or how `busy` the lock was; percent."""
        column = ("busy", "merged", "posted").index(what) + 1
        rows = self._file("published.json").get("causes", {}).get("chunks", [])
        return self._range([row[column] for row in rows if row[0] == int(ncpus)], form)

    def shorter(self, pattern: str, form: str) -> str:
        """How many times shorter the longest hold of a free is with frees in chunks."""
        chunked, whole = (float(self.published("predicted", "longest_frees", pattern, at, "")) for at in "01")
        return format(whole / chunked, form)

    def gained(self, ncpus: str, form: str) -> str:
        """What two magazines gain a build on so many CPUs, over a range of holds."""
        return self._range(self._gained(ncpus), form)

    def gained_beside(self, ncpus: str, said: str) -> str:
        """Where a published gain lies, seen from that range."""
        found = self._gained(ncpus)
        if not found:
            raise NotMeasured
        return (
            "above the range"
            if float(said) > max(found)
            else "below the range"
            if float(said) < min(found)
            else "in the range"
        )

    def _gained(self, ncpus: str) -> list[float]:
        rows = self._file("published.json").get("illustrated", {}).get("builds", [])
        return [row[-1][ncpus] for row in rows if len(row) == 2]

    def _range(self, values: list[float], form: str) -> str:
        if not values:
            raise NotMeasured
        return f"{min(values):{form}} to {max(values):{form}}"

    def illustrated(self, name: str, form: str, column: str) -> str:
        """The least and the greatest of a column of an illustration's rows."""
        rows = self._file("published.json").get("illustrated", {}).get(name)
        return self._range([row[int(column)] for row in rows or []], form)

    def saturation(self) -> str:
        """At which CPU count waiting takes 10 % / 50 % of each design's time, for each trace and lock policy."""
        names = self._file("curve.json").get("cells", {})
        loads = list(dict.fromkeys(tuple(name.partition(": ")[2].split(", ")[:2]) for name in names))
        if not loads:
            raise NotMeasured
        rows = [
            [
                design,
                *(
                    " / ".join(self._or_dash("saturates", design, *load, most) for most in ("10", "50"))
                    for load in loads
                ),
            ]
            for design in REGISTRY
        ]
        return markdown(["design", *(", ".join(load) for load in loads)], rows)
