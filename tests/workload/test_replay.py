"""The replay beside an independent recorder: the order of events, across CPUs and on each, and what is counted.

=> Recorders stand in for the CPUs' objects, on the driver's real threads. They give a new page for every
   allocation, so that a free tells which allocation it belongs to.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uvmfree
from tests.kern.tasks import await_event
from tests.workload.recorder import EVENTS, NCPUS, Log, Recorder, Runs, Watching, check, recorded, run, trace_of
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.uvm.page import VmPage
from uvmfree.workload.driver import Body, StoppedError, drive
from uvmfree.workload.replay import bodies, replay
from uvmfree.workload.replay_plan import WINDOW_EVENTS, Plan, plan
from uvmfree.workload.trace import ALLOC, Trace, bundled_trace, read_trace


@pytest.fixture(scope="module")
def uvm() -> Iterator[uvmfree.Uvm]:
    """CPUs to be played; the recorders leave their pages alone."""
    made = uvmfree.boot(npages=64, ncpus=NCPUS, pagesize=512)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


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


@pytest.fixture(scope="module")
def shipped() -> Trace:
    """The trace that ships; it is only read."""
    return read_trace(bundled_trace())


@pytest.mark.rotated(2)
def test_the_trace_that_ships_replays_in_order(uvm: uvmfree.Uvm, shipped: Trace) -> None:
    trace = shipped
    if trace.ncpus > NCPUS:
        pytest.skip("more CPUs than this test plays")
    made = plan(trace)
    log, failed = run(uvm, made)
    check(trace, log, WINDOW_EVENTS, list(trace.cpu))
    assert len(log.entries) == made.allocs + made.frees
    assert not any(failed)


@pytest.fixture(scope="module", params=["cpu", "task"])
def planned(request: pytest.FixtureRequest, shipped: Trace) -> Plan:
    """What each CPU does of the trace that ships; it is only read, too."""
    return plan(shipped, ncpus=shipped.ncpus if request.param == "cpu" else 3, by=request.param)


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
@pytest.mark.sampled(3)
def test_a_replay_on_a_real_system_does_what_the_plan_says(design: str, planned: Plan, shipped: Trace) -> None:
    trace, made = shipped, planned
    ncpus = len(made.programs)
    npages = made.live_peak * 2 + 64 * ncpus
    with uvmfree.boot(npages=npages, ncpus=ncpus, pagesize=512, design=design) as uvm:
        failed = drive(uvm, bodies(made, uvm)).failed
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
    any_system: Any = Runs(log, machine=machine)
    lanes: list[Body] = [
        lambda cpu, lane, body=body: body(Slow(lane.index, log), lane)  # type: ignore[misc]
        for body in bodies(plan(trace, window=window), any_system)
    ]
    with uvmfree.boot(machine, npages=64, ncpus=2, redistribute_interval_s=3600) as uvm:
        done = drive(uvm, lanes)
    check(trace, log, window, list(trace.cpu))
    assert ahead == [window - 1]
    assert done.stall_ns[1] > 0


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
        assert drive(uvm, bodies(made, uvm)).failed == (0, 0)
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
    any_system: Any = Runs(Log())
    (body,) = bodies(plan(trace, window=8), any_system)
    with pytest.raises(StoppedError):
        body(cpu, lane)
    assert lane.failed == 3 * 4


def test_the_recorded_gaps_pass_outside_of_the_allocator(scratch: Path) -> None:
    """Per CPU: from the trace's first event to its first, and from each event to the next."""
    at_us = [0, 3, 5, 5, 11]
    cpus = [0, 1, 0, 1, 0]
    events = [("alloc", pfn, cpu, {"us": us}) for pfn, (us, cpu) in enumerate(zip(at_us, cpus, strict=True), 1)]
    made = plan(trace_of(scratch, events))
    assert [list(program.gaps_ns) for program in made.programs] == [[0, 5000, 6000], [3000, 2000]]
    charged: list[int] = []

    class Charging(ThreadsMachine):
        def charge(self, ns: int) -> None:
            charged.append(ns)

    with uvmfree.boot(Charging(), npages=64, ncpus=2, redistribute_interval_s=3600) as uvm:
        drive(uvm, bodies(made, uvm, gaps=True))
        assert sorted(charged) == [2000, 3000, 5000, 6000]
        drive(uvm, bodies(made, uvm))
        assert len(charged) == 4


def test_copies_with_gaps_begin_one_after_the_other_and_the_cpus_of_one_together(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over an epoch: copies that start in step would stay in step, CPUs of one copy are a trace's."""
    begun: list[int] = []

    def late(uvm: object, body: Body, late_ns: int) -> Body:
        begun.append(late_ns)
        return body

    monkeypatch.setattr("uvmfree.workload.replay.late", late)
    events = [("alloc", pfn, pfn % 2, {"us": 10 * pfn}) for pfn in range(1, 9)]
    made = plan(trace_of(scratch, events))
    with uvmfree.boot(npages=8192, ncpus=8) as uvm:
        assert len(replay(uvm, made, copies=4, gaps=True).bodies) == 8
    assert begun == [made.epoch_ns * copy // 4 for copy in range(4) for _ in range(2)]
    assert made.epoch_ns > 4


@pytest.mark.parametrize("design", uvmfree.DESIGNS)
def test_copies_of_a_trace_do_the_same_beside_each_other(design: str, scratch: Path) -> None:
    trace = trace_of(scratch, [("alloc", 1, 0, {}), ("alloc", 2, 1, {}), ("free", 1, 1, {}), ("free", 2, 1, {})])
    # No design takes so much to one CPU that another finds nothing.
    with uvmfree.boot(npages=8192, ncpus=6, design=design, redistribute_interval_s=3600) as uvm:
        drive(uvm, bodies(plan(trace), uvm, copies=3))
        assert [(cpu.allocs, cpu.frees) for cpu in uvm.cpu_stats()] == [(1, 0), (1, 2)] * 3
        uvm.audit()
