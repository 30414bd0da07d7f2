"""On real threads each design is tallied once, in virtual time; the runs that are timed have no part in that."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line
from uvmfree.measure import workloads
from uvmfree.measure.bench import measure, new_record
from uvmfree.param import Param
from uvmfree.workload.trace import read_trace


def test_runs_with_lockstat_have_the_tally_of_their_design(tmp_path: Path) -> None:
    trace = tmp_path / "small.perf"
    events = [line("alloc", hex(100 + page), cpu=page % 2, us=page) for page in range(9)]
    trace.write_text("".join([*events, *(line("free", hex(100 + page), cpu=1, us=400 + page) for page in range(9))]))
    workload = workloads.from_trace(read_trace(str(trace)))
    record, ticks = new_record(workload, Param(npages=256, ncpus=2), ("fpageqlock", "percpu")), list[str]()
    for _ in measure(record, workload, 2, ticks.append):
        pass
    assert [tick for tick in ticks if "tally" in tick] == ["fpageqlock, tally", "percpu, tally"]
    tallies = {run.design: run.tally for run in record.runs if run.lockstat}
    assert [run.tally for run in record.runs] == [
        tallies[run.design] if run.lockstat else None for run in record.runs
    ]
    parked = [tally.parked_pages_max for tally in tallies.values() if tally is not None]
    assert parked == [pytest.approx(0), pytest.approx(9)]


def test_repetitions_end_where_they_are_enough(tmp_path: Path) -> None:
    """Asked after each of all designs."""
    trace = tmp_path / "small.perf"
    trace.write_text(line("alloc", hex(100)) + line("free", hex(100), us=5))
    workload = workloads.from_trace(read_trace(str(trace)))
    record = new_record(workload, Param(npages=256, ncpus=workload.ncpus), ("fpageqlock", "percpu"))
    asked = iter([False, True])
    for _ in measure(record, workload, 5, lambda what: None, enough=lambda: next(asked)):
        pass
    assert not record.interrupted
    assert [(run.design, run.repetition) for run in record.runs if run.lockstat] == [
        ("fpageqlock", 0),
        ("percpu", 0),
        ("fpageqlock", 1),
        ("percpu", 1),
    ]
