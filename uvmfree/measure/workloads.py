"""The workloads that can be measured, each made ready for a number of CPUs."""

from collections.abc import Callable
from dataclasses import dataclass

from uvmfree.errors import ArgumentError
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import tune
from uvmfree.workload import replay, synthetic
from uvmfree.workload.driver import Body
from uvmfree.workload.trace import Trace

PINGPONG_PAGES = 100_000
"""Pages that each CPU allocates and frees: some tenths of a second in either design."""

HANDOFF_PAGES = 40_000
"""Pages that go from each CPU to its partner: fewer than RAM has, so that caches can strand them all."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that is ready to run.

    => `bodies(uvm)` makes fresh bodies for one run. `page_operations`: allocations and frees that the run asks for.
    => `live_pages`: the most pages that it holds at once, so far as that is known.
    => `linux_moved_per_op`: what Linux's own per-CPU lists moved on the same work, where the trace tells.
    => `skipped`: what of a trace is not run, in words, or "".
    """

    name: str
    ncpus: int
    bodies: Callable[[Uvm], list[Body]]
    page_operations: int
    live_pages: int
    linux_moved_per_op: float | None = None
    skipped: str = ""


def from_trace(trace: Trace, *, ncpus: int | None = None, by: str = "cpu") -> Workload:
    """Make a replay of a trace (workload/replay.py)."""
    plan = replay.plan(trace, ncpus=ncpus, by=by)
    counts = trace.counts
    skipped = f"{counts.frees_unknown:,} frees of pages from before the trace" if counts.frees_unknown else ""
    return Workload(
        name=trace.name if by == "cpu" else f"{trace.name}, by task",
        ncpus=len(plan.programs),
        bodies=lambda uvm: replay.bodies(plan, uvm),
        page_operations=plan.allocs + plan.frees,
        live_pages=plan.live_peak,
        linux_moved_per_op=counts.linux_moved_per_op,
        skipped=skipped,
    )


def pingpong(ncpus: int) -> Workload:
    """Make the workload in which each CPU allocates and frees for itself (workload/synthetic.py)."""
    return Workload(
        name="pingpong",
        ncpus=ncpus,
        bodies=lambda uvm: synthetic.pingpong(ncpus, PINGPONG_PAGES),
        page_operations=2 * PINGPONG_PAGES * ncpus,
        live_pages=synthetic.BURST_PAGES * ncpus,
    )


def handoff(ncpus: int) -> Workload:
    """Make the workload in which one CPU of each pair allocates and the other frees (workload/synthetic.py)."""
    return Workload(
        name="handoff",
        ncpus=ncpus,
        bodies=lambda uvm: synthetic.handoff(ncpus, HANDOFF_PAGES),
        page_operations=2 * HANDOFF_PAGES * (ncpus // 2),
        live_pages=synthetic.PARCEL_PAGES * (synthetic.PARCELS_MAX + 2) * (ncpus // 2),
    )


def check_fits(workload: Workload, npages: int, pagesize: int) -> None:
    """Refuse a system that is too small for a workload: ArgumentError says how many pages it needs."""
    reserve = tune(npages, workload.ncpus, pagesize).reserve_kernel
    if workload.live_pages + reserve > npages:
        raise ArgumentError(
            f"npages={npages}: {workload.name} has {workload.live_pages} pages live at once and the kernel reserve "
            f"is {reserve}; give at least {workload.live_pages + reserve} pages"
        )
