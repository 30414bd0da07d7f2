"""Claim: with RAM for the most live pages and 1,024 more, no allocation fails beside free pages.

How: each trace in bench/traces in virtual time, on its own two CPUs and dealt out by task over 8, as fast as it goes,
and pingpong, handoff and forkexit on 2 and 8, for each design that claims so. A failure is false if another CPU's
cache had a page, or the store more than the reserves keep.

What could fool it: CPUs that run apart in time have other pages live at once than the trace had, so that allocations
may fail because all is in use; they are shown, not judged. Nor are requests for runs, in memory that is in pieces.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvmfree
from bench.harness import TRACES, Claim, Record, main
from uvmfree.machine.virtual.machine import VirtualMachine
from uvmfree.measure.counting import Counts, counted_boot
from uvmfree.measure.machine_facts import VIRTUAL, MachineFacts
from uvmfree.measure.workloads import Workload, by_name, from_trace
from uvmfree.param import Param
from uvmfree.uvm.design import Design
from uvmfree.uvm.designs import traits_of
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.state import UvmState
from uvmfree.workload.driver import drive
from uvmfree.workload.thinking import THINK_NS
from uvmfree.workload.trace import bundled_trace, read_trace

SPARE_PAGES: Final = 1024
CPUS: Final = (2, 8)

CLAIM: Final = Claim("tight-ram", "allocations that failed beside free pages, peak live + 1,024 pages", "failed", 0.0)


class Looking(Counts):
    """Looks, when an allocation has failed, what is in the store. `stored`: how often more than the reserve."""

    stored = 0

    def begin(self, state: UvmState, design: Design[Any]) -> None:
        """Note whose store it is."""
        super().begin(state, design)
        self._design, self._reserve = design, state.uvmexp.reserve_kernel

    def allocated(self, index: int, pg: VmPage | None, right: bool) -> None:
        """Look, if it failed."""
        super().allocated(index, pg, right)
        self.stored += pg is None and sum(self._design.stock()) > self._reserve


def claims(design: str, ncpus: int) -> bool:
    """Whether a design claims that nothing fails beside free pages: it steals, or nothing is cached."""
    said = traits_of(Param(npages=4096, ncpus=ncpus, design=design))
    return said.steals or said.bound == 0


CLAIMING: Final = tuple(design for design in uvmfree.DESIGNS if claims(design, 2))


def failures(workload: Workload, design: str) -> tuple[int, int, int]:
    """Play a workload in tight RAM; return pages of RAM, allocations that failed, and how many did so falsely."""
    machine = VirtualMachine(ncpus=workload.ncpus, lockholds=True)
    assert machine.lockholds is not None
    counts = Looking(machine.lockholds)
    npages = workload.live_pages + SPARE_PAGES
    with counted_boot(machine, Param(npages=npages, ncpus=workload.ncpus, design=design), counts) as uvm:
        drive(uvm, workload.load(uvm).bodies)
        tally = counts.end(uvm)
        uvm.audit()
    return npages, tally.failed, tally.failed_beside + counts.stored


def workloads(files: Sequence[Path], sizes: Sequence[int]) -> Iterator[tuple[str, Workload]]:
    """Yield all that is played on so many CPUs, and what it is called."""
    for file in files:
        trace = read_trace(file)
        for ncpus in sizes:
            dealt = from_trace(trace) if ncpus == trace.ncpus else from_trace(trace, ncpus=ncpus, by="task")
            yield file.name.partition(".")[0], dealt
    on = MachineFacts(kind=VIRTUAL, think_ns=THINK_NS)
    for kind in ("pingpong", "handoff", "forkexit"):
        for ncpus in sizes:
            yield kind, by_name(kind, ncpus=ncpus, on=on)


def bench(smoke: bool) -> list[Record]:
    """Play all; a smoke run takes the short trace of the package, and 2 CPUs."""
    files = [Path(bundled_trace())] if smoke else sorted(TRACES.glob("*.perf.xz"))
    print(f"  {'workload':<20} {'CPUs':>4} {'design':<16} {'pages':>7} {'failed':>7} {'falsely':>7}")
    worst = 0
    for name, workload in workloads(files, CPUS[:1] if smoke else CPUS):
        for design in CLAIMING:
            npages, failed, falsely = failures(workload, design)
            row = f"{name:<20} {workload.ncpus:>4} {design:<16} {npages:>7} {failed:>7} {falsely:>7}"
            print(f"  {row}", flush=True)
            worst = max(worst, falsely)
    return [CLAIM.record([worst], judged=True)]


if __name__ == "__main__":
    sys.exit(main(__doc__, bench))
