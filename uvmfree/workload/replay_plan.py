"""The plan of a replay: a trace's events divided among CPUs, as flat arrays, before anything is timed.

=> `__GFP_ZERO` becomes `zero=True`. An allocation of order k > 0 becomes a run of 2**k pages.
=> Of each CPU two flat arrays say what to do and with which page. Pages that stay on their CPU are numbered per CPU;
   those that are freed elsewhere, and runs, over all CPUs: only these are handed over at play.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.param import NCPUS_MAX
from uvmfree.workload.plural import plural
from uvmfree.workload.trace import ALLOC, Trace

WINDOW_EVENTS: Final = 1024
"""How far threads may drift apart: at the recorded rate about 6 ms, the time slice of a scheduler."""

DO_ALLOC, DO_ALLOC_ZERO, DO_FREE, DO_GIVE, DO_GIVE_ZERO, DO_GET, DO_RUN, DO_RUN_ZERO, DO_FREE_RUN = range(9)
"""What an event asks for: pages that are freed on another CPU are given away, and got there; runs all are."""


@dataclass(frozen=True, slots=True)
class Program:
    """What one CPU does: `steps[i]` says what, `pages[i]` with which page; `epochs[e]` is where epoch e ends.

    => `gaps_ns[i]`: time on this CPU from the event before, or from the trace's first event, to this one.

    => Pages are numbered from 0: per CPU where they stay (`npages` of them), over all CPUs where they are given. Runs
       of pages are numbered on their own, over all CPUs.
    """

    steps: array[int]
    pages: array[int]
    gaps_ns: array[int]
    epochs: array[int]
    npages: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A trace, made ready for a number of CPUs.

    => `given`: pages that are given to another CPU. `run_pages[r]`: pages of run r.
    => `allocs`, `frees`: operations in it; that on a run is one. `page_operations`: each page of a run counted.
    => `live_peak`, `run_live_peak`: the most pages that are live at once, and in runs, in the order of the trace.
    """

    programs: tuple[Program, ...]
    given: int
    run_pages: tuple[int, ...]
    allocs: int
    frees: int
    page_operations: int
    live_peak: int
    run_live_peak: int

    @property
    def epoch_ns(self) -> int:
        """How long an epoch was when it was recorded, on average."""
        return sum(self.programs[0].gaps_ns) // len(self.programs[0].epochs)


def plan(
    trace: Trace,
    *,
    ncpus: int | None = None,
    by: str = "cpu",
    window: int = WINDOW_EVENTS,
    loop: bool = False,
    advice: str = "",
) -> Plan:
    """Divide a trace's events among CPUs.

    => `loop`: what is live at the trace's end is freed there, by the CPU that allocated it: the plan can begin again.

    => `by` "cpu": each runs the events recorded on it. "task": the tasks are dealt out over `ncpus` CPUs in the
       order in which they appear.
    => `ncpus` None: as many as the trace has; by task at most those that a system has.
    => ArgumentError if there is no CPU, or the trace has more than `ncpus` or a system has, or the window is under 2
       events. `advice`: what ends the error about a trace of too many CPUs.
    """
    if window < 2:
        raise ArgumentError(f"window={window}: must be at least 2 trace events")
    if by not in ("cpu", "task"):
        raise ArgumentError(f"by={by!r}: must be 'cpu' or 'task'")
    if by == "cpu" and trace.ncpus > NCPUS_MAX:
        raise ArgumentError(
            f"{trace.name} was recorded on {trace.ncpus} CPUs, and a system has at most {NCPUS_MAX}{advice}"
        )
    if ncpus is None:
        ncpus = min(trace.ncpus, NCPUS_MAX)
    if ncpus < 1:
        raise ArgumentError(f"{plural(ncpus, 'CPU')}: there must be at least 1")
    if by == "cpu" and ncpus < trace.ncpus:
        raise ArgumentError(
            f"{plural(ncpus, 'CPU')}: too few, since {trace.name} was recorded on {trace.ncpus}{advice}"
        )
    lane_of = trace.cpu if by == "cpu" else array("H", (task % ncpus for task in trace.task))
    freed_on: dict[int, int] = {
        alloc: lane for kind, alloc, lane in zip(trace.kind, trace.alloc, lane_of, strict=True) if kind != ALLOC
    }
    builders = [_Builder() for _ in range(ncpus)]
    number: dict[int, int] = {}  # allocation -> number of its page or run, among its kind
    run_pages: list[int] = []
    given_from: set[int] = set()
    epoch_events = window // 2
    given = allocs = frees = page_operations = live = live_peak = run_live = run_live_peak = 0
    columns = zip(trace.kind, trace.alloc, lane_of, trace.order, trace.zero, trace.time_ns, strict=True)
    for event, (kind, alloc, lane, order, zero, time_ns) in enumerate(columns):
        if event % epoch_events == 0 and event:
            for builder in builders:
                builder.end_epoch()
        builder = builders[lane]
        builder.at(time_ns - trace.time_ns[0])
        page_operations += 1 << order
        if kind == ALLOC:
            allocs += 1
            live += 1 << order
            live_peak = max(live_peak, live)
            if order:
                run_live += 1 << order
                run_live_peak = max(run_live_peak, run_live)
                number[alloc] = len(run_pages)
                run_pages.append(1 << order)
                builder.add(DO_RUN_ZERO if zero else DO_RUN, number[alloc])
            elif freed_on.get(alloc, lane) == lane:
                number[alloc] = builder.npages
                builder.npages += 1
                builder.add(DO_ALLOC_ZERO if zero else DO_ALLOC, number[alloc])
            else:
                number[alloc] = given
                given_from.add(alloc)
                given += 1
                builder.add(DO_GIVE_ZERO if zero else DO_GIVE, number[alloc])
        else:
            frees += 1
            live -= 1 << order
            run_live -= 1 << order if order else 0
            step = DO_FREE_RUN if order else DO_GET if alloc in given_from else DO_FREE
            builder.add(step, number[alloc])
    if loop:
        columns = zip(trace.kind, trace.alloc, lane_of, trace.order, strict=True)
        for lane, alloc, order in [
            (at, one, k) for kind, one, at, k in columns if kind == ALLOC and one not in freed_on
        ]:
            frees += 1
            page_operations += 1 << order
            builders[lane].at(trace.time_ns[-1] - trace.time_ns[0])
            builders[lane].add(DO_FREE_RUN if order else DO_FREE, number[alloc])
    for builder in builders:
        builder.end_epoch()
    programs = tuple(builder.program() for builder in builders)
    return Plan(programs, given, tuple(run_pages), allocs, frees, page_operations, live_peak, run_live_peak)


class _Builder:
    """Collects the program of one CPU."""

    def __init__(self) -> None:
        self._steps, self._pages, self._epochs = array("B"), array("I"), array("I")
        self._gaps_ns = array("Q")
        self._now_ns = 0
        self.npages = 0

    def at(self, now_ns: int) -> None:
        """Note when the step that is added next was recorded."""
        self._gaps_ns.append(now_ns - self._now_ns)
        self._now_ns = now_ns

    def add(self, step: int, page: int) -> None:
        self._steps.append(step)
        self._pages.append(page)

    def end_epoch(self) -> None:
        self._epochs.append(len(self._steps))

    def program(self) -> Program:
        return Program(self._steps, self._pages, self._gaps_ns, self._epochs, self.npages)
