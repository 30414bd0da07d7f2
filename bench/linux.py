"""Linux against Linux: pages that linux_pcp moves between CPUs and the zone, beside what the recorded kernel moved.

The traces tell what Linux' own sets did with the traffic (mm_page_alloc_zone_locked, mm_page_pcpu_drain). The kernel
had run for a while when recording began: its sets were neither empty nor as this traffic would have made them.

How: each trace is played on linux_pcp with as much RAM as sets of that size need, in virtual time, with the recorded
gaps: once from empty sets ("cold"), and once more after two passes ("warm"). The record should lie between the two.

What could fool it: a set's size is a share of RAM, and the recording machine's RAM is not known; NPAGES is what the
most that it had in its sets asks for. The trace frees at the end of a pass what is live; Linux would not have.

    --keep         goes on with docs/results/linux.json, and keeps what it measures there
    --traces DIR   another folder with traces, may be repeated
    --design NAME  another design, for comparison
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Final

from bench.designs import found_traces
from bench.grid.cell import NPAGES as GRID_NPAGES
from bench.grid.cell import GridCell, measure
from bench.grid.kept import RESULTS, Kept, Where, fill
from bench.harness import TRACES as SHIPPED
from bench.harness import Claim, Record, main
from uvmfree.uvm.designs import REGISTRY
from uvmfree.workload.trace import bundled_trace, read_trace

DESIGN: Final = "linux_pcp"

NPAGES: Final = 1 << 20
"""4 GiB: an eighth of it, for two CPUs, is more than the 53,350 pages that the recorded kernel was seen to have."""

WARM_UP: Final = 2
"""Passes before the one that counts as warm."""

OUTSIDE = Claim(
    "linux-outside-per-op",
    "pages that the recorded kernel moved per operation: how far outside of linux_pcp's, cold to warm",
    "per op",
    0.0,
)


def passes_of(trace: str, design: str, npages: int) -> list[GridCell]:
    """Return the cells of a trace: once, and as often as it takes to have a warm pass by difference."""
    return [GridCell(design, "trace", trace, passes, npages=npages) for passes in (1, WARM_UP, WARM_UP + 1)]


def moved(kept: Kept, cell: GridCell) -> float:
    """Return how many pages were moved in all."""
    found = kept.cells[str(cell)]["figures"]
    return float(found["moved_per_op"] * found["page_operations"])


def compared(kept: Kept, trace: str, design: str, npages: int, *, judged: bool) -> Record:
    """Print a trace's row and make its record.

    => Passes are divided by the events of one: allocations, and frees of a page that was allocated in the trace.
    """
    counts = read_trace(trace).counts
    once, before, after = passes_of(trace, design, npages)
    events = counts.allocs + counts.frees
    cold, warm = moved(kept, once) / events, (moved(kept, after) - moved(kept, before)) / events
    recorded = counts.linux_moved_per_op
    assert recorded is not None
    low, high = sorted((cold, warm))
    outside = max(0.0, low - recorded, recorded - high)
    print(f"    {once.load_name:<16}{recorded:10.3f}{cold:10.3f}{warm:10.3f}{outside:10.3f}")
    return OUTSIDE.record([outside], judged=judged)


def bench(args: argparse.Namespace, smoke: bool) -> list[Record]:
    """Play the traces and compare."""
    files, missing = found_traces([SHIPPED, *args.traces])
    design = args.design or DESIGN
    if smoke:
        files, missing, design = [str(bundled_trace())], [], design if design in REGISTRY else "percpu"
    if design not in REGISTRY:
        print(f"{design} is not registered: nothing to compare")
        return [OUTSIDE.unmeasured()]
    npages = GRID_NPAGES if smoke else args.npages
    cells = [cell for trace in files for cell in passes_of(trace, design, npages)]
    kept = Kept.at(RESULTS / "linux.json" if args.keep else None, "./run python bench/linux.py --keep")
    if not fill(kept, sorted(cells, key=lambda cell: -cell.passes), measure, Where()):
        raise KeyboardInterrupt
    print(f"\n{design}, {npages:,} pages of RAM: pages moved per page operation")
    print(f"    {'trace':<16}{'recorded':>10}{'cold':>10}{'warm':>10}{'outside':>10}")
    records = [compared(kept, trace, design, npages, judged=not smoke) for trace in files]
    if missing:
        print(f"left out, since the files were not there: {', '.join(missing)}")
    return records


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--traces", action="append", type=Path, default=[])
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--design", choices=list(REGISTRY))
    parser.add_argument("--npages", type=int, default=NPAGES)
    mine, others = parser.parse_known_args()
    sys.argv[1:] = others
    sys.exit(main(__doc__ or "", partial(bench, mine)))
