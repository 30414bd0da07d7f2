"""A page in zeroing whose CPU gets other players, or goes and comes back: the audit does not call it lost."""

from collections.abc import Callable
from contextlib import closing

import pytest

import uvmfree
from tests.mechanism.rig import BOTH


def taken_over(uvm: uvmfree.Uvm) -> None:
    for _ in range(2):
        with uvm.run_on(0):
            uvm.audit()


def away_and_back(uvm: uvmfree.Uvm) -> None:
    uvm.detach(0)
    uvm.audit()
    uvm.attach(0)


@pytest.mark.parametrize("happens", [taken_over, away_and_back])
@pytest.mark.parametrize("design", BOTH)
def test_it_is_not_lost(design: str, happens: Callable[[uvmfree.Uvm], None]) -> None:
    with closing(uvmfree.boot(npages=64, ncpus=2, ncolors=2, design=design)) as uvm:  # no daemon drains the CPU first
        cpu = uvm.cpus[0]
        for pg in [cpu.pagealloc() for _ in range(8)]:
            cpu.pagefree(pg)  # type: ignore[arg-type]
        looks = 0

        def runnable() -> bool:
            nonlocal looks
            looks += 1
            if looks == 3:  # the first page is begun
                happens(uvm)
            uvm.audit()
            return looks > 5

        cpu.pageidlezero(runnable)
        assert looks > 5
        uvm.audit()
        assert sum(each.zeroaborts for each in uvm.cpu_stats()) == 1
