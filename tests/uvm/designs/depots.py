"""A small system with the depot, and what its tests count of it."""

from typing import Any

import uvmfree
from uvmfree.uvm.designs.depot import Depot

EXCHANGE = 512
"""Pages of an exchange of a CPU with all credits: the least number of operations between two."""


def boot(machine: Any = None, **tunables: Any) -> uvmfree.Uvm:
    small = {"npages": 4096, "ncpus": 2, "ncolors": 8, "design": "depot", "redistribute_interval_s": 3600}
    return uvmfree.boot(machine, **small | tunables)


def depot_of(uvm: uvmfree.Uvm) -> Depot:
    assert isinstance(uvm.design, Depot)
    return uvm.design


def locks(uvm: uvmfree.Uvm) -> int:
    """Return how often the depot's lock was taken, and other CPUs' locks to borrow."""
    return sum(
        record.acquired
        for record in uvm.lockstat(by_caller=True)
        if record.name == "uvm_fpageqlock" or record.caller in ("uvm_pull", "uvm_rescue")
    )


def operations(uvm: uvmfree.Uvm) -> int:
    return sum(stats.allocs + stats.frees for stats in uvm.cpu_stats())
