"""A cell of the table: one design under one load in virtual time, and what came of it.

=> Virtual time, so that the same comes out on every host, and a second in which a cache decays is one. What is
   counted there is counted exactly; what is timed depends on the table of costs, and is told apart in the table.
=> A trace is played with its recorded gaps, once from empty caches; "4 passes" plays it four times over. What is live
   at the end of a pass is freed before the next, and stays at the end of the last.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from bench.grid.limit import limit
from bench.grid.loads import after_exit, passes
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.bench import tallied
from uvmfree.measure.cell import Worker
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.run import Run, figures
from uvmfree.measure.workloads import Workload, by_name
from uvmfree.param import Param
from uvmfree.workload.replay_plan import Plan, plan
from uvmfree.workload.thinking import THINK_NS
from uvmfree.workload.trace import Trace, read_trace

NPAGES: Final = 131_072
"""RAM for a trace: 512 MiB. The largest has 56,000 pages live, and a cache may hold an eighth of RAM."""

COSTS, LOCK, SEED = "xeon-2s", "ttas", 1

PRESSURE_S: Final = 0.05
"""Virtual seconds of the load that pages: longer tells no more, and the host is long at it."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """One design under one load.

    => `load`: handoff, forkexit, pressure, exit, or "trace"; then `trace` is its file. `passes`: of the trace.
       "limit": no design, but what no design can be better than (bench/grid/limit.py).
    => `settings`: tunables as NAME=VALUE. `npages`: RAM for a trace.
    """

    design: str
    load: str
    trace: str | None = None
    passes: int = 1
    settings: tuple[str, ...] = ()
    npages: int = NPAGES

    @property
    def label(self) -> str:
        """The design with its tunables."""
        return ", ".join([self.design, *self.settings])

    @property
    def load_name(self) -> str:
        """The load, as it is called in tables."""
        if self.trace is None:
            return self.load
        name = Path(self.trace).name.removesuffix(".xz").removesuffix(".perf")
        return name if self.passes == 1 else f"{name}, {self.passes} passes"

    def __str__(self) -> str:
        """Its name in the file of results."""
        ram = f", {self.npages} pages of RAM" if self.trace is not None and self.npages != NPAGES else ""
        return f"{self.label}: {self.load_name}{ram}"


def tunables_of(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the tunables that settings name, a design's own among them; a value as JSON has it, or a word."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


def measure(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Measure a cell, given as plain values; None if it was told to give up."""
    cell = GridCell(**{**plain, "settings": tuple(plain["settings"])})
    tunables = tunables_of(cell.settings)
    if cell.load == "limit" and cell.trace is not None:
        return {"limit": limit(once(cell.trace))}
    if cell.load == "exit":
        machine = _machine(4)
        return {"figures": {}, "exit": after_exit(machine, {**tunables, "design": cell.design})}
    workload = _workload(cell)
    given = {"npages": workload.npages or cell.npages, **tunables, "ncpus": workload.ncpus, "design": cell.design}
    done = tallied(workload, Param.of(given), cell.design, machine=_machine(workload.ncpus), stop=Worker.stop)
    if done is None:
        return None
    found = figures(done)
    return {"figures": {**asdict(found), "page_locks_per_op": _of_pages(done) / found.page_operations}}


def _of_pages(done: Run) -> int:
    """Count acquisitions of shared locks, but for those of runs of pages, which stop all CPUs in every design."""
    return sum(lock.acquired for lock in done.locks if lock.kind == "shared" and lock.caller != "uvm_pglistalloc")


def _machine(ncpus: int) -> VirtualMachine:
    return VirtualMachine(ncpus=ncpus, costs=COSTS, lock=LOCK, seed=SEED, lockstat=True, lockholds=True)


def _workload(cell: GridCell) -> Workload:
    if cell.trace is None:
        on = MachineFacts(kind=VIRTUAL, costs=COSTS, lock=LOCK, think_ns=THINK_NS)
        seconds = PRESSURE_S if cell.load == "pressure" else None
        return by_name(cell.load, seconds=seconds, on=on)
    plans = [looped(cell.trace)] * (cell.passes - 1) + [once(cell.trace)]
    return Workload(
        name=cell.load_name,
        ncpus=len(plans[0].programs),
        load=lambda uvm: passes(uvm, plans),
        page_operations=sum(each.page_operations for each in plans),
        allocations=sum(each.allocs - len(each.run_pages) for each in plans),
        live_pages=max(each.live_peak for each in plans),
    )


@lru_cache(maxsize=2)
def _trace(file: str) -> Trace:
    return read_trace(file)


def once(file: str) -> Plan:
    """Return the plan of a trace as it was recorded."""
    return plan(_trace(file))


def looped(file: str) -> Plan:
    """Return the plan of a trace that frees at its end what is live."""
    return plan(_trace(file), loop=True)
