"""RAM that is just enough: designs that claim so have no allocation fail beside free pages; another one has."""

from pathlib import Path

import pytest

from bench.harness import TRACES
from bench.tight import CLAIMING, CPUS, failures, workloads
from tests.workload.perf_lines import line, read
from uvmfree.measure.workloads import from_trace
from uvmfree.uvm.cpu import Want
from uvmfree.uvm.designs.fpageqlock import Fpageqlock, FpageqlockCpu
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


class RefusingCpu(FpageqlockCpu):
    """Is refused the fifth page that it has to search for, whatever there is."""

    __slots__ = ("searches",)

    def setup(self) -> None:
        """Begin to count."""
        super().setup()
        self.searches = 0

    def may_take(self, free: int, want: Want) -> bool:
        """Count, and say no once."""
        self.searches += 1
        return super().may_take(free, want) and self.searches != 5


class Refusing(Fpageqlock):
    """Fails where nothing is short."""

    cpu_class = RefusingCpu


def test_a_failure_beside_pages_in_the_store_is_false(tmp_path: Path) -> None:
    """No cache has one, which is another way to be false. One CPU searches: at boot all pages are the other one's."""
    trace = read(tmp_path, "".join(line("alloc", hex(page), cpu=page % 2, us=page) for page in range(1, 25)))
    _, failed, false = failures(from_trace(trace), f"{__name__}:Refusing")
    assert failed == false == 1
