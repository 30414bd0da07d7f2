"""Whoever takes a CPU over goes on with what the last player counted: each count under its own name."""

from dataclasses import asdict

import pytest

import uvmfree
from uvmfree.uvm.designs import PAIR


@pytest.mark.parametrize("design", PAIR)
def test_each_count_goes_on(design: str) -> None:
    """Met and missed: 5 and 2 wishes for zeros, hits and misses, colours; a page zeroed, and one left half done."""
    with uvmfree.boot(npages=256, ncpus=2, ncolors=2, design=design, redistribute_interval_s=3600) as uvm:
        with uvm.run_on(0) as cpu:
            held = [cpu.pagealloc(zero=number < 2) for number in range(24)]
            for pg in held:
                assert pg is not None
                cpu.pagefree(pg)
            looks = iter([False] * 12 + [True] * 9)
            assert cpu.pageidlezero(lambda: next(looks)) >= 1
            assert cpu.stats().zeroaborts == 1
            assert [cpu.pagealloc(zero=True) is not None for _ in range(5)] == [True] * 5
        before = asdict(uvm.cpu_stats()[0])
        assert before["zerohit"] != before["zeromiss"]
        assert before["cpuhit"] != before["cpumiss"]
        with uvm.run_on(0):
            assert asdict(uvm.cpu_stats()[0]) == before
        uvm.audit()


def test_each_counter_that_is_updated_counts_once_and_goes_on() -> None:
    """To hand zeroed pages back updates two of them, free and zeropages."""
    with uvmfree.boot(npages=256, ncpus=1, design="percpu", redistribute_interval_s=3600) as uvm:
        with uvm.run_on(0) as cpu:
            held = [cpu.pagealloc() for _ in range(24)]
            for pg in held:
                assert pg is not None
                cpu.pagefree(pg)
            zeroed, before = cpu.pageidlezero(), cpu.stats().atomics
            assert uvm.redistribute(0) == 24
            assert uvm.uvmexp.zeropages == zeroed > 0
            assert cpu.stats().atomics == before + 2
        with uvm.run_on(0) as cpu:
            assert cpu.stats().atomics == before + 2
