"""XNU: a refill that has not a page of each colour begins with the one that is due."""

import pytest

import uvmfree
from tests.conformance.steps import take


@pytest.mark.parametrize("due", range(4))
def test_a_small_refill_begins_at_the_colour_that_is_due(due: int) -> None:
    uvm = uvmfree.boot(npages=256, ncpus=1, ncolors=4, design="xnu", refill_limit=3)
    cpu = uvm.cpus[0]
    colors = [take(cpu, color=due).color, *(take(cpu).color for _ in range(2))]
    assert colors == [(due + step) % 4 for step in range(3)]
    assert cpu.stats().filled == 3
    uvm.audit()
    uvm.close()
