"""The proposal step by step, and on to the depot: what each step does, with those before it taken.

    ./run python bench/steps.py --keep     measures all; writes docs/results/steps.{json,md}
    ./run python bench/steps.py            plays the trace of the package, and keeps nothing

    today     one lock for lists and counters, that of the pagedaemon's state apart (P1, P2: both machines have them)
    split     the lists of each CPU under its own lock, a miss takes one page (P3 to P10)
    batch     a miss takes 32 pages
    bound     a cache holds 1,024 pages at most, and spills half of them
    units     32 pages change hands by pointer; 1,024 pages a CPU as before
    budget    all caches together hold 4,096 pages, or 128 a CPU; CPUs lend each other what they may keep

How: in virtual time. Each trace on its own two CPUs with its recorded gaps, from empty caches: counts that hold on
any machine. Copies of cc-j4 and fork-exec on MANY CPUs: waiting depends on the table of costs. What a lock of the
pagedaemon's own takes off uvm_fpageqlock (P2): acquisitions under `pressure`; the traces have none.

=> A run that was broken off goes on where it was; `--same`, `--only`, `--traces`: as of bench/designs.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.designs import found_traces
from bench.grid.kept import RESULTS, Kept, Where, fill, mark, source
from bench.grid.step import OWN_CPUS, PRESSURE, StepCell, measure
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main
from uvmfree.measure.decode import decode
from uvmfree.measure.scale import Point
from uvmfree.workload.trace import bundled_trace

STEPS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "today": ("fpageqlock", ()),
    "split": ("percpu", ()),
    "batch": ("percpu", ("refill=32",)),
    "bound": ("percpu", ("refill=32", "hoard_max=1024")),
    "units": ("depot", ("budget=1048576",)),
    "budget": ("depot", ()),
}
"""A design and its tunables for each step. A budget that is never reached leaves the bound on each CPU alone."""

MANY: Final = 256
COPIED: Final = ("cc-j4", "fork-exec")

FEWER = Claim(
    "steps-locks-last-of-first", "shared locks per operation on cc-j4: the last step's, of today's", "%", 1.0
)


def grid(traces: Sequence[str]) -> list[StepCell]:
    """Return all cells, the largest first."""
    copied = [trace for trace in traces if _name(trace) in COPIED]
    cells = [StepCell(*how, trace, MANY) for trace in copied for how in STEPS.values()]
    cells += [StepCell(*how, trace) for trace in traces for how in STEPS.values()]
    return [*cells, StepCell("fpageqlock", (), PRESSURE, 4)]


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Measure all, and write it."""
    files = found_traces([SHIPPED, *args.traces])[0] if args.keep else [str(bundled_trace())]
    cells = grid(files) if args.keep else [StepCell(*how, files[0]) for how in STEPS.values()]
    if smoke:
        cells = [cells[0], cells[-1]]
    kept = Kept.at(RESULTS / "steps.json" if args.keep else None, "./run python bench/steps.py --keep")
    todo = [cell for cell in cells if args.only in str(cell)]
    if not fill(kept, todo, measure, Where(args.processes), same=args.same):
        raise KeyboardInterrupt
    mark(kept, cells)
    names = [_name(file) for file in files]
    page = "\n".join(lines(kept.document(), names)) + "\n"
    if args.keep:
        (RESULTS / "steps.md").write_text(page)
    print(page)
    first, last = (_figure(kept.cells, step, names[0], "page_locks_per_op") for step in ("today", "budget"))
    return [FEWER.record([100 * last / first], judged=not smoke) if first and last else FEWER.unmeasured()]


def lines(document: Mapping[str, Any], traces: Sequence[str]) -> Iterator[str]:
    """Yield the page."""
    cells = document["cells"]
    yield from ("# The steps: figures", "", source(document))
    for title, says, name, digits in (
        (
            "Shared locks per page operation",
            "2 CPUs, from empty caches; without runs of pages.",
            "page_locks_per_op",
            5,
        ),
        ("Pages parked, the most", "Free pages in caches, at the end of any operation.", "parked_pages_max", 0),
        (
            "Items in a hold, 99 %",
            "Pages touched under a shared lock, or runs moved by pointer.",
            "held_items_p99",
            0,
        ),
    ):
        yield from (
            "",
            f"## {title}",
            "",
            says,
            "",
            f"| step | {' | '.join(traces)} |",
            "|---|" + "---:|" * len(traces),
        )
        for step in STEPS:
            found = [_figure(cells, step, trace, name) for trace in traces]
            yield f"| {step} | {' | '.join('-' if one is None else f'{one:,.{digits}f}' for one in found)} |"
    yield from (
        "",
        f"## {MANY} CPUs",
        "",
        "Copies of a trace, test-and-test-and-set: work, in CPUs that never wait / waiting.",
        "",
    )
    yield f"| step | {' | '.join(COPIED)} |"
    yield "|---|" + "---:|" * len(COPIED)
    for step in STEPS:
        points = [point_of(cells, step, trace) for trace in COPIED]
        texts = ["-" if one is None else f"{work(one):.1f} / {one.wait_share_percent:.2f} %" for one in points]
        yield f"| {step} | {' | '.join(texts)} |"


def point_of(cells: Mapping[str, Any], step: str, trace: str) -> Point | None:
    """Return the point of a step on MANY CPUs, if it is there."""
    name = str(StepCell(*STEPS[step], trace, MANY))
    return decode(Point, cells[name]["point"], name) if name in cells else None


def work(point: Point) -> float:
    """Return the CPUs that would do as much if they never waited."""
    return (point.outside_ns or 0) / point.window_ns


def _figure(cells: Mapping[str, Any], step: str, trace: str, name: str) -> float | None:
    cell = cells.get(str(StepCell(*STEPS[step], trace, OWN_CPUS)), {})
    found: float | None = cell.get("figures", {}).get(name)
    return found


def _name(trace: str) -> str:
    return Path(trace).name.removesuffix(".xz").removesuffix(".perf")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--same", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--traces", action="append", type=Path, default=[])
    parser.add_argument("--processes", type=int, default=Where().processes)
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))
