"""The replay beside an independent recorder: the order of events, across CPUs and on each, and what is counted.

=> Recorders stand in for the CPUs' objects, on the driver's real threads. They give a new page for every
   allocation, so that a free tells which allocation it belongs to.
"""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uvmfree
from tests.kern.tasks import await_event
from tests.workload.perf_lines import line, read
from uvmfree.kern.threads import ThreadsMachine
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, StoppedError, drive
from uvmfree.workload.replay import WINDOW_EVENTS, Plan, plan, replay
from uvmfree.workload.trace import ALLOC, Trace, bundled_trace, read_trace

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

    def __init__(self, log: Log, fails: frozenset[int] = frozenset()) -> None:
        self._log = log
        self._fails = fails
        self._turns = itertools.count()
        self.physmem: Any = self
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

    return [on(body) for body in replay(system, made).bodies]


def run(uvm: uvmfree.Uvm, made: Plan, fails: frozenset[int] = frozenset()) -> tuple[Log, tuple[int, ...]]:
    log = Log()
    return log, drive(uvm, recorded(made, log, fails)).failed


@pytest.fixture(scope="module")
def uvm() -> Iterator[uvmfree.Uvm]:
    """CPUs to be played; the recorders leave their pages alone."""
    made = uvmfree.boot(npages=64, ncpus=NCPUS, pagesize=512)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def trace_of(scratch: Path, events: list[tuple[str, int, int, dict[str, Any]]]) -> Trace:
    """Make a trace of (event, pfn, CPU, how)."""
    lines = [line(kind, hex(pfn), cpu=cpu, us=us, **how) for us, (kind, pfn, cpu, how) in enumerate(events)]
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


@settings(max_examples=50)
@given(events=EVENTS, window=st.sampled_from([2, 3, 8, 1000]), by_task=st.booleans(), more=st.integers(0, 2))
def test_any_trace_is_replayed_in_order(
    uvm: uvmfree.Uvm,
    scratch: Path,
    events: list[tuple[str, int, int, dict[str, Any]]],
    window: int,
    by_task: bool,
    more: int,
) -> None:
    trace = trace_of(scratch, events)
    if by_task:
        ncpus = 1 + more
        lane_of = [task % ncpus for task in trace.task]
    else:
        ncpus = min(NCPUS, trace.ncpus + more)
        lane_of = list(trace.cpu)
    made = plan(trace, ncpus=ncpus, by="task" if by_task else "cpu", window=window)
    log, failed = run(uvm, made)
    check(trace, log, window, lane_of)
    assert failed == (0,) * ncpus
    counts = trace.counts
    assert (made.allocs, made.frees) == (counts.allocs, counts.frees)
    assert len(made.run_pages) == counts.allocs_high_order


def test_the_trace_that_ships_replays_in_order(uvm: uvmfree.Uvm) -> None:
    trace = read_trace(bundled_trace())
    if trace.ncpus > NCPUS:
        pytest.skip("more CPUs than this test plays")
    made = plan(trace)
    log, failed = run(uvm, made)
    check(trace, log, WINDOW_EVENTS, list(trace.cpu))
    assert len(log.entries) == made.allocs + made.frees
    assert not any(failed)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.parametrize("by", ["cpu", "task"])
def test_a_replay_on_a_real_system_does_what_the_plan_says(design: str, by: str) -> None:
    trace = read_trace(bundled_trace())
    ncpus = trace.ncpus if by == "cpu" else 3
    made = plan(trace, ncpus=ncpus, by=by)
    npages = made.live_peak * 2 + 64 * ncpus
    with uvmfree.boot(npages=npages, ncpus=ncpus, pagesize=512, design=design) as uvm:
        failed = drive(uvm, replay(uvm, made).bodies).failed
        stats = uvm.cpu_stats()
        if not any(failed):
            assert sum(each.allocs for each in stats) == made.allocs - len(made.run_pages)
            of_runs = sum(
                (1 << order) - 1
                for kind, order in zip(trace.kind, trace.order, strict=True)
                if order and kind != ALLOC
            )
            assert sum(each.frees for each in stats) == made.frees + of_runs
            assert sum(each.zerohit + each.zeromiss for each in stats) == sum(
                zero for zero, order in zip(trace.zero, trace.order, strict=True) if not order
            )
        uvm.audit()


def test_the_free_of_a_page_that_was_not_got_is_skipped(uvm: uvmfree.Uvm, scratch: Path) -> None:
    """On the CPU that asked for it, and on another."""
    events: list[tuple[str, int, int, dict[str, Any]]] = []
    for pfn in range(1, 7):
        events.append(("alloc", pfn, 0, {}))
    for pfn in range(1, 7):
        events.append(("free", pfn, pfn % 2, {}))
    made = plan(trace_of(scratch, events))
    log, failed = run(uvm, made, fails=frozenset({1, 2, 5}))
    assert failed == (3, 0)
    got = [page for _, kind, page, _ in log.entries if kind == "alloc"]
    freed = [(cpu, page) for cpu, kind, page, _ in log.entries if kind == "free"]
    assert sorted(freed) == [(0, got[3]), (1, got[0]), (1, got[4])]


def test_a_plan_can_be_replayed_again(uvm: uvmfree.Uvm, scratch: Path) -> None:
    trace = trace_of(scratch, [("alloc", 1, 0, {}), ("free", 1, 1, {}), ("alloc", 2, 1, {}), ("free", 2, 1, {})])
    made = plan(trace)
    for _ in range(3):
        check(trace, run(uvm, made)[0], WINDOW_EVENTS, list(trace.cpu))


def test_a_thread_that_is_far_ahead_waits_for_the_slowest(scratch: Path) -> None:
    """CPU 0 stands still until CPU 1 has nothing to do but wait: it has gone a window ahead, and no further."""
    window = 8
    events = [("alloc", 1, 0, {})] + [("alloc", pfn, 1, {}) for pfn in range(2, 60)] + [("free", 1, 0, {})]
    trace = trace_of(scratch, events)
    machine = Watching()
    log = Log()

    class Slow(Recorder):
        def pagealloc(self, zero: bool = False) -> VmPage | None:
            if self.index == 1:
                machine.watched = threading.get_ident()
            else:
                await_event(machine.waiting)
                ahead.append(len(log.entries))
            return super().pagealloc(zero)

    ahead: list[int] = []
    any_system: Any = None
    lanes: list[Body] = [
        lambda cpu, lane, body=body: body(Slow(lane.index, log), lane)  # type: ignore[misc]
        for body in replay(any_system, plan(trace, window=window)).bodies
    ]
    with uvmfree.boot(machine, npages=64, ncpus=2, redistribute_interval_s=3600) as uvm:
        done = drive(uvm, lanes)
    check(trace, log, window, list(trace.cpu))
    assert ahead == [window - 1]
    assert done.stall_ns[1] > 0


class Watching(ThreadsMachine):
    """Says when the thread `watched` waits for another one; it begins to be watched when it has begun to work."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.watched = 0

    def pause(self, polls: int) -> None:
        if self.watched == threading.get_ident():
            self.waiting.set()
        super().pause(polls)


def test_tasks_are_dealt_out_in_the_order_in_which_they_appear(scratch: Path, uvm: uvmfree.Uvm) -> None:
    whos = ["a 1", "b 2", "c 3", "a 1", "d 4", "b 2"]
    trace = trace_of(scratch, [("alloc", pfn, 0, {"who": who}) for pfn, who in enumerate(whos, 1)])
    made = plan(trace, ncpus=3, by="task")
    assert [len(program.steps) for program in made.programs] == [3, 2, 1]
    log, _ = run(uvm, made)
    check(trace, log, WINDOW_EVENTS, [0, 1, 2, 0, 0, 1])


def test_a_plan_says_how_many_pages_live_at_once(scratch: Path) -> None:
    events = [("alloc", 1, 0, {}), ("alloc", 2, 1, {}), ("alloc", 3, 0, {"order": 3}), ("free", 1, 1, {})]
    made = plan(trace_of(scratch, [*events, ("alloc", 4, 1, {}), ("free", 3, 0, {"order": 3})]))
    assert (made.live_peak, made.allocs, made.frees, made.run_pages, made.given) == (10, 4, 2, (8,), 1)


def test_a_run_is_aligned_to_its_size_zeroed_by_hand_and_freed_where_the_trace_says(
    uvm: uvmfree.Uvm, scratch: Path
) -> None:
    """An event of order k is a run of 2**k pages (R26); the free of one that was not got is skipped."""
    zero = {"flags": "GFP_KERNEL|__GFP_ZERO"}
    trace = trace_of(
        scratch,
        [
            ("alloc", 16, 0, {"order": 4, **zero}),
            ("alloc", 32, 0, {"order": 1}),
            ("free", 16, 1, {"order": 4}),
            ("free", 32, 0, {"order": 1}),
        ],
    )
    for fails in (frozenset[int](), frozenset({0})):
        log = Log()
        runs = Runs(log, fails)
        failed = drive(uvm, recorded(plan(trace), log, runs=runs)).failed
        assert sum(failed) == 0  # of single pages: runs are counted apart
        assert sorted(runs.sizes.values()) == ([2] if fails else [2, 16])
        freed_on = {runs.sizes[page]: cpu for cpu, kind, page, _ in log.entries if kind == "free"}
        assert freed_on == ({2: 0} if fails else {16: 1, 2: 0})
        assert len(runs.zeroed) == (0 if fails else 16)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_runs_of_pages_on_a_real_system(design: str, scratch: Path) -> None:
    """What a replay leaves allocated is what the trace leaves, runs and single pages (R3, R26)."""
    events: list[tuple[str, int, int, dict[str, Any]]] = [
        ("alloc", 64 + 8 * turn, turn % 2, {"order": 3}) for turn in range(16)
    ]
    events += [("alloc", 1000 + turn, turn % 2, {}) for turn in range(16)]
    events += [("free", 64 + 8 * turn, 0, {"order": 3}) for turn in range(0, 16, 2)]
    made = plan(trace_of(scratch, events))
    with uvmfree.boot(npages=512, ncpus=2, pagesize=512, design=design) as uvm:
        assert drive(uvm, replay(uvm, made).bodies).failed == (0, 0)
        uvm.redistribute()
        assert uvm.uvmexp.free == 512 - 8 * 8 - 16
        uvm.audit()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"window": 1}, "window=1: must be at least 2"),
        ({"window": -5}, "window=-5"),
        ({"by": "pid"}, "by='pid': must be 'cpu' or 'task'"),
        ({"ncpus": 1}, "1 CPU: too few, since .* was recorded on 2"),
        ({"ncpus": 0}, "0 CPUs"),
        ({"ncpus": 0, "by": "task"}, "0 CPUs"),
        ({"ncpus": -1, "by": "task"}, "-1 CPUs"),
    ],
    ids=str,
)
def test_a_bad_argument_is_named(scratch: Path, how: dict[str, Any], said: str) -> None:
    trace = trace_of(scratch, [("alloc", 1, 0, {}), ("alloc", 2, 1, {})])
    with pytest.raises(uvmfree.ArgumentError, match=said):
        plan(trace, **how)


def test_a_stopped_replay_keeps_the_count_of_what_it_did_not_get(scratch: Path) -> None:
    """A run that was stopped in the middle tells of the failures until then."""
    trace = trace_of(scratch, [("alloc", pfn, 0, {}) for pfn in range(1, 60)])

    class Lane:
        index = failed = 0
        polls = 0

        @property
        def stopped(self) -> bool:
            self.polls += 1
            return self.polls > 3

    lane: Any = Lane()
    cpu: Any = Recorder(0, Log(), fails=frozenset(range(60)))
    any_system: Any = None
    (body,) = replay(any_system, plan(trace, window=8)).bodies
    with pytest.raises(StoppedError):
        body(cpu, lane)
    assert lane.failed == 3 * 4
