"""A page that is freed into a cache tells nobody who waits for pages: for them nothing has come."""

import pytest

import uvmfree
from tests.conformance.steps import take


@pytest.mark.whole
@pytest.mark.parametrize("free_list", [0, 1])
@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_only_who_gives_a_page_to_the_store_wakes(design: str, free_list: int) -> None:
    with uvmfree.boot(npages=8192, ncpus=1, nfreelists=2, design=design, redistribute_interval_s=3600) as uvm:
        cpu, woken, wake = uvm.cpus[0], [0], uvm.pageout.wake_waiters
        held = [take(cpu, strat="only", free_list=free_list) for _ in range(700)]

        def wakes() -> None:
            woken[0] += 1
            wake()

        uvm.pageout.wake_waiters = wakes  # type: ignore[method-assign]
        for pg in held:
            before, drained = woken[0], cpu.stats().drained
            cpu.pagefree(pg)
            gave = cpu.stats().drained - drained
            assert woken[0] - before <= (gave > 0), (gave, pg)
