"""The workloads that can be measured, each made ready for a number of CPUs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from uvmfree.errors import ArgumentError
from uvmfree.measure.facts import WorkloadFacts
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import tune
from uvmfree.workload import pressure as _pressure
from uvmfree.workload import replay, shortage, synthetic
from uvmfree.workload.load import Load
from uvmfree.workload.plural import plural
from uvmfree.workload.trace import Trace, bundled_trace, read_trace

PINGPONG_PAGES = 100_000
"""Pages that each CPU allocates and frees: some tenths of a second in either design."""

HANDOFF_PAGES = 40_000
"""Pages that go from each CPU to its partner: fewer than RAM has, so that caches can strand them all."""

FORKEXIT_ROUNDS = 100
"""Rounds of a burst on each CPU: with 4 CPUs more pages pass through the cache of CPU 0 than RAM has by default."""

_CUT = (
    "This cut of a compiler run is the trace least kind to percpu: with refill=1 its caches serve 29 % of the "
    "allocations here, 97 % of those of fork-exec (bench/traces)."
)

PRESSURE_NPAGES = 4096
"""RAM under pressure: small enough that in two seconds each page comes and goes several times."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that is ready to run.

    => `load(uvm)` makes what one run needs, before the system starts.
    => `allocations`: of a single page, that a run asks for; None like `page_operations`.
    => `live_pages`: the most pages that it holds at once, so far as that is known.
    => `npages`: the size of RAM that it asks for, where that matters. The rest: measure/facts.py.
    """

    name: str
    ncpus: int
    load: Callable[[Uvm], Load]
    page_operations: int | None
    live_pages: int
    linux_moved_per_op: float | None = None
    skipped: str = ""
    npages: int | None = None
    lost_events: int = 0
    note: str = ""
    allocations: int | None = None

    @property
    def facts(self) -> WorkloadFacts:
        """What a record keeps of it."""
        return WorkloadFacts(
            name=self.name,
            ncpus=self.ncpus,
            page_operations=self.page_operations,
            linux_moved_per_op=self.linux_moved_per_op,
            skipped=self.skipped,
            lost_events=self.lost_events,
            note=self.note,
        )

    def asked(self) -> dict[str, int]:
        """What a run asks for, where that is fixed: the divisors of its rates, the same for all designs."""
        if self.page_operations is None or self.allocations is None:
            return {}
        return {"page_operations": self.page_operations, "allocations": self.allocations}


def from_trace(trace: Trace, *, ncpus: int | None = None, by: str = "cpu", memory: float | None = None) -> Workload:
    """Make a replay of a trace (workload/replay.py).

    => `memory`: RAM has that fraction of the pages that the trace has live at once; the rest is swapped
       (workload/shortage.py). ArgumentError unless it is from 0.01 to 1.
    """
    plan = replay.plan(trace, ncpus=ncpus, by=by)
    counts = trace.counts
    skipped = ""
    if counts.frees_unknown:
        skipped = f"{plural(counts.frees_unknown, 'free')} of pages that were allocated before the trace began"
    name = trace.name if by == "cpu" else f"{trace.name}, by task"
    made = Workload(
        name=name,
        ncpus=len(plan.programs),
        load=lambda uvm: replay.replay(uvm, plan),
        page_operations=plan.page_operations,
        allocations=plan.allocs - len(plan.run_pages),
        live_pages=plan.live_peak,
        # The designs' divisor, so that it can stand beside theirs.
        linux_moved_per_op=None if counts.linux_moved is None else counts.linux_moved / plan.page_operations,
        skipped=skipped,
        lost_events=counts.lost_events,
        note=_CUT if trace.name == bundled_trace().name else "",
    )
    if memory is not None:
        if not 0.01 <= memory <= 1:
            raise ArgumentError(f"--memory {memory:g}: must be from 0.01 to 1, a fraction of the trace's peak")
        return replace(
            made,
            name=f"{name}, in {memory:g} of the memory that it needs",
            load=lambda uvm: shortage.shortage(uvm, plan),
            live_pages=plan.run_live_peak,
            linux_moved_per_op=None,
            npages=int(plan.live_peak * memory),
        )
    return made


def pingpong(ncpus: int) -> Workload:
    """Make the workload in which each CPU allocates and frees for itself (workload/synthetic.py)."""
    return Workload(
        name="pingpong",
        ncpus=ncpus,
        load=lambda uvm: Load(uvm, synthetic.pingpong(ncpus, PINGPONG_PAGES)),
        page_operations=2 * PINGPONG_PAGES * ncpus,
        allocations=PINGPONG_PAGES * ncpus,
        live_pages=synthetic.BURST_PAGES * ncpus,
    )


def handoff(ncpus: int) -> Workload:
    """Make the workload in which one CPU of each pair allocates and the other frees (workload/synthetic.py)."""
    return Workload(
        name="handoff",
        ncpus=ncpus,
        load=lambda uvm: Load(uvm, synthetic.handoff(ncpus, HANDOFF_PAGES, uvm.machine.event)),
        page_operations=2 * HANDOFF_PAGES * (ncpus // 2),
        allocations=HANDOFF_PAGES * (ncpus // 2),
        live_pages=synthetic.PARCEL_PAGES * (synthetic.PARCELS_MAX + 2) * (ncpus // 2),
    )


def forkexit(ncpus: int) -> Workload:
    """Make the workload in which bursts are allocated everywhere and freed on CPU 0 (workload/pressure.py)."""
    return Workload(
        name="forkexit",
        ncpus=ncpus,
        load=lambda uvm: _pressure.forkexit(uvm, FORKEXIT_ROUNDS),
        page_operations=2 * FORKEXIT_ROUNDS * _pressure.BURST_PAGES * ncpus,
        allocations=FORKEXIT_ROUNDS * _pressure.BURST_PAGES * ncpus,
        live_pages=(2 * ncpus + 1) * _pressure.BURST_PAGES,
    )


def pressure(ncpus: int, seconds: float) -> Workload:
    """Make the workload on an anon map larger than RAM (workload/pressure.py), which runs for so many seconds."""
    if not 0.01 <= seconds <= 3600:
        raise ArgumentError(f"--seconds {seconds:g}: must be from 0.01 to 3600")
    return Workload(
        name=f"pressure, {seconds:g} s",
        ncpus=ncpus,
        load=lambda uvm: _pressure.pressure(uvm, seconds),
        page_operations=None,
        live_pages=_pressure.RUN_PAGES * ncpus,
        npages=PRESSURE_NPAGES,
    )


def check_fits(workload: Workload, npages: int, pagesize: int) -> None:
    """Refuse a system that is too small for a workload: ArgumentError says how many pages it needs."""
    reserve = tune(npages, workload.ncpus, pagesize).reserve_kernel
    if workload.live_pages + reserve > npages:
        raise ArgumentError(
            f"npages={npages}: {workload.name} has {workload.live_pages} pages live at once and the kernel reserve "
            f"is {reserve}; give at least {workload.live_pages + reserve} pages"
        )


def by_name(
    kind: str,
    trace_file: str | None = None,
    *,
    by: str | None = None,
    ncpus: int | None = None,
    seconds: float | None = None,
    memory: float | None = None,
    read: Callable[[str | Path], Trace] = read_trace,
) -> Workload:
    """Make the workload of a name: trace, pressure, forkexit, pingpong or handoff, with the default number of CPUs.

    => `read` reads a trace; trace.py.
    => ArgumentError, TraceError; the arguments are named as the command line has them.
    """
    if ncpus is not None and not 1 <= ncpus <= 128:
        raise ArgumentError(f"--cpus {ncpus}: must be from 1 to 128")
    if seconds is not None and kind != "pressure":
        raise ArgumentError(f"--seconds goes with --workload pressure, not with --workload {kind}")
    if kind == "trace":
        return from_trace(read(trace_file or bundled_trace()), ncpus=ncpus, by=by or "cpu", memory=memory)
    if by is not None:
        raise ArgumentError(f"--by goes with a trace, not with --workload {kind}")
    if memory is not None:
        raise ArgumentError(f"--memory goes with a trace, not with --workload {kind}")
    if trace_file is not None:
        raise ArgumentError(f"--trace goes with --workload trace, not with --workload {kind}")
    if kind == "pressure":
        return pressure(ncpus or 4, 2.0 if seconds is None else seconds)
    if kind == "forkexit":
        return forkexit(ncpus or 4)
    return pingpong(ncpus or 2) if kind == "pingpong" else handoff(ncpus or 2)
