"""How long pglistalloc holds the list's lock: the total, which is scaled up from samples, over all its holds."""

from types import SimpleNamespace
from typing import Any

from tests.bench.scripted import Scripts


def test_the_mean_is_over_what_was_acquired(script: Scripts) -> None:
    def lock(name: str, caller: str, **more: int) -> Any:
        return SimpleNamespace(name=name, caller=caller, **more)

    counted = lock(
        "uvm_fpageqlock",
        "uvm_pglistalloc",
        acquired=512,
        hold_samples=4,
        hold_ns_total=1_024_000,
        hold_ns_max=9_000,
    )
    others = [lock("uvm_fpageqlock", "uvm_pagefree"), lock("uvm_cpu[0]", "uvm_pglistalloc")]
    uvm = SimpleNamespace(lockstat=lambda by_caller: [*others, counted] if by_caller else [])
    assert script("pglist").module.hold_us(uvm) == (2.0, 9.0)
