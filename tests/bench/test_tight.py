"""RAM that is just enough: designs that claim so have no allocation fail beside free pages; another one has."""

import pytest

from bench.harness import TRACES
from bench.tight import CLAIMING, CPUS, failures
from uvmfree.workload.trace import bundled_trace, read_trace

ALL = [bundled_trace(), *sorted(TRACES.glob("*.perf.xz"))]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("ncpus", CPUS)
@pytest.mark.parametrize("design", CLAIMING)
def test_nothing_fails_beside_free_pages(design: str, ncpus: int) -> None:
    assert failures(read_trace(ALL[0]), design, ncpus)[2] == 0


@pytest.mark.long
@pytest.mark.sampled(0)
@pytest.mark.parametrize("ncpus", CPUS)
@pytest.mark.parametrize("design", CLAIMING)
@pytest.mark.parametrize("trace", ALL[1:], ids=lambda file: file.name.partition(".")[0])
def test_nothing_fails_beside_free_pages_on_any_trace(trace: object, design: str, ncpus: int) -> None:
    assert failures(read_trace(str(trace)), design, ncpus)[2] == 0


@pytest.mark.long
@pytest.mark.sampled(0)
def test_a_design_that_claims_nothing_of_the_kind_does_fail() -> None:
    """Else nothing would be shown: the proposal strands more than there is to spare."""
    assert "percpu" not in CLAIMING
    assert failures(read_trace(ALL[0]), "percpu", 8)[2] > 0
