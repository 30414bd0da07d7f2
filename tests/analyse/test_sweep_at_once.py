"""How many cells of a sweep are under way: as many as there are machines, and one more only when one is done."""

import json
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import record
from uvmfree.analyse.sweep import Grid, Sweep, run_sweep
from uvmfree.measure.bench import new_record
from uvmfree.measure.cell import Cell


class Slow(Executor):
    """Ends the oldest of its cells when as many are under way as there are machines, and all when no more come.

    => `saved`: cells that were heard of; `most`: how many others there were at once.
    """

    def __init__(self, machines: int, cells: int, document: dict[str, Any]) -> None:
        self.machines, self.left, self.document = machines, cells, document
        self.under_way: list[Future[dict[str, Any]]] = []
        self.begun = self.saved = self.most = 0

    def submit(self, call: object, /, *args: object, **how: object) -> Any:
        future = Future[dict[str, Any]]()
        self.under_way.append(future)
        self.begun, self.left = self.begun + 1, self.left - 1
        self.most = max(self.most, self.begun - self.saved)
        for _ in range(len(self.under_way) if not self.left else len(self.under_way) == self.machines):
            self.under_way.pop(0).set_result(self.document)
        return future

    def save(self, sweep: Sweep) -> None:
        self.saved = len(sweep.records)


@pytest.mark.parametrize("machines", [1, 2, 3])
def test_so_many_as_machines(machines: int) -> None:
    cells = [Cell("pressure", 1, "percpu", ("npages=512",), number, seconds=0.01) for number in range(1, 8)]
    workload, param = cells[0].ready()
    document = json.loads(json.dumps(new_record(workload, param, ("percpu",)).document()))
    sweep, slow = Sweep(cells), Slow(machines, len(cells), document)
    done = list(run_sweep(sweep, slow, slow.save, at_once=machines))
    assert sorted(cell.repetitions for cell in done) == list(range(1, 8))
    assert (slow.saved, slow.most) == (7, machines)


def test_a_cell_that_was_given_up_is_not_kept_and_no_other_is_begun() -> None:
    begun: list[object] = []

    class GivingUp(Executor):
        def submit(self, measure: Any, /, *cell: Any, **how: Any) -> Future[Any]:
            begun.append(cell)
            future = Future[Any]()
            future.set_result(json.loads(json.dumps(replace(record(), interrupted=True).document())))
            return future

    sweep = Sweep([Cell("pingpong", ncpus, "percpu", (), 1) for ncpus in (1, 2, 4)])
    assert list(run_sweep(sweep, GivingUp(), lambda grown: None)) == []
    assert (len(begun), sweep.records) == (1, {})


def test_what_goes_with_a_trace_is_of_no_other_cell() -> None:
    """Else a sweep with another limit would be measured again where that changes nothing."""
    grid = Grid(("pressure",), (1,), ("percpu",), (), trace="a.perf", seconds=0.5, unpacked_max_bytes=1 << 20)
    (cell,) = grid.cells()
    assert (cell.trace, cell.seconds, cell.unpacked_max_bytes) == (None, 0.5, None)
