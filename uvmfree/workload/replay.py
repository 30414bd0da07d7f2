"""Replay: the page traffic of a recorded kernel, on one real thread per CPU.

Each thread runs its CPU's events in the recorded order. Across CPUs two rules hold: a free never runs before
its allocation, wherever that happened; and no thread gets further ahead of another than a window of trace
events. Inside the window the threads race, as the recorded CPUs did. What a thread waits for either rule is
stall, reported apart from lock waits.

=> `__GFP_ZERO` becomes `zero=True`. An allocation of order k > 0 becomes `pglistalloc` of a run of 2**k pages,
   aligned to its size as Linux has it, and its free `pglistfree`.
=> The plan of a replay is made before it is timed: for each CPU two flat arrays, what to do and with which page.
   Pages that stay on their CPU go through a list of the thread's own; only those that are freed elsewhere go
   through shared ones, since on a free-threaded interpreter every touch of a shared list is a contended one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.param import NCPUS_MAX
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, StoppedError
from uvmfree.workload.trace import ALLOC, Trace

WINDOW_EVENTS: Final = 1024
"""How far threads may drift apart: at the recorded rate about 6 ms, the time slice of a scheduler."""

DO_ALLOC, DO_ALLOC_ZERO, DO_FREE, DO_GIVE, DO_GIVE_ZERO, DO_GET, DO_RUN, DO_RUN_ZERO, DO_FREE_RUN = range(9)
"""What an event asks for: pages that are freed on another CPU are given away, and got there; runs all are."""

_FAILED: Final = VmPage(-1, 0, 0, "no page")
"""Handed over in place of a page that could not be allocated: the free that would follow is skipped."""


@dataclass(frozen=True, slots=True)
class Program:
    """What one CPU does: `steps[i]` says what, `pages[i]` with which page; `epochs[e]` is where epoch e ends.

    => Pages are numbered from 0: per CPU where they stay (`npages` of them), over all CPUs where they are given. Runs
       of pages are numbered on their own, over all CPUs.
    """

    steps: array[int]
    pages: array[int]
    epochs: array[int]
    npages: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A trace, made ready for a number of CPUs.

    => `given`: pages that are given to another CPU. `run_pages[r]`: pages of run r.
    => `allocs`, `frees`: operations in it; that on a run is one.
    => `live_peak`, `run_live_peak`: the most pages that are live at once, and in runs, in the order of the trace.
    """

    programs: tuple[Program, ...]
    given: int
    run_pages: tuple[int, ...]
    allocs: int
    frees: int
    live_peak: int
    run_live_peak: int


def plan(trace: Trace, *, ncpus: int | None = None, by: str = "cpu", window: int = WINDOW_EVENTS) -> Plan:
    """Divide a trace's events among CPUs.

    => `by` "cpu": each runs the events recorded on it. "task": the tasks are dealt out over `ncpus` CPUs in the
       order in which they appear.
    => `ncpus` None: as many as the trace has; by task at most those that a system has.
    => ArgumentError if there is no CPU, or the trace has more than `ncpus` or a system has, or the window is under 2
       events.
    """
    if window < 2:
        raise ArgumentError(f"window={window}: must be at least 2 trace events")
    if by not in ("cpu", "task"):
        raise ArgumentError(f"by={by!r}: must be 'cpu' or 'task'")
    if by == "cpu" and trace.ncpus > NCPUS_MAX:
        raise ArgumentError(
            f"{trace.name} was recorded on {trace.ncpus} CPUs, and a system has at most {NCPUS_MAX}; "
            f"--by task --cpus {NCPUS_MAX} spreads its tasks over so many"
        )
    if ncpus is None:
        ncpus = min(trace.ncpus, NCPUS_MAX)
    if ncpus < 1:
        raise ArgumentError(f"{ncpus} CPUs: there must be at least 1")
    if by == "cpu" and ncpus < trace.ncpus:
        raise ArgumentError(
            f"{ncpus} CPUs are too few: {trace.name} was recorded on {trace.ncpus}; "
            f"--by task spreads its tasks over any number"
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
    given = allocs = frees = live = live_peak = run_live = run_live_peak = 0
    columns = zip(trace.kind, trace.alloc, lane_of, trace.order, trace.zero, strict=True)
    for event, (kind, alloc, lane, order, zero) in enumerate(columns):
        if event % epoch_events == 0 and event:
            for builder in builders:
                builder.end_epoch()
        builder = builders[lane]
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
    for builder in builders:
        builder.end_epoch()
    programs = tuple(builder.program() for builder in builders)
    return Plan(programs, given, tuple(run_pages), allocs, frees, live_peak, run_live_peak)


def bodies(plan: Plan, uvm: Uvm) -> list[Body]:
    """Make one body per CPU that replays a plan once; `uvm` is the system whose CPUs they will play."""
    ncpus = len(plan.programs)
    # Shared: each entry is written once, by the CPU that allocates, and then read by the one that frees.
    mailbox: list[VmPage | None] = [None] * plan.given
    finished = new_finished(ncpus)
    runs = Runs(uvm, plan.run_pages)
    return [_body(program, finished, mailbox, runs) for program in plan.programs]


def new_finished(ncpus: int) -> array[int]:
    """Make the table of how many epochs each CPU has finished.

    => Shared: one word each, written by its own thread, polled by others at the end of an epoch; a stale value makes
       a thread wait one poll longer.
    """
    return array("q", [0] * ncpus)


def epochs(program: Program, finished: array[int], lane: Lane) -> Iterator[Iterator[tuple[int, int]]]:
    """Yield the steps and pages of each epoch of a program, as soon as the slowest CPU is near enough."""
    begin = 0
    for epoch, end in enumerate(program.epochs):
        # Two epochs are a window: the slowest thread is in this epoch or the one before.
        if min(finished) < epoch - 1:
            lane.wait_until(lambda epoch=epoch: min(finished) >= epoch - 1)  # type: ignore[misc]
        elif lane.stopped:
            raise StoppedError("the run was stopped")
        yield zip(program.steps[begin:end], program.pages[begin:end], strict=True)
        begin = end
        finished[lane.index] = epoch + 1


def _body(program: Program, finished: array[int], mailbox: list[VmPage | None], runs: Runs) -> Body:
    def body(cpu: Cpu, lane: Lane) -> None:
        pagealloc, pagefree = cpu.pagealloc, cpu.pagefree
        own: list[VmPage | None] = [None] * program.npages
        for events in epochs(program, finished, lane):
            for step, page in events:
                if step == DO_FREE:
                    pg = own[page]
                    if pg is not None:
                        own[page] = None
                        pagefree(pg)
                elif step <= DO_ALLOC_ZERO:
                    pg = own[page] = pagealloc(step == DO_ALLOC_ZERO)
                    if pg is None:
                        lane.failed += 1
                elif step == DO_GET:
                    pg = mailbox[page]
                    if pg is None:
                        lane.wait_until(lambda page=page: mailbox[page] is not None)  # type: ignore[misc]
                        pg = mailbox[page]
                    mailbox[page] = None
                    if pg is not None and pg is not _FAILED:
                        pagefree(pg)
                elif step <= DO_GIVE_ZERO:
                    pg = pagealloc(step == DO_GIVE_ZERO)
                    if pg is None:
                        lane.failed += 1
                        pg = _FAILED
                    mailbox[page] = pg
                elif step == DO_FREE_RUN:
                    runs.free(page, lane)
                else:
                    runs.alloc(page, lane, zero=step == DO_RUN_ZERO)

    return body


class Runs:
    """The runs of pages of a replay, allocated on one CPU and freed there or elsewhere.

    => Shared: each entry of `_pages` is written once, by the CPU that allocates, and then read by the one that frees;
       an empty list is a run that could not be had.
    """

    def __init__(self, uvm: Uvm, run_pages: tuple[int, ...]) -> None:
        self._uvm = uvm
        self._run_pages = run_pages
        self._pages: list[list[VmPage] | None] = [None] * len(run_pages)

    def alloc(self, run: int, lane: Lane, *, zero: bool, wait_s: float = 0.0) -> None:
        """Allocate a run; pglistalloc leaves the zeroing to its caller.

        => With `wait_s`, one that is not to be had is asked for once more, after a wait for pages.
        """
        pages = self._try(run)
        if not pages and wait_s:
            self._uvm.wait(wait_s)
            pages = self._try(run)
        lane.failed += not pages
        if zero:
            for pg in pages:
                self._uvm.physmem.bytes_of(pg)[:] = bytes(self._uvm.physmem.pagesize)
        self._pages[run] = pages

    def _try(self, run: int) -> list[VmPage]:
        npages = self._run_pages[run]
        try:
            return self._uvm.pglistalloc(npages, alignment=npages)
        except OutOfPages:
            return []

    def free(self, run: int, lane: Lane) -> None:
        """Free a run, when it has been allocated."""
        if self._pages[run] is None:
            lane.wait_until(lambda: self._pages[run] is not None)
        pages, self._pages[run] = self._pages[run], []
        self._uvm.pglistfree(pages or [])


class _Builder:
    """Collects the program of one CPU."""

    def __init__(self) -> None:
        self._steps, self._pages, self._epochs = array("B"), array("I"), array("I")
        self.npages = 0

    def add(self, step: int, page: int) -> None:
        self._steps.append(step)
        self._pages.append(page)

    def end_epoch(self) -> None:
        self._epochs.append(len(self._steps))

    def program(self) -> Program:
        return Program(self._steps, self._pages, self._epochs, self.npages)
