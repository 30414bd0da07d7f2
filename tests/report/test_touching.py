"""Slices that touch: one ends where the next begins, as a wait does where the hold begins; they are no crossing.

=> In a timeline for Perfetto, beginnings and ends of one moment stand in the order in which a viewer pairs them.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.report.made import record
from uvmfree.kern.eventlog import Event
from uvmfree.kern.locktrace import Slice
from uvmfree.layouts.perfetto import Span, Timeline, nested, write
from uvmfree.report.page.samples import timelines
from uvmfree.report.page.settings import Source
from uvmfree.report.page.timeline import over_time

pb = pytest.importorskip(
    "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="the extra `trace` is not installed"
)


def lanes(*times: tuple[int, int]) -> list[list[tuple[int, int]]]:
    spans = [Span(f"{began}-{ended}", "c", began, ended, ()) for began, ended in times]
    return [[(span.began_ns, span.ended_ns) for span in lane] for lane in nested(spans)]


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([(0, 10), (10, 20)], [[(0, 10), (10, 20)]]),  # one after the other
        ([(10, 20), (0, 10), (20, 30)], [[(0, 10), (10, 20), (20, 30)]]),
        ([(0, 20), (10, 20)], [[(0, 20), (10, 20)]]),  # they end together
        ([(0, 5), (0, 10)], [[(0, 10), (0, 5)]]),  # they begin together, the longer is around the other
        ([(0, 10), (0, 10)], [[(0, 10), (0, 10)]]),
        ([(0, 10), (9, 11)], [[(0, 10)], [(9, 11)]]),  # a crossing, by one
        ([(0, 10), (2, 6), (6, 10), (10, 12)], [[(0, 10), (2, 6), (6, 10), (10, 12)]]),
        ([(0, 10), (4, 12), (10, 14), (12, 15)], [[(0, 10), (10, 14)], [(4, 12), (12, 15)]]),
    ],
)
def test_only_what_crosses_takes_another_lane(
    times: Sequence[tuple[int, int]], wanted: list[list[tuple[int, int]]]
) -> None:
    assert lanes(*times) == wanted


def written(*slices: Slice, events: Sequence[Event] = ()) -> list[tuple[int, int, str]]:
    """Track, time and what happens there, in the order of the file: a name begins, or something ends."""
    file = io.BytesIO()
    write(file, [Timeline("d", slices, tuple(events), None, 0)])
    trace: Any = pb.Trace()
    trace.ParseFromString(file.getvalue())
    return [
        (packet.track_event.track_uuid, packet.timestamp, packet.track_event.name or "end")
        for packet in trace.packet
        if packet.HasField("track_event")
    ]


def test_a_wait_ends_before_the_hold_begins() -> None:
    """Both at 10 ns; and the next wait begins when the hold has ended."""
    slices = [
        Slice("L", "c", "cpu/0", held, began, ended)
        for held, began, ended in ((False, 0, 10), (True, 10, 20), (False, 20, 25), (True, 25, 25))
    ]
    said = written(*slices)
    assert len({track for track, _, _ in said}) == 1
    assert [(at, what) for _, at, what in said] == [
        (0, "wait L"),
        (10, "end"),
        (10, "hold L"),
        (20, "end"),
        (20, "wait L"),
        (25, "end"),
        (25, "hold L"),
        (25, "end"),
    ]


def test_what_ends_together_ends_from_the_inside_out() -> None:
    """Locks are given back in the other order, and a clock may not have moved between the two."""
    outer, inner = Slice("A", "c", "cpu/0", True, 0, 30), Slice("B", "c", "cpu/0", True, 10, 30)
    after = Slice("C", "c", "cpu/0", True, 30, 40)
    assert [(at, what) for _, at, what in written(after, inner, outer)] == [
        (0, "hold A"),
        (10, "hold B"),
        (30, "end"),
        (30, "end"),
        (30, "hold C"),
        (40, "end"),
    ]


def test_redistributions_that_touch_stand_on_one_track() -> None:
    events = [Event("redistribute", "timer", 0, began, began + 5, 1) for began in (0, 5, 10)]
    said = written(events=events)
    assert len({track for track, _, _ in said}) == 1
    assert [at for _, at, _ in said] == [0, 5, 5, 10, 10, 15]


def test_the_page_has_the_events_that_touch_its_first_and_its_last_sample() -> None:
    """And none that was over before, or began after."""
    one = record(designs=("percpu",), repetitions=1, events=0)
    (run,) = one.counted("percpu")
    assert run.samples is not None
    first_ns, last_ns = run.samples.began_ns, run.samples.began_ns + run.samples.t_ns[-1]
    times = [
        (first_ns - 9, first_ns - 1),
        (first_ns - 9, first_ns),
        (last_ns, last_ns + 9),
        (last_ns + 1, last_ns + 9),
    ]
    events = tuple(Event("daemon", "", None, began, ended, 10**at) for at, (began, ended) in enumerate(times))
    made = replace(one, runs=[replace(each, events=events) for each in one.runs])
    sources = [Source(1, "a.json", made)]
    assert len(timelines(sources, ["percpu"])) == 1
    (plot,) = over_time(sources, ["percpu"]).groups[0].plots
    assert [tuple(row) for row in plot.tables[1].rows] == [("daemon pass", "2", "110", "9 ns")]
