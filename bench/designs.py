"""The designs side by side on the same page traffic: the table of docs/results/designs.md, and its picture.

    ./run python bench/designs.py --table              measures all; writes docs/results/designs.{json,md,svg}, and
                                                       the tables into docs/designs/index.md, if it has a place
    ./run python bench/designs.py --write              writes page and picture from what was kept
    ./run python bench/designs.py                      plays the trace of the package, and keeps nothing

Every registered design under the recorded traces, handoff, forkexit, pressure, and a process that ends. In virtual
time (bench/grid/cell.py), so that counts are exact, and the same on every host.

=> A table that was broken off goes on where it was. A cell whose code has changed since is measured again: after a
   change of one design, that design's. `--same`: after a change of what all run, one cell of each design is measured
   again; if it comes out the same, the design's others are taken as measured.
=> `--scheduler`: the workers of a dask scheduler measure; else as many processes as there are processors. `--only
   TEXT`: cells of such a name. `--traces DIR`: another folder with traces, may be repeated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.grid.cell import GridCell, measure
from bench.grid.kept import PAGE, RESULTS, Kept, Where, fill, into_page, mark
from bench.grid.limit import least
from bench.grid.picture import svg
from bench.grid.tables import SYNTHETIC, dots, limits, markdown
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main
from uvmfree.uvm.designs import REGISTRY, find
from uvmfree.workload.trace import bundled_trace

TRACES: Final = ("cc-j4", "fork-exec", "untar-scan", "java-build", "chromium-page")
"""Traces of the table, in order; those that do not ship are looked for in --traces."""

PASSES: Final = 4

MINUTES = Claim("designs-table-minutes", "the whole table, on 2 processors", "minutes", 20.0)
LIMIT = Claim(
    "designs-over-limit",
    "no design takes shared locks less often than any cache of the size that it parked has to: least ratio",
    "ratio",
    1.0,
    True,
)


def found_traces(folders: Sequence[Path], names: Sequence[str] = TRACES) -> tuple[list[str], list[str]]:
    """Return the files of traces that are there, and the names of those that are not."""
    files, missing = [], []
    for name in names:
        there = [file for folder in folders if (file := folder / f"{name}.perf.xz").exists()]
        if there:
            files.append(str(there[0]))
        else:
            missing.append(name)
    return files, missing


def grid(designs: Sequence[str], traces: Sequence[str]) -> list[GridCell]:
    """Return all cells of the table: the long ones first, so that none is left to one process at the end."""
    cells = [GridCell(design, "trace", trace, PASSES) for trace in traces for design in designs]
    cells += [GridCell(design, "trace", trace) for trace in traces for design in designs]
    cells += [GridCell(design, load) for load in (*SYNTHETIC, "exit") for design in designs]
    return cells + [GridCell("limit", "limit", trace) for trace in traces]


def small(designs: Sequence[str]) -> list[GridCell]:
    """Return the cells of a run that keeps nothing."""
    trace = str(bundled_trace())
    return [GridCell(design, "trace", trace) for design in designs] + [GridCell("limit", "limit", trace)]


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Measure what was asked for, and write it."""
    keep = args.table or args.write
    designs = args.design or (["fpageqlock"] if smoke else list(REGISTRY))
    for design in designs:
        find(design)
    files, missing = found_traces([SHIPPED, *args.traces])
    cells = grid(designs, files) if keep else small(designs)
    todo = [cell for cell in cells if args.only in str(cell)]
    folder: Path = args.results
    kept = Kept.at(folder / "designs.json" if keep else None, _command(args), as_it_is=args.write)
    whole = args.write or fill(kept, todo, measure, Where(args.processes, args.scheduler), same=args.same)
    mark(kept, cells)
    if keep:
        written(folder, kept, cells, missing)
    print(markdown(kept.document(), cells, missing if keep else ()))
    if not whole:
        raise KeyboardInterrupt
    fewest = limits(kept.document(), cells)
    # Who takes no shared lock has no holds, whatever it parks.
    taking = [dot for dot in dots(kept.document(), cells) if dot.locks and dot.trace in fewest]
    over = [dot.locks / least(fewest[dot.trace], dot.parked) for dot in taking]
    minutes = kept.host_s() / 60 / 2
    return [
        MINUTES.record([minutes], judged=args.table and not args.only),
        LIMIT.record([min(over)], judged=not smoke) if over else LIMIT.unmeasured(),
    ]


def written(folder: Path, kept: Kept, cells: Sequence[GridCell], missing: Sequence[str]) -> None:
    """Write page and picture."""
    document = kept.document()
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(document, cells, missing)
    (folder / "designs.md").write_text(page)
    if folder == RESULTS:
        into_page(PAGE, "designs.py", page)
    points = dots(document, cells)
    if points:
        title = "Shared locks against pages parked: 2 CPUs, traces from empty caches"
        (folder / "designs.svg").write_text(svg(points, limits(document, cells), title))


def _command(args: argparse.Namespace) -> str:
    table, only = ["--table"] if args.table else [], ["--only", args.only] if args.only else []
    return " ".join(["./run python bench/designs.py", *table, *only])


def parser() -> argparse.ArgumentParser:
    """Return what reads this script's own arguments."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("--table", action="store_true")
    made.add_argument("--write", action="store_true")
    made.add_argument("--same", action="store_true")
    made.add_argument("--design", action="append", metavar="NAME")
    made.add_argument("--only", default="")
    made.add_argument("--traces", action="append", type=Path, default=[])
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--scheduler")
    made.add_argument("--processes", type=int, default=Where().processes)
    return made


if __name__ == "__main__":
    mine, others = parser().parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))
