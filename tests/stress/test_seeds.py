"""What is added up over many stress runs, by hand."""

from uvmfree.measure.stress_run import StressRun
from uvmfree.stress.seeds import Seeds


def test_each_sum_is_of_its_own_column() -> None:
    """Virtual seconds are those of the runs, host seconds those that they took."""
    seen = Seeds()
    seen.add(4, StressRun("percpu", wall_s=0.5, host_s=3.0, faults={"oom": {"injected": 2}, "io": {"injected": 5}}))
    seen.add(5, StressRun("percpu", wall_s=0.25, host_s=4.0, digest="x"))
    assert (seen.last, seen.runs, seen.virtual_s, seen.host_s) == (5, 2, 0.75, 7.0)
    assert (seen.injected, seen.digests, seen.failure) == (7, ["", "x"], None)
    failed = StressRun("percpu", errors=("it broke",))
    seen.add(6, failed)
    assert seen.failure is failed
