"""What copies draw, count and begin with: their phases, the gaps and waits until now, and runs one by one."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.errors import OutOfPages
from uvmfree.workload.copies import _begin_runs, _outside_until, _phases, copies
from uvmfree.workload.driver import drive
from uvmfree.workload.replay_plan import plan


def test_a_gap_counts_as_far_as_it_has_passed() -> None:
    begun: Any = [SimpleNamespace(outside_ns=[100, 30], ends_ns=[90, 40])]
    assert [_outside_until(begun, now_ns) for now_ns in (60, 90, 500)] == [100, 130, 130]


def test_copies_begin_in_every_epoch_and_anywhere_within_its_time() -> None:
    made: Any = SimpleNamespace(programs=[SimpleNamespace(epochs=range(7))], epoch_ns=1000)
    epochs, lates = zip(*_phases(made, 400, 1), strict=True)
    assert set(epochs) == set(range(7))
    assert 0 <= min(lates) < 25
    assert 975 < max(lates) <= 1000
    made.epoch_ns = 0
    assert {late_ns for _, late_ns in _phases(made, 20, 1)} == {0}


def test_runs_that_no_run_can_be_cut_into_are_taken_one_by_one() -> None:
    asked, begun = list[int](), list[tuple[int, int]]()

    def pglistalloc(size: int, alignment: int) -> list[int]:
        asked.append(size)
        if size > alignment:
            raise OutOfPages("only short ones")
        return [0] * size

    system: Any = SimpleNamespace(pglistalloc=pglistalloc)
    runs = SimpleNamespace(begin_with=lambda run, pages: begun.append((run, len(pages))))
    copy: Any = SimpleNamespace(plan=SimpleNamespace(run_pages=(2, 4, 2)), runs=runs)
    _begin_runs(system, [(copy, 0), (copy, 1), (copy, 2)])
    assert begun == [(0, 2), (2, 2), (1, 4)]
    assert asked == [4, 2, 2, 4]


def test_a_wait_counts_while_it_goes_on(tmp_path: Path) -> None:
    """CPU 1 waits for pages that CPU 0 allocates every millisecond: from look to look the time rises as it passes."""
    lines = []
    for number in range(24):
        lines.append(line("alloc", hex(16 + number), cpu=0, us=1000 * number))
        lines.append(line("free", hex(16 + number), cpu=1, us=1000 * number + 1))
    looped = plan(read(tmp_path, "".join(lines)), window=4, loop=True)
    machine = uvmfree.VirtualMachine(ncpus=2)
    with uvmfree.boot(machine, npages=256, ncpus=2) as uvm:
        load = copies(uvm, looped, 1, 1, machine.acts_as, before=0)
        assert load.stall_ns is not None
        looks = []

        def look() -> None:
            for _ in range(200):
                machine.sleep(50e-6)
                looks.append(load.stall_ns())

        observer = machine.spawn("observer", look)
        drive(uvm, load.bodies, seconds=0.01)
        assert machine.join(observer, 1.0)
    assert looks[-1] > 300_000
    assert max(after - before for before, after in pairwise(looks)) < 4 * 50_000
