"""The timeline for Perfetto: read back, its beginnings and ends balance, and its sums are lockstat's."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import uvmfree
from uvmfree.cli.exports import TimelineFile
from uvmfree.kern.eventlog import Event
from uvmfree.kern.locktrace import Slice
from uvmfree.layouts.perfetto import Span, Timeline, nested, write
from uvmfree.machine.threads import ThreadsMachine
from uvmfree.measure import workloads
from uvmfree.measure.run import Run, run
from uvmfree.measure.samples import Samples
from uvmfree.param import Param
from uvmfree.workload.driver import Lane
from uvmfree.workload.load import Load

pb = pytest.importorskip(
    "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="the extra `trace` is not installed"
)


def read_back(*timelines: Timeline) -> Any:
    file = io.BytesIO()
    write(file, timelines)
    trace = pb.Trace()
    trace.ParseFromString(file.getvalue())
    return trace


def tracks(trace: Any) -> dict[int, Any]:
    return {
        packet.track_descriptor.uuid: packet.track_descriptor
        for packet in trace.packet
        if packet.HasField("track_descriptor")
    }


def spans(trace: Any) -> Iterator[tuple[int, str, int, dict[str, Any]]]:
    """Yield track, name, length and notes of every slice; fail where beginnings and ends do not balance."""
    open_spans: dict[int, list[Any]] = defaultdict(list)
    now_ns: dict[int, int] = defaultdict(int)
    for packet in trace.packet:
        event = packet.track_event
        if not packet.HasField("track_event") or event.type == pb.TrackEvent.TYPE_COUNTER:
            continue
        assert packet.timestamp >= now_ns[event.track_uuid]
        now_ns[event.track_uuid] = packet.timestamp
        if event.type == pb.TrackEvent.TYPE_SLICE_BEGIN:
            open_spans[event.track_uuid].append(packet)
        else:
            began = open_spans[event.track_uuid].pop()
            notes = {note.name: note.string_value or note.int_value for note in began.track_event.debug_annotations}
            yield event.track_uuid, began.track_event.name, packet.timestamp - began.timestamp, notes
    assert not any(open_spans.values())


class Until:
    """A lane of a body that is stopped when the daemon has made a pass, however long that takes on a busy host."""

    def __init__(self, lane: Lane, uvm: uvmfree.Uvm) -> None:
        self._lane, self._uvm = lane, uvm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lane, name)

    @property
    def stopped(self) -> bool:
        return any(event.what == "daemon" for event in self._uvm.events.snapshot())


def until_a_pass(workload: workloads.Workload) -> workloads.Workload:
    def load(uvm: uvmfree.Uvm) -> Load:
        made = workload.load(uvm)
        made.bodies = [
            lambda cpu, lane, body=body: body(cpu, Until(lane, uvm))  # type: ignore[misc]
            for body in made.bodies
        ]
        return made

    return replace(workload, load=load)


def traced_run(design: str) -> tuple[Run, Timeline]:
    machine = ThreadsMachine(lockstat=True, locktrace=True)
    assert machine.locktrace is not None
    workload = until_a_pass(workloads.pressure(2, 30.0))
    done = run(workload, Param(npages=512, ncpus=2), design, 0, lockstat=True, stop=lambda: False, machine=machine)
    assert done is not None
    return done, Timeline(design, machine.locktrace.slices(), done.events, done.samples, machine.locktrace.dropped())


def test_cpus_come_first_by_number_then_the_others_by_name() -> None:
    names = ["xc/1", "cpu/10", "pagedaemon", "cpu/2", "cpu/0"]
    slices = tuple(Slice("uvm_cpu[0]", "uvm_pagealloc", name, True, 10, 20) for name in names)
    found = tracks(read_back(Timeline("percpu", slices, (), None, 0)))
    threads = [(each.thread.thread_name, each.thread.tid) for each in found.values() if each.HasField("thread")]
    assert threads == [("cpu/0", 100), ("cpu/2", 102), ("cpu/10", 110), ("pagedaemon", 1001), ("xc/1", 1002)]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("design", ["fpageqlock", "percpu"])
def test_a_run_under_pressure_can_be_read_back(design: str) -> None:
    """Redistributions, daemon passes and counters are there, each on its track."""
    done, timeline = traced_run(design)
    trace = read_back(timeline)
    found = tracks(trace)
    assert len({packet.trusted_packet_sequence_id for packet in trace.packet}) == 1
    assert [each.process.process_name for each in found.values() if each.HasField("process")] == [design]
    threads = {each.thread.thread_name: each.thread.tid for each in found.values() if each.HasField("thread")}
    assert (threads["cpu/0"], threads["cpu/1"]) == (100, 101)
    assert threads["pagedaemon"] > 1000
    names = Counter(name for _, name, _, _ in spans(trace))
    assert names["pass"] == sum(event.what == "daemon" for event in done.events) > 0
    assert names["redistribute: pressure"] == sum(event.cause == "pressure" for event in done.events)
    assert done.samples is not None
    counters = {each.name for each in found.values() if each.HasField("counter")}
    assert counters >= {"uvmexp.free", "cached", "paging", "all free pages", "cached on CPU 1"}
    values = [packet.track_event.counter_value for packet in trace.packet if packet.track_event.type == 4]
    assert len(values) == len(done.samples.t_ns) * len(counters)


def test_the_counters_are_those_of_the_samples_and_the_truth_is_the_global_list_and_the_caches() -> None:
    """By hand: uvmexp.free runs ahead of the global list, and behind it; the caches are unequal."""
    columns = {"free": (50, 40), "zeropages": (0, 0), "paging": (1, 2), "waiters": (0, 3), "lag": (7, -5)}
    samples = Samples(began_ns=1000, t_ns=(0, 10), **columns, cached=((2, 4), (8, 16)))
    trace = read_back(Timeline("made", (), (), samples, 0))
    found = tracks(trace)
    units = {each.name: each.counter.unit_name for each in found.values() if each.HasField("counter")}
    assert units == dict.fromkeys(units, "pages") | {"waiters": "threads"}
    counters: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for packet in trace.packet:
        if packet.HasField("track_event"):
            counters[found[packet.track_event.track_uuid].name].append(
                (packet.timestamp, packet.track_event.counter_value)
            )
    assert counters == {
        "uvmexp.free": [(1000, 50), (1010, 40)],
        "all free pages": [(1000, 50 - 7 + 10), (1010, 40 + 5 + 20)],
        "paging": [(1000, 1), (1010, 2)],
        "waiters": [(1000, 0), (1010, 3)],
        "cached": [(1000, 10), (1010, 20)],
        "cached on CPU 0": [(1000, 2), (1010, 4)],
        "cached on CPU 1": [(1000, 8), (1010, 16)],
    }


def test_what_was_left_out_of_slices_and_events_is_told(tmp_path: Path) -> None:
    """Together, by the name of the process; nothing where nothing was."""
    timelines = TimelineFile(str(tmp_path / "out"))
    timelines.keeper("cut")((), 2)
    timelines.add("cut", (), None, 3)
    timelines.add("whole", (), None, 0)
    timelines.write()
    trace = pb.Trace()
    trace.ParseFromString((tmp_path / "out").read_bytes())
    names = [each.process.process_name for each in tracks(trace).values()]
    assert names == ["cut (5 slices left out)", "whole"]


def test_the_sums_are_those_of_lockstat() -> None:
    """By lock and caller, waits and holds; for a run of which nothing was left out."""
    machine = ThreadsMachine(lockstat=True, locktrace=True)
    assert machine.locktrace is not None
    from uvmfree.workload.driver import drive

    def body(cpu: Any, lane: Any) -> None:
        for _ in range(300):
            pg = cpu.pagealloc()
            assert pg is not None
            cpu.pagefree(pg)
            if _ % 50 == 0:
                uvm.redistribute()

    with uvmfree.boot(machine, npages=256, ncpus=2, lockstat=True, redistribute_interval_s=3600) as uvm:
        drive(uvm, [body, body])
    counted = {(one.name, one.caller): one for one in uvm.lockstat(by_caller=True)}
    trace = read_back(Timeline("percpu", machine.locktrace.slices(), uvm.events.snapshot(), None, 0))
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for _, name, length_ns, notes in spans(trace):
        if "caller" in notes:
            kind, _, lock = name.partition(" ")
            sums[kind, lock, notes["caller"]].append(length_ns)
    for (lock, caller), one in counted.items():
        assert sum(sums["hold", lock, caller]) == one.hold_ns_total
        assert len(sums["hold", lock, caller]) == one.acquired
        assert sum(sums["wait", lock, caller]) == one.wait_ns_total
        assert len(sums["wait", lock, caller]) == one.contended
    assert sum(len(lengths) for (kind, *_), lengths in sums.items() if kind == "hold") == sum(
        one.acquired for one in counted.values()
    )


def test_two_runs_are_two_processes_and_what_is_left_out_is_said() -> None:
    one = Timeline("before", (), (), None, 0)
    two = Timeline("after", (Slice("L", "c", "cpu/0", True, 5, 9),), (), None, 7)
    found = tracks(read_back(one, two))
    processes = {each.process.pid: each.process.process_name for each in found.values() if each.HasField("process")}
    assert processes == {1: "before", 2: "after (7 slices left out)"}


def test_slices_that_cross_go_to_a_track_of_their_own() -> None:
    slices = (
        Slice("A", "c", "cpu/0", True, 0, 10),
        Slice("B", "c", "cpu/0", True, 5, 15),
        Slice("C", "c", "cpu/0", True, 6, 8),
    )
    trace = read_back(Timeline("d", slices, (Event("redistribute", "timer", 0, 1, 2, 3),), None, 0))
    assert sorted((name, length) for _, name, length, _ in spans(trace)) == [
        ("hold A", 10),
        ("hold B", 10),
        ("hold C", 2),
        ("redistribute: timer", 1),
    ]
    assert "cpu/0, crossing" in {each.name for each in tracks(trace).values()}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=30))
def test_any_spans_are_spread_over_lanes_that_nest(times: list[tuple[int, int]]) -> None:
    made = [Span("s", "c", began, began + length, ()) for began, length in times]
    lanes = nested(made)
    assert sorted(id(span) for lane in lanes for span in lane) == sorted(map(id, made))
    for lane in lanes:
        for at, outer in enumerate(lane):
            for inner in lane[at + 1 :]:
                assert inner.began_ns >= outer.began_ns
                assert inner.began_ns >= outer.ended_ns or inner.ended_ns <= outer.ended_ns
    trace = read_back(
        Timeline("d", tuple(Slice("L", "c", "t", True, span.began_ns, span.ended_ns) for span in made), (), None, 0)
    )
    assert sorted(length for _, _, length, _ in spans(trace)) == sorted(length for _, length in times)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=30))
def test_spans_that_do_not_cross_need_one_lane_in_whatever_order_they_come(times: list[tuple[int, int]]) -> None:
    """Those that begin at once, too: the longer is around the shorter, which may be over at once."""
    made: list[Span] = []
    for began, length in times:
        span = Span("s", "c", began, began + length, ())
        if not any(_cross(span, other) for other in made):
            made.append(span)
    lanes = nested(made)
    assert len(lanes) == bool(made)
    for lane in lanes:
        assert lane == sorted(lane, key=lambda each: (each.began_ns, -each.ended_ns))


def _cross(one: Span, other: Span) -> bool:
    """Whether each has a part that the other has not, and they have one together."""
    first, second = sorted((one, other), key=lambda each: (each.began_ns, -each.ended_ns))
    return second.began_ns < first.ended_ns < second.ended_ns


def test_without_samples_there_are_no_counters() -> None:
    empty = Samples(0, (), (), (), (), (), (), ((), ()))
    assert not any(packet.track_event.type == 4 for packet in read_back(Timeline("d", (), (), empty, 0)).packet)
