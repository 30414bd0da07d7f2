"""Why a published figure is not met: supposed causes, each varied in a run of its own.

=> Nothing here is a prediction, and none of it goes back into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.designs import found_traces
from bench.grid.bulk import bulk
from bench.grid.processes import processes
from bench.grid.spread import spread
from bench.harness import TRACES as SHIPPED
from bench.harness import Record
from bench.linux import NPAGES
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.cell import Worker
from uvmfree.uvm.boot import boot
from uvmfree.uvm.cpu import Cpu
from uvmfree.workload.driver import Body, Lane, drive
from uvmfree.workload.replay import Copy, plan
from uvmfree.workload.trace import read_trace

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

FILLS: Final = (0, 256, 1024, 4096, 16_384)
"""Pages that each CPU's set has when the trace begins."""

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
        full["causes"] = {"llfree": _words(), "cold": _fills(folders), "chunks": _chunks()}
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


def _fills(folders: Sequence[Path]) -> dict[str, float]:
    """Whether cc-j4 moves less from sets that are not empty."""
    print("\ncc-j4, pages moved per operation by linux_pcp, if each set has so many pages when it begins")
    (file, *_), _ = found_traces([SHIPPED, *folders], ("cc-j4",))
    found = spread({pages: partial(moved_from, file, pages) for pages in FILLS})
    for pages, moved in found.items():
        print(f"  {pages:,}: {moved:.3f}")
    return {str(pages): moved for pages, moved in found.items()}


def moved_from(file: str, fill: int) -> float:
    """Return the pages that are moved per event of a trace, if each CPU's set was filled before it begins."""
    trace = read_trace(file)
    planned = plan(trace)
    machine = VirtualMachine(ncpus=len(planned.programs), seed=1)
    uvm = boot(machine, npages=NPAGES, ncpus=len(planned.programs), design="linux_pcp")
    ready, before = [0], [0]  # one strand runs at a time

    def moved() -> int:
        return sum(cpu.filled + cpu.drained for cpu in uvm.cpu_stats())

    def filled(body: Body) -> Body:
        def whole(cpu: Cpu, lane: Lane) -> None:
            for pg in [cpu.pagealloc() for _ in range(fill)]:
                assert pg is not None
                cpu.pagefree(pg)
            ready[0] += 1
            before[0] = moved()  # the last to come counts all
            lane.notify()
            lane.wait_until(lambda: ready[0] == len(planned.programs))
            body(cpu, lane)

        return whole

    with uvm:
        drive(uvm, [filled(body) for body in Copy(planned, uvm, gaps=True).bodies()], Worker.stop)
        return (moved() - before[0]) / (trace.counts.allocs + trace.counts.frees)


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
