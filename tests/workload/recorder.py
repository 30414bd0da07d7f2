"""Stand-ins for the CPUs of a replay: what they are asked for is written down in one order, and checked.

=> They give a new page for every allocation, so that a free tells which allocation it belongs to.
"""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import uvmfree
from tests.workload.perf_lines import line, read
from uvmfree.machine.threads import PolledEvent, ThreadsMachine
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, drive
from uvmfree.workload.replay import bodies
from uvmfree.workload.replay_plan import Plan
from uvmfree.workload.trace import ALLOC, Trace

NCPUS = 4


class Log:
    """What the recorders of one replay saw, in one order: (CPU, "alloc" or "free", number of the page, zero)."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str, int, bool]] = []
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def add(self, cpu: int, kind: str, page: int, zero: bool) -> None:
        with self._lock:
            self.entries.append((cpu, kind, page, zero))

    def number(self) -> int:
        with self._lock:
            return next(self._numbers)


class Recorder:
    """Stands in for the object of a CPU; allocations whose turn is in `fails` get no page."""

    def __init__(self, index: int, log: Log, fails: frozenset[int] = frozenset()) -> None:
        self.index = index
        self._log = log
        self._fails = fails
        self._turn = 0

    def pagealloc(self, zero: bool = False) -> VmPage | None:
        pg = VmPage(self._log.number(), 0, 0, "recorded")
        self._log.add(self.index, "alloc", pg.pfn, zero)
        self._turn += 1
        return None if self._turn - 1 in self._fails else pg

    def pagefree(self, pg: VmPage) -> None:
        self._log.add(self.index, "free", pg.pfn, False)


class Runs:
    """Stands in for the system where runs of pages are concerned; those whose turn is in `fails` cannot be had."""

    def __init__(self, log: Log, fails: frozenset[int] = frozenset(), machine: ThreadsMachine | None = None) -> None:
        self._log = log
        self._fails = fails
        self._turns = itertools.count()
        self.physmem: Any = self
        self.machine = machine or ThreadsMachine()
        self.pagesize = 4
        self.zeroed: list[int] = []
        self.sizes: dict[int, int] = {}
        self.cpu_of = threading.local()

    def pglistalloc(self, size: int, *, alignment: int) -> list[VmPage]:
        assert alignment == size > 1
        if next(self._turns) in self._fails:
            raise uvmfree.OutOfPages("none")
        pg = VmPage(self._log.number(), 0, 0, "recorded")
        self.sizes[pg.pfn] = size
        self._log.add(self.cpu_of.index, "alloc", pg.pfn, False)
        return [pg] * size

    def pglistfree(self, pages: list[VmPage]) -> None:
        if pages:
            assert len(pages) == self.sizes[pages[0].pfn]
            self._log.add(self.cpu_of.index, "free", pages[0].pfn, False)

    def bytes_of(self, pg: VmPage) -> bytearray:
        self.zeroed.append(pg.pfn)
        return bytearray(self.pagesize)


def recorded(made: Plan, log: Log, fails: frozenset[int] = frozenset(), runs: Runs | None = None) -> list[Body]:
    system: Any = runs or Runs(log)

    def on(body: Body) -> Body:
        def bound(cpu: Any, lane: Any) -> None:
            system.cpu_of.index = lane.index
            body(Recorder(lane.index, log, fails), lane)  # type: ignore[arg-type]

        return bound

    return [on(body) for body in bodies(made, system)]


def run(uvm: uvmfree.Uvm, made: Plan, fails: frozenset[int] = frozenset()) -> tuple[Log, tuple[int, ...]]:
    log = Log()
    return log, drive(uvm, recorded(made, log, fails)).failed


def trace_of(scratch: Path, events: list[tuple[str, int, int, dict[str, Any]]]) -> Trace:
    """Make a trace of (event, pfn, CPU, how), an event a microsecond unless `how` says `us`."""
    lines = [line(kind, hex(pfn), **{"cpu": cpu, "us": us} | how) for us, (kind, pfn, cpu, how) in enumerate(events)]
    return read(scratch, "".join(lines))


def check(trace: Trace, log: Log, window: int, lane_of: list[int]) -> None:
    """Hold the log against the trace: each CPU's own order, free after allocation, drift within the window."""
    every = range(len(trace.kind))
    todo = {lane: [event for event in every if lane_of[event] == lane] for lane in range(max(lane_of) + 1)}
    page_of: dict[int, int] = {}
    for cpu, kind, page, zero in log.entries:
        event = todo[cpu].pop(0)
        assert (kind == "alloc") == (trace.kind[event] == ALLOC)
        if kind == "alloc":
            page_of[trace.alloc[event]] = page
            assert zero == (trace.zero[event] and not trace.order[event])
        else:
            assert page_of.pop(trace.alloc[event]) == page  # it is there: the free is after its allocation
        slowest = min((events[0] for events in todo.values() if events), default=event)
        assert event - slowest < window
    assert not any(todo.values())


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["alloc", "alloc", "free"]),
        st.integers(1, 8),
        st.integers(0, NCPUS - 1),
        st.fixed_dictionaries(
            {
                "order": st.sampled_from([0, 0, 0, 0, 2]),
                "who": st.sampled_from(["cc1 7", "as 8", "ld 9", "sh 1", "sh 2"]),
            }
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
).map(
    lambda events: (
        [("alloc", 99, 0, {})]
        + [
            (kind, pfn, cpu, how | ({"flags": "GFP_KERNEL|__GFP_ZERO"} if zero and kind == "alloc" else {}))
            for kind, pfn, cpu, how, zero in events
        ]
    )
)


class Watching(ThreadsMachine):
    """Says when the thread `watched` waits for another one; it begins to be watched when it has begun to work."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.watched = 0

    def event(self) -> "WatchedEvent":
        return WatchedEvent(self)


class WatchedEvent(PolledEvent):
    """Tells its machine when somebody has looked and not found what is waited for."""

    def __init__(self, machine: Watching) -> None:
        self._machine = machine

    def sleep_until(self, ready: Callable[[], bool], timeout_s: float | None = None) -> bool:
        def look() -> bool:
            found = ready()
            if not found and self._machine.watched == threading.get_ident():
                self._machine.waiting.set()
            return found

        return super().sleep_until(look, timeout_s)
