"""Why a published figure is not met: supposed causes, each varied in a run of its own.

=> Nothing here is a prediction, and none of it goes back into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.designs import found_traces
from bench.grid.bulk import bulk
from bench.grid.processes import processes
from bench.grid.recorded import BEFORE_SETTINGS, RecordedCell
from bench.grid.recorded import measure as recorded_measure
from bench.grid.spread import spread
from bench.harness import TRACES as SHIPPED
from bench.harness import Record

WORDS: Final[dict[str, dict[str, Any]]] = {
    "as predicted": {},
    "lines cost twice": {"changed": {"line_socket": 100, "line_complex": 100}},
    "lines cost four times": {"changed": {"line_socket": 200, "line_complex": 200}},
    "atomics cost twice": {"changed": {"atomic": 14}},
    "trees of 2,048 pages, as today": {"tree_pages": 2048},
}
"""What would make LLFree's allocation grow with the cores, if it came from its words."""

PAPER_TREE: Final = 16_384
"""Pages of a tree in the paper; they are 2,048 today."""

USER_SPACE: Final = {8: 46.5, 24: 46.5}
"""LLFree alone, in user space: mean get_avg of four iterations, ns, on 8 and on 24 cores of the same machine
(allocator/latest-dram/bulk/out_0.csv of luhsra/llfree-bench)."""

TUNED: Final[dict[str, dict[str, Any]]] = {
    "as predicted": {},
    "played nine times before": {"passes": 10},
    "smallest size as published": {"marks": "Server"},
    "a tenth of the RAM": {"npages": 98_304},
    "memory short": {"left_pages": 45_000},
}
"""What may tell the published machine from this one; 40,000 pages are live at the peak here. Of what is fetched
15.6 of 100 are published after the series' seventh patch, 20.0 after its ninth; of what is given back 8.8."""

BUSY: Final = {36: (20_000, 5_000, 2_000), 316: (160_000, 40_000, 16_000)}
"""Work between two operations, ns: the lock is hardly busy, half busy, full."""

WAYS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "in one hold each": ("linux_pcp", {"spill_chunk": 0}),
    "as merged": ("linux_pcp", {}),
    "as measured": ("bench.grid.posted:Posted", {}),
}
"""How pages are freed."""

HOLD_NS: Final = 80
"""A page under the lock, its struct in another's cache."""


def causes(smoke: bool, full: dict[str, Any], folders: Sequence[Path] = ()) -> list[Record]:
    """Vary what was supposed; nothing is judged."""
    if not smoke:
        full["causes"] = {"llfree": _words(), "tuning": _tuned(folders), "chunks": _chunks()}
    return []


def _words() -> dict[str, list[float]]:
    """Whether LLFree grows by its words."""
    print("\nLLFree, 26 cores over 8, allocation and free; 1.37 and 1.01 published")
    found = {}
    seen = spread(
        {
            (name, ncpus): partial(bulk, "llfree", ncpus, **{"tree_pages": PAPER_TREE} | how)
            for ncpus in (8, 26)
            for name, how in WORDS.items()
        }
    )
    for name in WORDS:
        eight, many = seen[name, 8], seen[name, 26]
        found[name] = [many.alloc_ns / eight.alloc_ns, many.free_ns / eight.free_ns]
        print(f"  {name}: {found[name][0]:.3f}, {found[name][1]:.3f}")
    found["published, user space, 24 over 8"] = [USER_SPACE[24] / USER_SPACE[8]]
    return found


def _tuned(folders: Sequence[Path]) -> dict[str, list[float]]:
    """Why auto-tuning moves fewer pages than published: of 100 without it, those fetched, and those given back."""
    print("\ncc-j4, warm, pages under the zone lock with auto-tuning, of 100 without: fetched, given back; 20, 8.8")
    (file, *_), _ = found_traces([SHIPPED, *folders], ("cc-j4",))
    cells = {
        (name, settings): RecordedCell(file, **{"passes": 3, "settings": settings, **changes})
        for name, changes in TUNED.items()
        for settings in (BEFORE_SETTINGS, ())
    }
    seen = spread({key: partial(recorded_measure, asdict(cell)) for key, cell in cells.items()})
    found = {}
    for name in TUNED:
        on, off = seen[name, ()], seen[name, BEFORE_SETTINGS]
        if on is not None and off is not None:
            found[name] = [100 * on[way] / off[way] for way in ("fetched", "spilled")]
            print(f"  {name}: {found[name][0]:.1f}, {found[name][1]:.1f}")
    return found


def _chunks() -> list[list[float]]:
    """Whether frees in chunks pay under a busy lock: as merged, and as measured (bench/grid/posted.py)."""
    print("\nfrees in chunks: time in the allocator against one hold each; -3.2 and -11.9 % of system time published")
    changed: dict[str, float] = {"page_moved": HOLD_NS, "socket_cores": 80, "complex_cores": 80}
    loads = [(ncpus, think_ns) for ncpus, thinks_ns in BUSY.items() for think_ns in thinks_ns]
    seen = spread(
        {
            (load, way): partial(processes, design, *load, changed, **tunables)
            for load in loads
            for way, (design, tunables) in WAYS.items()
        }
    )
    rows = []
    for load in loads:
        whole, merged, posted = (seen[load, way] for way in WAYS)
        row = [100 * (each.ns / whole.ns - 1) for each in (merged, posted)]
        rows.append([load[0], whole.busy_percent, *row])
        busy = f"{load[0]} CPUs, lock busy {whole.busy_percent:.0f} %"
        print(f"  {busy}: {row[0]:+.1f} % as merged, {row[1]:+.1f} % as measured")
    return rows
