"""A cell of the steps: a design with its tunables on a trace, on 2 CPUs or as copies on many, or short of RAM."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.grid import cell as grid_cell
from bench.grid import point
from bench.grid.cell import GridCell
from bench.grid.point import CurveCell
from uvmfree.kern.lockrank import UVM_PAGEOUT_LOCK
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.bench import tallied
from uvmfree.measure.cell import Worker
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.workloads import by_name
from uvmfree.param import Param
from uvmfree.workload.thinking import THINK_NS

PRESSURE: Final = "pressure"
OWN_CPUS: Final = 2


@dataclass(frozen=True, slots=True)
class StepCell:
    """One design on one load; `load`: the file of a trace, or PRESSURE. More than OWN_CPUS are copies of a trace."""

    design: str
    settings: tuple[str, ...]
    load: str
    ncpus: int = OWN_CPUS

    @property
    def label(self) -> str:
        """The design with its tunables."""
        return ", ".join([self.design, *self.settings])

    @property
    def load_name(self) -> str:
        """The load, as it is called in tables."""
        return Path(self.load).name.removesuffix(".xz").removesuffix(".perf")

    def __str__(self) -> str:
        """Its name in the file of results."""
        return f"{self.label}: {self.load_name}, {self.ncpus} CPUs"


def measure(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Measure a cell, given as plain values; None if it was told to give up."""
    cell = StepCell(**{**plain, "settings": tuple(plain["settings"])})
    if cell.load == PRESSURE:
        return _pageout(cell)
    if cell.ncpus == OWN_CPUS:
        return grid_cell.measure(asdict(GridCell(cell.design, "trace", cell.load, 1, cell.settings)))
    return point.measure(asdict(CurveCell(cell.design, cell.load, cell.ncpus, "ttas", cell.settings)))


def _pageout(cell: StepCell) -> dict[str, Any] | None:
    """Count how often the state of the pagedaemon is locked, and how often page lists are, where RAM is short."""
    costs, lock = grid_cell.COSTS, grid_cell.LOCK
    on = MachineFacts(kind=VIRTUAL, costs=costs, lock=lock, think_ns=THINK_NS)
    workload = by_name(PRESSURE, seconds=grid_cell.PRESSURE_S, on=on)
    machine = VirtualMachine(ncpus=workload.ncpus, costs=costs, lock=lock, seed=grid_cell.SEED, lockstat=True)
    given = grid_cell.tunables_of(cell.settings) | {"design": cell.design, "ncpus": workload.ncpus}
    param = Param.of({"npages": workload.npages or grid_cell.NPAGES, **given})
    done = tallied(workload, param, cell.design, machine=machine, stop=Worker.stop)
    if done is None:
        return None
    return {
        "pageout_lock": sum(held.acquired for held in done.locks if held.name == UVM_PAGEOUT_LOCK.name),
        "shared_locks": sum(held.acquired for held in done.locks if held.kind == "shared"),
    }
