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
from tests.workload.perf_lines import line, read
from uvmfree.kern.threads import ThreadsMachine
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, StoppedError, drive
from uvmfree.workload.replay import WINDOW_EVENTS, Plan, bodies, plan
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


def recorded(made: Plan, log: Log, fails: frozenset[int] = frozenset()) -> list[Body]:
    return [
        lambda cpu, lane, body=body: body(Recorder(lane.index, log, fails), lane)  # type: ignore[misc]
        for body in bodies(made)
    ]


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
    kept = [event for event in range(len(trace.kind)) if not trace.order[event]]
    todo = {lane: [event for event in kept if lane_of[event] == lane] for lane in range(max(lane_of) + 1)}
    page_of: dict[int, int] = {}
    for cpu, kind, page, zero in log.entries:
        event = todo[cpu].pop(0)
        assert (kind == "alloc") == (trace.kind[event] == ALLOC)
        if kind == "alloc":
            page_of[trace.alloc[event]] = page
            assert zero == bool(trace.zero[event])
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
    high = counts.allocs_high_order, counts.frees_high_order
    assert (made.allocs, made.frees) == (counts.allocs - high[0], counts.frees - high[1])
    assert made.skipped_high_order == sum(high)


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
        failed = drive(uvm, bodies(made)).failed
        stats = uvm.cpu_stats()
        assert sum(each.allocs for each in stats) + sum(failed) == made.allocs
        if not any(failed):
            assert sum(each.frees for each in stats) == made.frees
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
            if self.index == 0:
                machine.on_pause = threading.get_ident()
                machine.waiting.wait(2)
                ahead.append(len(log.entries))
            return super().pagealloc(zero)

    ahead: list[int] = []
    lanes: list[Body] = [
        lambda cpu, lane, body=body: body(Slow(lane.index, log), lane)  # type: ignore[misc]
        for body in bodies(plan(trace, window=window))
    ]
    with uvmfree.boot(machine, npages=64, ncpus=2, redistribute_interval_s=3600) as uvm:
        done = drive(uvm, lanes)
    check(trace, log, window, list(trace.cpu))
    assert ahead == [window - 1]
    assert done.stall_ns[1] > 0


class Watching(ThreadsMachine):
    """Says when a thread other than `on_pause` waits for another one."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.on_pause = 0

    def pause(self, polls: int) -> None:
        if self.on_pause and self.on_pause != threading.get_ident():
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
    assert (made.live_peak, made.allocs, made.frees, made.skipped_high_order, made.given) == (2, 3, 1, 2, 1)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"window": 1}, "window=1: must be at least 2"),
        ({"window": -5}, "window=-5"),
        ({"by": "pid"}, "by='pid': must be 'cpu' or 'task'"),
        ({"ncpus": 1}, "1 CPUs are too few: .* was recorded on 2"),
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
    (body,) = bodies(plan(trace, window=8))
    with pytest.raises(StoppedError):
        body(cpu, lane)
    assert lane.failed == 3 * 4
