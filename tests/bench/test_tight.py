"""RAM that is just enough: designs that claim so have no allocation fail beside free pages; another one has."""

from pathlib import Path

import pytest

from bench.harness import TRACES
from bench.tight import CLAIMING, CPUS, failures, workloads
from uvmfree.workload.trace import bundled_trace

SHORT = Path(bundled_trace())
LONG = sorted(TRACES.glob("*.perf.xz"))


def falsely(file: Path, design: str, ncpus: int) -> int:
    """Return how many allocations of a trace failed beside free pages."""
    _, workload = next(workloads([file], [ncpus]))
    return failures(workload, design)[2]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("ncpus", CPUS)
@pytest.mark.parametrize("design", CLAIMING)
def test_nothing_fails_beside_free_pages(design: str, ncpus: int) -> None:
    assert falsely(SHORT, design, ncpus) == 0


@pytest.mark.long
@pytest.mark.sampled(0)
@pytest.mark.parametrize("ncpus", CPUS)
@pytest.mark.parametrize("design", CLAIMING)
@pytest.mark.parametrize("trace", LONG, ids=lambda file: file.name.partition(".")[0])
def test_nothing_fails_beside_free_pages_on_any_trace(trace: Path, design: str, ncpus: int) -> None:
    assert falsely(trace, design, ncpus) == 0


@pytest.mark.long
@pytest.mark.sampled(0)
def test_a_design_that_claims_nothing_of_the_kind_does_fail() -> None:
    """Else nothing would be shown: the proposal strands more than there is to spare."""
    assert "percpu" not in CLAIMING
    assert falsely(SHORT, "percpu", 8) > 0
