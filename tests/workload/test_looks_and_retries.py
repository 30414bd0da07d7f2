"""How often loads look whether to stop, that they do, and what they ask for again."""

from pathlib import Path
from typing import Any

import pytest

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.errors import OutOfPages
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import StoppedError, drive
from uvmfree.workload.load import WAIT_S
from uvmfree.workload.pressure import BURST_PAGES as CHILD_PAGES
from uvmfree.workload.pressure import forkexit
from uvmfree.workload.replay_plan import plan
from uvmfree.workload.shortage import shortage
from uvmfree.workload.synthetic import BURST_PAGES, pingpong


class Looked:
    """A lane that notes after how many allocations it is asked whether to stop, and says so from some look on."""

    def __init__(self, stops_at: int) -> None:
        self.allocs, self.failed, self.index = 0, 0, 0
        self.looks: list[int] = []
        self._stops_at = stops_at

    @property
    def stopped(self) -> bool:
        self.looks.append(self.allocs)
        return len(self.looks) >= self._stops_at

    def pagealloc(self, zero: bool = False) -> object:
        self.allocs += 1
        return object()

    def pagefree(self, pg: object) -> None:
        """Do nothing."""


def test_pingpong_looks_every_so_many_bursts() -> None:
    lane: Any = Looked(3)
    (body,) = pingpong(1, 100 * BURST_PAGES, look_bursts=8)
    with pytest.raises(StoppedError):
        body(lane, lane)
    assert lane.looks == [BURST_PAGES, 9 * BURST_PAGES, 17 * BURST_PAGES]


def test_a_child_that_is_told_to_stop_allocates_nothing() -> None:
    lane: Any = Looked(1)
    with uvmfree.boot(npages=64, ncpus=1) as uvm:
        forkexit(uvm, 3).bodies[0](lane, lane)
    assert lane.looks == [0]
    assert lane.allocs == 0


def test_children_ask_for_zeroed_pages() -> None:
    with uvmfree.boot(npages=4096, ncpus=2) as uvm:
        drive(uvm, forkexit(uvm, 3).bodies)
        assert [stats.zerohit + stats.zeromiss for stats in uvm.cpu_stats()] == [3 * CHILD_PAGES] * 2


def test_a_run_that_is_not_there_is_waited_for_in_little_memory(tmp_path: Path) -> None:
    made = plan(read(tmp_path, line("alloc", "0x10", order=2) + line("free", "0x10", order=2, us=1)))
    system: Any = uvmfree.boot(npages=64, ncpus=1)
    asked, waited, pglistalloc = [0], list[float](), system.pglistalloc

    def refuses_once(*args: Any, **how: Any) -> list[VmPage]:
        asked[0] += 1
        if asked[0] == 1:
            raise OutOfPages("not yet")
        pages: list[VmPage] = pglistalloc(*args, **how)
        return pages

    system.pglistalloc, system.wait = refuses_once, waited.append
    load = shortage(system, made)
    with system:
        drive(system, load.bodies)
    assert (asked, waited) == ([2], [WAIT_S])
    assert load.counts() == {"runs_asked": 1, "runs_met": 1, "runs_failed": 0, "runs_pages": 4}
