"""The designs on many CPUs: copies of recorded traces in virtual time, as `uvmfree scale` plays them.

    ./run python bench/curve.py --curve                measures all and writes docs/results/curve.{json,md}
    ./run python bench/curve.py --curve --full         also 128 CPUs, and 256 under MCS, and the band, of all traces;
                                                       once they were measured every page has them
    ./run python bench/curve.py --write                writes the page from what was kept
    ./run python bench/curve.py                        2 to 8 CPUs, and keeps nothing

Each registered design, under test-and-test-and-set locks and under MCS. The table of costs decides the times: so each
group of them is also halved and doubled, for ttas on BAND_CPUS of the traces that fill a lock there; and all traces
are played there once more with page structs that drop out of the caches.

=> A curve that was broken off goes on where it was. `--same`, `--scheduler`, `--only`, `--traces`: as of
   bench/designs.py.
=> `--documents DIR`: a file for each trace and policy, for `uvmfree report`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.designs import found_traces
from bench.grid.curve_picture import svg
from bench.grid.kept import PAGE, RESULTS, Kept, Where, fill, into_page, mark
from bench.grid.point import CurveCell, banded, measure, with_cold_structs
from bench.grid.points import curves, markdown
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main, write_json
from uvmfree.measure.curve import Curve
from uvmfree.uvm.designs import REGISTRY, find
from uvmfree.workload.trace import bundled_trace

COUNTS: Final = {
    "cc-j4": (2, 8, 16, 32, 64),
    "fork-exec": (2, 8, 16, 32, 64, 128, 256),
    "java-build": (2, 8, 16, 32, 64),
}
"""CPU counts of each trace. A copy of cc-j4 has 40,000 pages live: 128 of them are five million pages of RAM."""

LARGEST: Final = 256
"""Of every trace under ttas; under MCS, and 128 CPUs, with `--full`."""

SMALL: Final = (2, 4, 8)
BAND_CPUS: Final = 32
BAND_TRACES: Final = ("cc-j4", "fork-exec")
"""Where the costs are halved and doubled: eight cells more for each design. The others, and MCS, with `--full`."""

POLICIES: Final = ("ttas", "mcs")

MINUTES = Claim("curve-minutes", "the whole curve, on 2 processors", "minutes", 15.0)
LINEAR = Claim(
    "curve-linear-2-cpus",
    "two CPUs do the work of two, or wait for each other's pages as the trace has it: the least share of linear",
    "share",
    0.95,
    True,
)
WAITING = Claim(
    "curve-depot-256-waiting", "depot on 256 CPUs: waiting for page locks, of all time, the most", "%", 1.0
)
OF_LINEAR = Claim(
    "curve-depot-256-of-linear",
    "depot on 256 CPUs: work, of what CPUs do that wait for their partner's pages only; the least",
    "share",
    0.95,
    True,
)
"""Of all traces and lock policies that are kept. What is parked then: bench/depot.py."""


def grid(designs: Sequence[str], traces: Sequence[str], *, full: bool) -> list[CurveCell]:
    """Return all cells, the largest first, so that none is left to one process at the end."""
    cells = [
        CurveCell(design, trace, ncpus, lock)
        for trace in traces
        for design in designs
        for lock in POLICIES
        for ncpus in _counts(_name(trace), lock, full=full)
    ]
    cells = sorted(dict.fromkeys(cells), key=lambda cell: -cell.ncpus)
    at = [cell for cell in cells if cell.ncpus == BAND_CPUS]
    usual = [cell for cell in at if cell.lock == "ttas" and cell.trace_name in BAND_TRACES]
    cells += [other for cell in (at if full else usual) for other in banded(cell)]
    return cells + [with_cold_structs(cell) for cell in at if cell.lock == "ttas"]


def _counts(trace: str, lock: str, *, full: bool) -> tuple[int, ...]:
    """Return the CPU counts of a curve."""
    return COUNTS[trace] + ((128, LARGEST) if full else (LARGEST,) if lock == "ttas" else ())


def small(designs: Sequence[str]) -> list[CurveCell]:
    """Return the cells of a run that keeps nothing."""
    return [CurveCell(design, str(bundled_trace()), ncpus, "ttas") for design in designs for ncpus in SMALL]


def _name(trace: str) -> str:
    return Path(trace).name.removesuffix(".perf.xz")


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Measure what was asked for, and write it."""
    keep = args.curve or args.write
    designs = args.design or (["fpageqlock"] if smoke else list(REGISTRY))
    for design in designs:
        find(design)
    files, missing = found_traces([SHIPPED, *args.traces], tuple(COUNTS))
    cells = grid(designs, files, full=args.full) if keep else small(designs)
    todo = [cell for cell in cells if args.only in str(cell)][: 1 if smoke else None]
    folder: Path = args.results
    kept = Kept.at(folder / "curve.json" if keep else None, _command(args), as_it_is=args.write)
    whole = args.write or fill(kept, todo, measure, Where(args.processes, args.scheduler), same=args.same)
    if keep:
        asked = set(cells)
        cells = [cell for cell in grid(designs, files, full=True) if cell in asked or str(cell) in kept.cells]
    mark(kept, cells)
    document = kept.document()
    if keep:
        folder.mkdir(parents=True, exist_ok=True)
        page = markdown(document, _ordered(cells), missing)
        (folder / "curve.md").write_text(page)
        (folder / "curve.svg").write_text(svg(curves(document, _ordered(cells))))
        if folder == RESULTS:
            into_page(PAGE, "curve.py", page)
    else:
        print(markdown(document, _ordered(cells), ()))
    found = curves(document, _ordered(cells))
    if args.documents is not None:
        for (trace, lock), curve in found.items():
            write_json(args.documents / f"{trace}-{lock}.json", curve.document())
    if not whole:
        raise KeyboardInterrupt
    shares = [
        curve.share_of_linear(label, curve.cpu_counts()[0]) for curve in found.values() for label in curve.labels()
    ]
    least = [share for share in shares if share is not None]
    minutes = kept.host_s(grid(designs, files, full=False) if keep else cells) / 60 / 2
    return [
        MINUTES.record([minutes], judged=args.curve and not args.only),
        LINEAR.record([min(least)], judged=not smoke) if least else LINEAR.unmeasured(),
        *at_the_largest(found if keep and "depot" in designs else None),
    ]


def at_the_largest(found: Mapping[tuple[str, str], Curve] | None) -> list[Record]:
    """Judge what depot promises on LARGEST CPUs, if the points of all traces are kept; else say which are not.

    => None: nothing was asked for that would have them.
    """
    if found is None:
        return [WAITING.unmeasured(), OF_LINEAR.unmeasured()]
    waits: list[float] = []
    shares: list[float] = []
    gone = []
    for trace, lock in ((trace, lock) for trace in COUNTS for lock in POLICIES):
        curve = found.get((trace, lock))
        points = [] if curve is None else curve.at("depot", LARGEST)
        told = [point for point in points if point.outside_ns is not None and point.stall_ns is not None]
        share = None if curve is None or not told else curve.share_of_linear("depot", LARGEST)
        if share is not None and len(told) == len(points):
            shares.append(share)
            waits += [point.wait_share_percent for point in points]
        elif points or lock == "ttas":  # under MCS with --full only
            gone.append(f"{trace}, {lock}: {'has no recorded gaps' if points else 'is not kept'}")
    for each in gone:
        print(f"  depot on {LARGEST} CPUs, {each}: not judged")
    if not shares:
        return [WAITING.unmeasured(), OF_LINEAR.unmeasured()]
    return [WAITING.record([max(waits)], judged=not gone), OF_LINEAR.record([min(shares)], judged=not gone)]


def _command(args: argparse.Namespace) -> str:
    flags = [f"--{flag}" for flag in ("curve", "full") if getattr(args, flag)]
    return " ".join(["./run python bench/curve.py", *flags])


def _ordered(cells: Sequence[CurveCell]) -> list[CurveCell]:
    """Return cells as the page has them: traces, policies, designs and CPU counts in order."""
    designs = list(dict.fromkeys([*REGISTRY, *(cell.design for cell in cells)]))
    traces = [*COUNTS]

    def place(cell: CurveCell) -> tuple[int, int, int, int]:
        trace = traces.index(cell.trace_name) if cell.trace_name in traces else 0
        return trace, POLICIES.index(cell.lock), designs.index(cell.design), cell.ncpus

    return sorted(cells, key=place)


def parser() -> argparse.ArgumentParser:
    """Return what reads this script's own arguments."""
    made = argparse.ArgumentParser(add_help=False)
    for flag in ("--curve", "--write", "--full"):
        made.add_argument(flag, action="store_true")
    made.add_argument("--same", action="store_true")
    made.add_argument("--design", action="append", metavar="NAME")
    made.add_argument("--only", default="")
    made.add_argument("--traces", action="append", type=Path, default=[])
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--documents", type=Path)
    made.add_argument("--scheduler")
    made.add_argument("--processes", type=int, default=Where().processes)
    return made


if __name__ == "__main__":
    mine, others = parser().parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))
