"""The workloads that can be measured, each made ready for a number of CPUs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.measure.facts import WorkloadFacts
from uvmfree.measure.machine_facts import MachineFacts
from uvmfree.measure.printable import printable
from uvmfree.param import NCPUS_MAX, Param
from uvmfree.uvm.system import Uvm
from uvmfree.uvm.uvmexp import tune
from uvmfree.workload import pressure as _pressure
from uvmfree.workload import replay, replay_plan, shortage, synthetic
from uvmfree.workload.load import Load
from uvmfree.workload.plural import plural
from uvmfree.workload.thinking import THINK_NS, thinking
from uvmfree.workload.trace import Trace, bundled_trace, read_trace

PINGPONG_PAGES = 100_000
"""Pages that each CPU allocates and frees: some tenths of a second in either design."""

HANDOFF_PAGES = 40_000
"""Pages that go from each CPU to its partner: fewer than RAM has, so that caches can strand them all."""

FORKEXIT_ROUNDS = 100
"""Rounds of a burst on each CPU: with 4 CPUs more pages pass through the cache of CPU 0 than RAM has by default."""

VIRTUAL_PART: Final = 10
"""In virtual time a synthetic workload does a tenth of that: no noise has to be averaged out there."""

THREADS_CPUS_MAX: Final = 128
"""CPUs that real threads may play."""

PAGES_PER_CPU: Final = 1024
"""RAM beside what a load holds, on many CPUs: with less the low watermark exceeds it, and the pagedaemon never
sleeps (R24)."""

_CUT = (
    "This cut of a compiler run is the trace least kind to percpu: with refill=1 its caches serve 29 % of the "
    "allocations here, 97 % of those of fork-exec (bench/traces)."
)

PRESSURE_NPAGES = 4096
"""RAM under pressure: small enough that in two seconds each page comes and goes several times."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that is ready to run.

    => `name`: for terminals and records: nothing in it that a terminal would obey, whatever a trace's file is called.
    => `load(uvm)` makes what one run needs, before the system starts.
    => `allocations`: of a single page, that a run asks for; None like `page_operations`.
    => `live_pages`: the most pages that it holds at once, so far as that is known.
    => `npages`: the size of RAM that it asks for, where that matters. `paced(uvm)`: of a load for real threads the
       same in virtual time, with time between its operations; None where there is none. The rest: measure/facts.py.
    => `warm_up`: what is played, each to its end, before counting begins; in virtual time only.
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
    paced: Callable[[Uvm], Load] | None = None
    warm_up: tuple[Callable[[Uvm], Load], ...] = ()

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


def from_trace(
    trace: Trace,
    *,
    ncpus: int | None = None,
    by: str = "cpu",
    memory: float | None = None,
    copies: int = 1,
    gaps: bool = False,
    warm_up: int = 0,
    advice: str = "",
) -> Workload:
    """Make a replay of a trace (workload/replay.py).

    => `copies`: replays beside each other, which share out `ncpus` among them. `gaps`: with the recorded time between
       two events. ArgumentError if the CPUs cannot be shared out, or are too many; `advice` ends it where the trace
       has too many.
    => `warm_up`: so many replays come before the one that counts, each with what it leaves behind freed at its end.
    => `memory`: RAM has that fraction of the pages that the trace has live at once; the rest is swapped
       (workload/shortage.py). ArgumentError unless it is from 0.01 to 1.
    """
    if ncpus is not None and ncpus % copies:
        raise ArgumentError(f"--cpus {ncpus}: {copies} copies need a multiple of {copies}")
    ncpus_each = None if ncpus is None else ncpus // copies
    plan = replay_plan.plan(trace, ncpus=ncpus_each, by=by, advice=advice)
    looped = replay_plan.plan(trace, ncpus=ncpus_each, by=by, loop=True) if warm_up else plan
    if (total := len(plan.programs) * copies) > NCPUS_MAX:
        raise ArgumentError(f"--copies {copies}: they need {total} CPUs, and a system has at most {NCPUS_MAX}")
    counts = trace.counts
    skipped = ""
    if counts.frees_unknown:
        skipped = f"{plural(counts.frees_unknown, 'free')} of pages that were allocated before the trace began"
    name = printable(trace.name) if by == "cpu" else f"{printable(trace.name)}, by task"
    if copies > 1:
        name = f"{copies} copies of {name}"
        skipped = skipped and f"{skipped}, in each copy"
    made = Workload(
        name=name,
        ncpus=total,
        load=lambda uvm: replay.replay(uvm, plan, copies=copies, gaps=gaps),
        page_operations=plan.page_operations * copies,
        allocations=(plan.allocs - len(plan.run_pages)) * copies,
        live_pages=plan.live_peak * copies,
        # The designs' divisor, so that it can stand beside theirs.
        linux_moved_per_op=None if counts.linux_moved is None else counts.linux_moved / plan.page_operations,
        skipped=skipped,
        lost_events=counts.lost_events,
        note=_CUT if trace.name == bundled_trace().name and not warm_up else "",  # it is of empty caches
        paced=lambda uvm: replay.replay(uvm, plan, copies=copies, gaps=True),
        warm_up=(lambda uvm: replay.replay(uvm, looped, copies=copies, gaps=gaps),) * warm_up,
    )
    if memory is not None:
        if not 0.01 <= memory <= 1:
            raise ArgumentError(f"--memory {memory:g}: must be from 0.01 to 1, a fraction of the trace's peak")
        return replace(
            made,
            name=f"{name}, in {memory:g} of the memory that it needs",
            load=lambda uvm: shortage.shortage(uvm, plan, gaps=gaps),
            paced=lambda uvm: shortage.shortage(uvm, plan, gaps=True),
            live_pages=plan.run_live_peak,
            linux_moved_per_op=None,
            npages=int(plan.live_peak * memory),
        )
    return made


def _named(kind: str, think_ns: int | None) -> str:
    return kind if think_ns is None else f"{kind}, {think_ns} ns outside between operations"


def _part(of: int, think_ns: int | None) -> int:
    return of if think_ns is None else max(1, of // VIRTUAL_PART)


def pingpong(ncpus: int, think_ns: int | None = None) -> Workload:
    """Make the workload in which each CPU allocates and frees for itself (workload/synthetic.py).

    => `think_ns`: work outside of the allocator after each operation, in virtual time; None on real threads.
    """
    pages = _part(PINGPONG_PAGES, think_ns)

    def load(uvm: Uvm, pages: int = pages, think_ns: int = think_ns or 0) -> Load:
        return Load(uvm, thinking(synthetic.pingpong(ncpus, pages), uvm.machine.charge, think_ns))

    return Workload(
        name=_named("pingpong", think_ns),
        ncpus=ncpus,
        load=load,
        # One burst is as the other: a tenth of them says as much.
        paced=lambda uvm: load(uvm, _part(PINGPONG_PAGES, THINK_NS), THINK_NS),
        page_operations=2 * pages * ncpus,
        allocations=pages * ncpus,
        live_pages=synthetic.BURST_PAGES * ncpus,
    )


def handoff(ncpus: int, think_ns: int | None = None) -> Workload:
    """Make the workload in which one CPU of each pair allocates and the other frees (workload/synthetic.py).

    => `think_ns`: as of pingpong(). ArgumentError for an odd number of CPUs.
    """
    synthetic.check_pairs(ncpus)
    pages = _part(HANDOFF_PAGES, think_ns)

    def load(uvm: Uvm, think_ns: int = think_ns or 0) -> Load:
        bodies = synthetic.handoff(ncpus, pages, uvm.machine.event)
        return Load(uvm, thinking(bodies, uvm.machine.charge, think_ns))

    return Workload(
        name=_named("handoff", think_ns),
        ncpus=ncpus,
        load=load,
        paced=lambda uvm: load(uvm, THINK_NS),
        page_operations=2 * pages * (ncpus // 2),
        allocations=pages * (ncpus // 2),
        live_pages=synthetic.PARCEL_PAGES * (synthetic.PARCELS_MAX + 2) * (ncpus // 2),
    )


def forkexit(ncpus: int, think_ns: int | None = None) -> Workload:
    """Make the workload in which bursts are allocated everywhere and freed on CPU 0 (workload/pressure.py).

    => `think_ns`: as of pingpong().
    """
    rounds = _part(FORKEXIT_ROUNDS, think_ns)
    return Workload(
        name=_named("forkexit", think_ns),
        ncpus=ncpus,
        load=lambda uvm: _pressure.forkexit(uvm, rounds, think_ns or 0),
        paced=lambda uvm: _pressure.forkexit(uvm, rounds, THINK_NS),
        page_operations=2 * rounds * _pressure.BURST_PAGES * ncpus,
        allocations=rounds * _pressure.BURST_PAGES * ncpus,
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


def check_fits(workload: Workload, npages: int, pagesize: int, *, sleeps: bool = False) -> None:
    """Refuse a system that is too small for a workload: ArgumentError says how many pages are enough for it.

    => `sleeps`: the pagedaemon has to be able to sleep, whatever the design: its target has to be free beside what is
       live, and not the kernel reserve alone.
    """
    live, enough = workload.live_pages, npages
    while (needs := live + _kept(workload.ncpus, enough, pagesize, sleeps)) > enough:
        enough = needs  # with more pages the target may be higher; it never falls
    if enough > npages:
        kept = enough - live
        why = (
            f"the pagedaemon would work all the time to have {kept} free" if sleeps else f"{kept} are kept in reserve"
        )
        raise ArgumentError(
            f"npages={npages}: {workload.name} on {plural(workload.ncpus, 'CPU')} has {live} pages live at once, and "
            f"{why} beside them; give {enough} pages"
        )


def _kept(ncpus: int, npages: int, pagesize: int, sleeps: bool) -> int:
    marks = tune(npages, ncpus, pagesize)
    return marks.freetarg if sleeps else marks.reserve_kernel


def by_name(
    kind: str,
    trace_file: str | None = None,
    *,
    by: str | None = None,
    ncpus: int | None = None,
    seconds: float | None = None,
    memory: float | None = None,
    read: Callable[[str | Path], Trace] = read_trace,
    on: MachineFacts | None = None,
    by_task: bool = True,
) -> Workload:
    """Make the workload of a name: trace, pressure, forkexit, pingpong or handoff, with the default number of CPUs.

    => `read` reads a trace; trace.py. `on`: the machine, real threads by default. `by_task`: whether the command has
       --by, so that an error may advise it.
    => ArgumentError, TraceError; the arguments are named as the command line has them.
    """
    on = on or MachineFacts()
    made = _by_name(kind, trace_file, by, ncpus, seconds, memory, read, on, by_task)
    if not on.virtual or made.npages is not None:
        return made
    npages = max(Param().npages * (on.copies or 1), made.live_pages + PAGES_PER_CPU * made.ncpus)
    return replace(made, npages=npages)


def _advice(recorded: int, ncpus: int | None, most: int, by_task: bool) -> str:
    """Say what replays a trace that was recorded on too many CPUs, on a machine that has `most`."""
    if by_task:
        said = f"; --by task {'' if ncpus else f'--cpus {most} '}spreads its tasks over so many"
        return f"{said}, and --machine virtual has enough" if most < recorded <= NCPUS_MAX else said
    if recorded <= most:
        return f"; give at least {recorded}, or leave --cpus out"
    return f"; only `uvmfree bench --by task --cpus {most}` spreads its tasks over so many"


def _by_name(
    kind: str,
    trace_file: str | None,
    by: str | None,
    ncpus: int | None,
    seconds: float | None,
    memory: float | None,
    read: Callable[[str | Path], Trace],
    on: MachineFacts,
    by_task: bool,
) -> Workload:
    most = NCPUS_MAX if on.virtual else THREADS_CPUS_MAX
    if ncpus is not None and not 1 <= ncpus <= most:
        raise ArgumentError(f"--cpus {ncpus}: must be from 1 to {most}")
    if seconds is not None and kind != "pressure":
        raise ArgumentError(f"--seconds goes with --workload pressure, not with --workload {kind}")
    if kind == "trace":
        trace = read(bundled_trace() if trace_file is None else trace_file)
        copies, by = on.copies or 1, by or "cpu"
        advice = _advice(trace.ncpus, ncpus, most - most % copies, by_task)
        if by == "cpu" and most < trace.ncpus <= NCPUS_MAX:
            raise ArgumentError(
                f"{trace.name} was recorded on {trace.ncpus} CPUs, and real threads play at most {most}{advice}"
            )
        return from_trace(
            trace,
            ncpus=min(trace.ncpus, most) if ncpus is None and not on.virtual else ncpus,
            by=by,
            memory=memory,
            copies=copies,
            gaps=on.virtual,
            warm_up=on.warm_up,
            advice=advice,
        )
    if by is not None:
        raise ArgumentError(f"--by goes with a trace, not with --workload {kind}")
    if memory is not None:
        raise ArgumentError(f"--memory goes with a trace, not with --workload {kind}")
    if trace_file is not None:
        raise ArgumentError(f"--trace goes with --workload trace, not with --workload {kind}")
    if kind == "pressure":
        return pressure(ncpus or 4, 2.0 if seconds is None else seconds)
    if kind == "forkexit":
        return forkexit(ncpus or 4, on.think_ns)
    return (pingpong if kind == "pingpong" else handoff)(ncpus or 2, on.think_ns)
