"""Replay: the page traffic of a recorded kernel, on one real thread per CPU.

Each thread runs its CPU's events in the recorded order. Across CPUs two rules hold: a free never runs before
its allocation, wherever that happened; and no thread gets further ahead of another than a window of trace
events. Inside the window the threads race, as the recorded CPUs did. What a thread waits for either rule is
stall, reported apart from lock waits.

=> A run of pages is `pglistalloc`, aligned to its size as Linux has it, and its free `pglistfree`.
=> The plan is made before anything is timed (workload/replay_plan.py). Pages that stay on their CPU go through a list
   of the thread's own; only those that are freed elsewhere go through shared ones, since on a free-threaded
   interpreter every touch of a shared list is a contended one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from uvmfree.errors import OutOfPages
from uvmfree.machine.face import Event
from uvmfree.uvm.cpu import Cpu
from uvmfree.uvm.page import VmPage
from uvmfree.uvm.system import Uvm
from uvmfree.workload.driver import Body, Lane, StoppedError
from uvmfree.workload.load import Load
from uvmfree.workload.replay_plan import DO_ALLOC_ZERO, DO_FREE, DO_FREE_RUN, DO_GET, DO_GIVE_ZERO, DO_RUN_ZERO, Plan

FAILED: Final = VmPage(-1, 0, 0, "no page")
"""Handed over in place of a page that could not be allocated: the free that would follow is skipped."""


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
                    if pg is not None and pg is not FAILED:
                        pagefree(pg)
                elif step <= DO_GIVE_ZERO:
                    pg = pagealloc(step == DO_GIVE_ZERO)
                    if pg is None:
                        lane.failed += 1
                        pg = FAILED
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
