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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from uvmfree.errors import ArgumentError, OutOfPages
from uvmfree.machine.face import Event
from uvmfree.param import NCPUS_MAX
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, StoppedError
from uvmfree.workload.load import Load
from uvmfree.workload.plural import plural
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
    trace: Trace, *, ncpus: int | None = None, by: str = "cpu", window: int = WINDOW_EVENTS, loop: bool = False
) -> Plan:
    """Divide a trace's events among CPUs.

    => `loop`: what is live at the trace's end is freed there, by the CPU that allocated it: the plan can begin again.

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
        raise ArgumentError(f"{plural(ncpus, 'CPU')}: there must be at least 1")
    if by == "cpu" and ncpus < trace.ncpus:
        raise ArgumentError(
            f"{plural(ncpus, 'CPU')}: too few, since {trace.name} was recorded on {trace.ncpus}; "
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


def replay(uvm: Uvm, plan: Plan, *, copies: int = 1, gaps: bool = False) -> Load:
    """Make the load that replays a plan once; it counts the runs that were asked for, met and failed.

    => `copies`, `gaps`: as of bodies(). With gaps the copies begin one after the other within an epoch, spread by
       the jitter of the machine: copies that start in step would stay in step, and meet at the lock.
    """
    made = [Copy(plan, uvm, gaps=gaps) for _ in range(copies)]
    bodies = [body for copy in made for body in copy.bodies()]
    if gaps and copies > 1:
        each = len(bodies) // copies
        bodies = [late(uvm, body, at // each * plan.epoch_ns // copies) for at, body in enumerate(bodies)]

    def counts() -> dict[str, int]:
        counted = [copy.runs.counts() for copy in made]
        return {name: sum(one[name] for one in counted) for name in counted[0]}

    return Load(uvm, bodies, counts=counts)


def late(uvm: Uvm, body: Body, late_ns: int) -> Body:
    """Let a body begin so much later, rather than at its first event."""

    def begun(cpu: Cpu, lane: Lane) -> None:
        uvm.machine.charge(late_ns)
        body(cpu, lane)

    return begun


def bodies(plan: Plan, uvm: Uvm, *, copies: int = 1, gaps: bool = False) -> list[Body]:
    """Make the bodies that replay a plan once; `uvm` is the system whose CPUs they will play.

    => `copies`: so many replays beside each other, each on CPUs and with pages of its own.
    => `gaps`: the time between two recorded events passes outside of the allocator (Machine.charge).
    """
    return [body for _ in range(copies) for body in Copy(plan, uvm, gaps=gaps).bodies()]


class Copy:
    """One replay of a plan: what its CPUs hold, share, and wait for.

    => `finished`: epochs that each CPU has ended. One word each, written by its own thread, read by others at the end
       of an epoch without a lock; a stale value makes one look again. `moved` happens when it changes, or what is
       below does.
    => `mailbox`: the pages that are given. Each entry is written by the CPU that allocates, and then taken by the one
       that frees. `own[i]`: the pages that stay on CPU i; its own thread's.
    => `outside_ns`: the time that each CPU spent in gaps, the one under way to its end, which is `ends_ns`.
       `lanes[i]`: where CPU i waits for others. Written by its own thread, read by others as figures.
    => `loops`: whether the plan begins again at its end, until the run's time is up; it begins at `epoch`.
    """

    def __init__(self, plan: Plan, uvm: Uvm, *, gaps: bool = False, loops: bool = False, epoch: int = 0) -> None:
        self.plan = plan
        self.moved = uvm.machine.event()
        self.mailbox: list[VmPage | None] = [None] * plan.given
        self.own: list[list[VmPage | None]] = [[None] * program.npages for program in plan.programs]
        self.runs = Runs(uvm, plan.run_pages, self.moved)
        self.finished = array("q", [epoch] * len(plan.programs))
        self.outside_ns, self.ends_ns = (array("q", [0] * len(plan.programs)) for _ in range(2))
        self.lanes: dict[int, Lane] = {}
        self._machine = uvm.machine
        self._gaps, self._loops = gaps, loops

    def bodies(self) -> list[Body]:
        """Return a body for each CPU."""
        return [_body(self, at) for at in range(len(self.plan.programs))]

    def epochs(self, at: int, lane: Lane) -> Iterator[Iterable[tuple[int, int]]]:
        """Yield the steps and pages of each epoch of CPU `at`, when the slowest CPU is near enough.

        => StoppedError if the run is stopped, or its time is up.
        """
        program, finished = self.plan.programs[at], self.finished
        nepochs, epoch = len(program.epochs), finished[at]
        while self._loops or epoch < nepochs:
            # Two epochs are a window: the slowest thread is in this epoch or the one before.
            if min(finished) < epoch - 1:
                lane.wait_until(lambda epoch=epoch: min(finished) >= epoch - 1, self.moved)  # type: ignore[misc]
            elif lane.stopped:
                raise StoppedError("the run was stopped")
            number = epoch % nepochs
            part = slice(program.epochs[number - 1] if number else 0, program.epochs[number])
            steps = zip(program.steps[part], program.pages[part], strict=True)
            yield self._paced(steps, at, program.gaps_ns[part], lane) if self._gaps else steps
            epoch += 1
            finished[at] = epoch
            self.moved.notify()

    def _paced(
        self, steps: Iterable[tuple[int, int]], at: int, gaps_ns: array[int], lane: Lane
    ) -> Iterator[tuple[int, int]]:
        """Let the recorded gap pass before each step."""
        outside_ns, ends_ns = self.outside_ns, self.ends_ns
        charge, clock_ns = self._machine.charge, self._machine.clock_ns
        for step, gap_ns in zip(steps, gaps_ns, strict=True):
            if gap_ns:
                began_ns = clock_ns()
                charge(gap_ns)
                ends_ns[at] = ended_ns = clock_ns()
                outside_ns[at] += ended_ns - began_ns
                if lane.stopped:
                    raise StoppedError("the run was stopped")
            yield step


def _body(copy: Copy, at: int) -> Body:
    mailbox, own, runs, moved = copy.mailbox, copy.own[at], copy.runs, copy.moved
    notify = moved.notify

    def body(cpu: Cpu, lane: Lane) -> None:
        pagealloc, pagefree = cpu.pagealloc, cpu.pagefree
        copy.lanes[at] = lane
        for events in copy.epochs(at, lane):
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
                        lane.wait_until(lambda page=page: mailbox[page] is not None, moved)  # type: ignore[misc]
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
                    notify()
                elif step == DO_FREE_RUN:
                    runs.free(page, lane)
                else:
                    runs.alloc(page, zero=step == DO_RUN_ZERO)

    return body


class Runs:
    """The runs of pages of a replay, allocated on one CPU and freed there or elsewhere.

    => Shared: each entry of `_pages` is written once, by the CPU that allocates, and then read by the one that frees;
       an empty list is a run that could not be had. `_asked` and `_met` count for each run; they are written by the
       CPU that allocates it, and read after all were joined.
    """

    def __init__(self, uvm: Uvm, run_pages: tuple[int, ...], moved: Event) -> None:
        self._uvm = uvm
        self._moved = moved
        self._run_pages = run_pages
        self._pages: list[list[VmPage] | None] = [None] * len(run_pages)
        self._asked, self._met = (array("Q", bytes(8 * len(run_pages))) for _ in range(2))

    def counts(self) -> dict[str, int]:
        """Return how many runs were asked for, met and failed, and the pages of those met; after a replay."""
        asked, met = sum(self._asked), sum(self._met)
        pages = sum(npages * times for npages, times in zip(self._run_pages, self._met, strict=True))
        return {"runs_asked": asked, "runs_met": met, "runs_failed": asked - met, "runs_pages": pages}

    def alloc(self, run: int, *, zero: bool, wait_s: float = 0.0) -> None:
        """Allocate a run; pglistalloc leaves the zeroing to its caller.

        => With `wait_s`, one that is not to be had is asked for once more, after a wait for pages.
        """
        pages = self._try(run)
        if not pages and wait_s:
            self._uvm.wait(wait_s)
            pages = self._try(run)
        self._asked[run] += 1
        self._met[run] += bool(pages)
        if zero:
            for pg in pages:
                self._uvm.physmem.bytes_of(pg)[:] = bytes(self._uvm.physmem.pagesize)
        self._pages[run] = pages
        self._moved.notify()

    def _try(self, run: int) -> list[VmPage]:
        npages = self._run_pages[run]
        try:
            return self._uvm.pglistalloc(npages, alignment=npages)
        except OutOfPages:
            return []

    def begin_with(self, run: int, pages: list[VmPage]) -> None:
        """Let a run be there before any CPU works; no pages: it could not be had."""
        self._pages[run] = pages

    def free(self, run: int, lane: Lane) -> None:
        """Free a run, when it has been allocated."""
        if self._pages[run] is None:
            lane.wait_until(lambda: self._pages[run] is not None, self._moved)
        pages, self._pages[run] = self._pages[run], None
        self._uvm.pglistfree(pages or [])


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
