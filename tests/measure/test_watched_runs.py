"""Of a benchmark on real threads the runs with lockstat are watched, and no other: who times them looks away."""

from dataclasses import replace
from typing import Any

from uvmfree.measure import workloads
from uvmfree.measure.bench import measure, new_record
from uvmfree.param import Param


class Counters:
    """Stands in for a counter file, and writes down what was asked of it."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def begin(self, param: Param) -> None:
        self.did.append(f"begin {param.design}")

    def publish(self, *look: object) -> None:
        if self.did[-1] != "publish":
            self.did.append("publish")

    def end(self) -> None:
        self.did.append("end")


def test_each_watched_run_begins_and_ends_its_counters() -> None:
    workload = replace(workloads.pingpong(1, think_ns=64), paced=None)  # few pages, and no tally in virtual time
    record, counters = new_record(workload, Param(npages=256, ncpus=1), ("fpageqlock", "percpu")), Counters()
    view: Any = counters
    lockstat = [run.lockstat for run in measure(record, workload, 1, lambda what: None, counters=view)]
    assert lockstat == [True, False] * 2
    assert counters.did == ["begin fpageqlock", "publish", "end", "begin percpu", "publish", "end"]
