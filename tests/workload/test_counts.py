"""What a workload asks for and what it counts: the same for all designs, met or not, each page of a run counted."""

from dataclasses import replace
from pathlib import Path

import pytest

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.measure import workloads
from uvmfree.measure.run import Run, figures, run
from uvmfree.measure.workloads import Workload, from_trace
from uvmfree.param import Param
from uvmfree.workload import load, shortage
from uvmfree.workload.pressure import RUN_PAGES
from uvmfree.workload.trace import Trace


def of_runs(tmp_path: Path) -> Trace:
    """5 single pages, 3 of them freed; 16 runs of 8 pages, half of them freed."""
    lines = [line("alloc", hex(1000 + turn), cpu=turn % 2, us=turn) for turn in range(5)]
    lines += [line("alloc", hex(64 + 8 * turn), cpu=turn % 2, us=20 + turn, order=3) for turn in range(16)]
    lines += [line("free", hex(64 + 8 * turn), cpu=0, us=40 + turn, order=3) for turn in range(0, 16, 2)]
    lines += [line("free", hex(1000 + turn), cpu=1, us=80 + turn) for turn in range(3)]
    return read(tmp_path, "".join(lines))


def measured(workload: Workload, design: str, npages: int) -> Run:
    """Run it once, with lockstat, on a system that may be too small for it."""
    param = Param(npages=npages, ncpus=workload.ncpus)
    done = run(replace(workload, live_pages=0), param, design, 0, lockstat=True, stop=lambda: False)
    assert done is not None
    return done


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_requests_of_order_above_0_are_counted_apart(design: str, tmp_path: Path) -> None:
    """In 64 pages some of 16 runs of 8 fail: the rates keep their divisor, and what is missing is said."""
    workload = from_trace(of_runs(tmp_path))
    asked = 5 + 16 * 8 + 8 * 8 + 3
    assert (workload.facts.page_operations, workload.allocations) == (asked, 5)
    enough, short = (measured(workload, design, npages) for npages in (1024, 64))
    assert enough.counts == {
        "page_operations": asked,
        "allocations": 5,
        "runs_asked": 16,
        "runs_met": 16,
        "runs_failed": 0,
        "runs_pages": 128,
    }
    met = short.counts["runs_met"]
    assert 0 < met < 16
    assert (short.counts["runs_asked"], short.counts["runs_failed"]) == (16, 16 - met)
    assert short.counts["runs_pages"] == short.ranged_pages == 8 * met
    assert sum(short.drive.failed) <= 5  # single pages alone: no run counts among them
    whole, missing = figures(enough), figures(short)
    assert (whole.page_operations, whole.page_operations_done) == (asked, asked)
    assert missing.page_operations == asked > missing.page_operations_done


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.sampled(1)
def test_in_less_memory_too(design: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Runs take all the memory: some accesses get no page, and nobody does at the end.
    monkeypatch.setattr(shortage, "PATIENCE_S", 0.2)
    monkeypatch.setattr(load, "PROBE_S", 0.2)
    workload = from_trace(of_runs(tmp_path), memory=0.5)
    done = measured(workload, design, 64)
    assert done.counts["page_operations"] == workload.page_operations == 200
    assert done.counts["runs_asked"] == done.counts["runs_met"] + done.counts["runs_failed"] == 16
    assert done.counts["runs_pages"] == done.ranged_pages


@pytest.mark.parametrize("kind", ["pingpong", "handoff", "forkexit"])
def test_a_synthetic_workload_asks_for_what_it_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "PINGPONG_PAGES", 320)
    monkeypatch.setattr(workloads, "HANDOFF_PAGES", 320)
    monkeypatch.setattr(workloads, "FORKEXIT_ROUNDS", 2)
    workload = workloads.by_name(kind, ncpus=2)
    done = measured(workload, "percpu", 4096)
    found = figures(done)
    assert found.page_operations == found.page_operations_done == workload.page_operations
    assert workload.allocations == sum(cpu.allocs for cpu in done.cpus)
    assert found.runs_asked is None


def test_under_pressure_what_is_asked_is_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a given length does as much as it can; its runs are counted all the same."""
    monkeypatch.setattr("uvmfree.workload.pressure.RUN_EVERY", 1)
    done = measured(workloads.by_name("pressure", ncpus=2, seconds=0.3), "percpu", 1024)
    found, counts = figures(done), done.counts
    assert found.page_operations == found.page_operations_done > 0
    assert counts["runs_asked"] == counts["runs_met"] + counts["runs_failed"] > 0
    assert counts["runs_pages"] == RUN_PAGES * counts["runs_met"]
    assert "page_operations" not in counts


def test_linux_has_the_divisor_of_the_designs(tmp_path: Path) -> None:
    """8 pages of one request, and 4 blocks moved."""
    text = line("alloc", hex(64), order=3) + "".join(line("pcpu_drain", hex(8 + at), us=1) for at in range(4))
    trace = read(tmp_path, text)
    assert [from_trace(trace, copies=copies).linux_moved_per_op for copies in (1, 2)] == [4 / 8] * 2
