"""Replay: the page traffic of a recorded kernel, on one real thread per CPU.

Each thread runs its CPU's events in the recorded order. Across CPUs two rules hold: a free never runs before
its allocation, wherever that happened; and no thread gets further ahead of another than a window of trace
events. Inside the window the threads race, as the recorded CPUs did. What a thread waits for either rule is
stall, reported apart from lock waits.

=> `__GFP_ZERO` becomes `zero=True`. Allocations of order > 0 are skipped, with their frees, and counted.
=> The plan of a replay is made before it is timed: for each CPU two flat arrays, what to do and with which page.
   Pages that stay on their CPU go through a list of the thread's own; only those that are freed elsewhere go
   through shared ones, since on a free-threaded interpreter every touch of a shared list is a contended one.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError
from uvmfree.uvm.allocator import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, Lane, StoppedError
from uvmfree.workload.trace import ALLOC, Trace

WINDOW_EVENTS: Final = 1024
"""How far threads may drift apart: at the recorded rate about 6 ms, the time slice of a scheduler."""

_ALLOC, _ALLOC_ZERO, _FREE, _GIVE, _GIVE_ZERO, _GET = range(6)
"""What an event asks for: pages that are freed on another CPU are given away, and got there."""

_FAILED: Final = VmPage(-1, 0, 0, "no page")
"""Handed over in place of a page that could not be allocated: the free that would follow is skipped."""


@dataclass(frozen=True, slots=True)
class Program:
    """What one CPU does: `steps[i]` says what, `pages[i]` with which page; `epochs[e]` is where epoch e ends.

    => Pages are numbered from 0: per CPU where they stay (`npages` of them), over all CPUs where they are given.
    """

    steps: array[int]
    pages: array[int]
    epochs: array[int]
    npages: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A trace, made ready for a number of CPUs.

    => `allocs`, `frees`: operations in it. `skipped_high_order`: events of order > 0 that are not.
    => `live_peak`: the most pages that are live at once, in the order of the trace.
    """

    programs: tuple[Program, ...]
    given: int
    allocs: int
    frees: int
    skipped_high_order: int
    live_peak: int


def plan(trace: Trace, *, ncpus: int | None = None, by: str = "cpu", window: int = WINDOW_EVENTS) -> Plan:
    """Divide a trace's events among CPUs.

    => `by` "cpu": each runs the events recorded on it. "task": the tasks are dealt out over `ncpus` CPUs in the
       order in which they appear.
    => ArgumentError if there is no CPU, or the trace has more than `ncpus`, or the window is under 2 events.
    """
    if window < 2:
        raise ArgumentError(f"window={window}: must be at least 2 trace events")
    if by not in ("cpu", "task"):
        raise ArgumentError(f"by={by!r}: must be 'cpu' or 'task'")
    if ncpus is None:
        ncpus = trace.ncpus
    if ncpus < 1:
        raise ArgumentError(f"{ncpus} CPUs: there must be at least 1")
    if by == "cpu" and ncpus < trace.ncpus:
        raise ArgumentError(
            f"{ncpus} CPUs are too few: {trace.name} was recorded on {trace.ncpus}; "
            f"by tasks it can be spread over any number"
        )
    lane_of = trace.cpu if by == "cpu" else array("H", (task % ncpus for task in trace.task))
    freed_on: dict[int, int] = {
        alloc: lane for kind, alloc, lane in zip(trace.kind, trace.alloc, lane_of, strict=True) if kind != ALLOC
    }
    builders = [_Builder() for _ in range(ncpus)]
    number: dict[int, int] = {}  # allocation -> number of its page, among its CPU's own or among the given
    given_from: set[int] = set()
    epoch_events = window // 2
    given = allocs = frees = skipped = live = live_peak = 0
    columns = zip(trace.kind, trace.alloc, lane_of, trace.order, trace.zero, strict=True)
    for event, (kind, alloc, lane, order, zero) in enumerate(columns):
        if event % epoch_events == 0 and event:
            for builder in builders:
                builder.end_epoch()
        if order:
            skipped += 1
            continue
        builder = builders[lane]
        if kind == ALLOC:
            allocs += 1
            live += 1
            live_peak = max(live_peak, live)
            if freed_on.get(alloc, lane) == lane:
                number[alloc] = builder.npages
                builder.npages += 1
                builder.add(_ALLOC_ZERO if zero else _ALLOC, number[alloc])
            else:
                number[alloc] = given
                given_from.add(alloc)
                given += 1
                builder.add(_GIVE_ZERO if zero else _GIVE, number[alloc])
        else:
            frees += 1
            live -= 1
            builder.add(_GET if alloc in given_from else _FREE, number[alloc])
    for builder in builders:
        builder.end_epoch()
    return Plan(tuple(builder.program() for builder in builders), given, allocs, frees, skipped, live_peak)


def bodies(plan: Plan) -> list[Body]:
    """Make one body per CPU that replays a plan once."""
    ncpus = len(plan.programs)
    # Shared: each entry is written once, by the CPU that allocates, and then read by the one that frees.
    mailbox: list[VmPage | None] = [None] * plan.given
    # Shared: how many epochs a CPU has finished. One word each, written by its own thread, polled by others at
    # the end of an epoch; a stale value makes a thread wait one poll longer.
    finished = array("q", [0] * ncpus)
    return [_body(program, finished, mailbox) for program in plan.programs]


def _body(program: Program, finished: array[int], mailbox: list[VmPage | None]) -> Body:
    def body(cpu: Cpu, lane: Lane) -> None:
        pagealloc, pagefree = cpu.pagealloc, cpu.pagefree
        own: list[VmPage | None] = [None] * program.npages
        begin = 0
        for epoch, end in enumerate(program.epochs):
            # Two epochs are a window: the slowest thread is in this epoch or the one before.
            if min(finished) < epoch - 1:
                lane.wait_until(lambda epoch=epoch: min(finished) >= epoch - 1)  # type: ignore[misc]
            elif lane.stopped:
                raise StoppedError("the run was stopped")
            for step, page in zip(program.steps[begin:end], program.pages[begin:end], strict=True):
                if step == _FREE:
                    pg = own[page]
                    if pg is not None:
                        own[page] = None
                        pagefree(pg)
                elif step <= _ALLOC_ZERO:
                    pg = own[page] = pagealloc(step == _ALLOC_ZERO)
                    if pg is None:
                        lane.failed += 1
                elif step == _GET:
                    pg = mailbox[page]
                    if pg is None:
                        lane.wait_until(lambda page=page: mailbox[page] is not None)  # type: ignore[misc]
                        pg = mailbox[page]
                    mailbox[page] = None
                    if pg is not None and pg is not _FAILED:
                        pagefree(pg)
                else:
                    pg = pagealloc(step == _GIVE_ZERO)
                    if pg is None:
                        lane.failed += 1
                        pg = _FAILED
                    mailbox[page] = pg
            begin = end
            finished[lane.index] = epoch + 1

    return body


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
