"""Linux against Linux: pages that linux_pcp moves between CPUs and the zone, beside what the recorded kernel moved.

The traces tell what Linux' own sets did with the traffic (mm_page_alloc_zone_locked, mm_page_pcpu_drain). The kernel
had run for a while when recording began: its sets were neither empty nor as this traffic would have made them. Which
pages they had can be read from the trace (bench/grid/recorded.py).

How: each trace is played event by event in virtual time: by linux_pcp as it is, from empty sets, and with all that is
known of the recorded kernel: the pages of its sets, its watermarks, its lists for each migrate type, and what goes
through its sets beside pages of order 0. The record should lie between the two. Then each difference alone.

What could fool it: a set's size is a share of RAM, and the recording machine's RAM is not known. What stood on a set
and was not used is not seen, nor are pages that were allocated without an event (alloc_pages_bulk).

    --keep         goes on with docs/results/linux.json, and keeps what it measures there
    --traces DIR   another folder with traces, may be repeated
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.designs import found_traces
from bench.grid.cell import NPAGES as SMOKE_NPAGES
from bench.grid.kept import RESULTS, Kept, Where, fill
from bench.grid.recorded import BEFORE_SETTINGS, NPAGES, RecordedCell, measure, recorded
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main
from uvmfree.workload.trace import bundled_trace

EMPTY: Final = "empty sets"
KNOWN: Final = "all that is known"

ALL: Final[Mapping[str, Any]] = {"stock": True, "marks": "Marked", "types": True, "orders": True, "strangers": True}

ROWS: Final[Mapping[str, Mapping[str, Any]]] = {
    EMPTY: {},
    "played twice before": {"passes": 3},
    "half the RAM": {"npages": NPAGES // 2},
    "before 6.7: no auto-tuning": {"settings": BEFORE_SETTINGS},
    "no decay": {"settings": ("decay=false",)},
    "lists by migrate type": {"types": True},
    "orders 1 to 3 through sets": {"orders": True},
    "pages from before are freed": {"strangers": True},
    "its watermarks": {"marks": "Marked"},
    "its pages on the sets": {"stock": True},
    "pages and watermarks": {"stock": True, "marks": "Marked"},
    KNOWN: ALL,
    "and three idle seconds before": {**ALL, "idle_s": 3},
}
"""What is varied, each alone; the last three together."""

OUTSIDE = Claim(
    "linux-outside-per-op",
    "pages that the recorded kernel moved per operation: how far outside of linux_pcp's, from empty sets to its own",
    "per op",
    0.0,
)


def cells_of(trace: str, npages: int, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, RecordedCell]:
    """Return the cells of a trace by the row that shows them."""
    return {name: RecordedCell(trace, **{"npages": npages, **changes}) for name, changes in rows.items()}


def compared(kept: Kept, trace: str, npages: int, *, judged: bool) -> Record:
    """Print a trace's row and make its record."""
    cells = cells_of(trace, npages, {name: ROWS[name] for name in (EMPTY, KNOWN)})
    empty, known = (float(kept.cells[str(cell)]["moved_per_op"]) for cell in cells.values())
    said = recorded(trace)
    low, high = sorted((empty, known))
    outside = max(0.0, low - said.moved_per_op, said.moved_per_op - high)
    print(f"    {cells[EMPTY].trace_name:<16}{said.moved_per_op:10.4f}{empty:10.4f}{known:10.4f}{outside:10.4f}")
    return OUTSIDE.record([outside], judged=judged)


def _causes(kept: Kept, files: list[str]) -> None:
    """Print what each difference alone makes of the figure, a trace a column."""
    names = [RecordedCell(file).trace_name for file in files]
    print("\neach difference alone: pages moved per page operation")
    print(f"    {'from empty sets':<32}" + "".join(f"{name:>16}" for name in names))
    rows = {"recorded": [recorded(file).moved_per_op for file in files]}
    for file in files:
        for name, cell in cells_of(file, NPAGES, ROWS).items():
            rows.setdefault(name, []).append(float(kept.cells[str(cell)]["moved_per_op"]))
    for name, values in rows.items():
        print(f"    {name:<32}" + "".join(f"{value:16.4f}" for value in values))


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Play the traces and compare."""
    files, missing = found_traces([SHIPPED, *args.traces])
    npages, rows = NPAGES, ROWS
    if smoke:
        files, missing, npages = [str(bundled_trace())], [], SMOKE_NPAGES
        rows = {name: ROWS[name] for name in (EMPTY, KNOWN)}
    cells = [cell for trace in files for cell in cells_of(trace, npages, rows).values()]
    kept = Kept.at(RESULTS / "linux.json" if args.keep else None, "./run python bench/linux.py --keep")
    if not fill(kept, sorted(cells, key=lambda cell: -cell.passes), measure, Where()):
        raise KeyboardInterrupt
    print(f"\nlinux_pcp, {npages:,} pages of RAM: pages moved per page operation")
    print(f"    {'trace':<16}{'recorded':>10}{'empty':>10}{'its own':>10}{'outside':>10}")
    records = [compared(kept, trace, npages, judged=not smoke) for trace in files]
    if not smoke:
        _causes(kept, files)
    if missing:
        print(f"left out, since the files were not there: {', '.join(missing)}")
    return records


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--traces", action="append", type=Path, default=[])
    parser.add_argument("--keep", action="store_true")
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))
