"""A run as a timeline for Perfetto (ui.perfetto.dev): who held and waited for which lock, and what the counters did.

=> One process for each run, named after its design. One track for each thread that took locks, CPU i having thread
   number 100 + i: a slice for each wait and each hold, with the caller. Slices of one track nest, as locks do.
=> A track for each CPU's redistributions and one for the passes of the daemon; counter tracks for free, cached (in
   all, and per CPU), paging, waiters, and the truth: all free pages.
=> Times are those of the Machine's clock, in nanoseconds.

Source: TrackEvent and TrackDescriptor of Perfetto's trace format; written with the package `perfetto`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from uvmfree.kern.eventlog import Event
from uvmfree.kern.locktrace import Slice
from uvmfree.measure.extras import needs
from uvmfree.measure.samples import Samples

CPU_TID: Final = 100
"""Thread number of CPU 0; the other threads follow from OTHER_TID on."""

OTHER_TID: Final = 1000


@dataclass(frozen=True, slots=True)
class Timeline:
    """What is shown of one run.

    => `dropped`: slices and events that were not kept; the name of the process says how many.
    """

    name: str
    slices: tuple[Slice, ...]
    events: tuple[Event, ...]
    samples: Samples | None
    dropped: int


@dataclass(frozen=True, slots=True)
class Span:
    """Something with a beginning and an end on a track."""

    name: str
    category: str
    began_ns: int
    ended_ns: int
    notes: tuple[tuple[str, str | int], ...]


def write(file: IO[bytes], timelines: Sequence[Timeline]) -> None:
    """Write a trace of all runs; ExtraError if the package `perfetto` is not there."""
    builder = needs("perfetto.trace_builder.proto_builder", "trace", "a trace for Perfetto")
    proto = needs("perfetto.protos.perfetto.trace.perfetto_trace_pb2", "trace", "a trace for Perfetto")
    _Writer(builder.StreamingTraceProtoBuilder(file), proto).write(timelines)


def nested(spans: Sequence[Span]) -> list[list[Span]]:
    """Spread spans over as few lanes as they need to nest within each; one lane unless locks cross.

    => Each lane is in order of beginning, the longer first where two begin at once.
    """
    lanes: list[tuple[list[Span], list[int]]] = []  # the lane, and the ends of what is open in it
    for span in sorted(spans, key=lambda one: (one.began_ns, -one.ended_ns)):
        for lane, open_until in lanes:
            while open_until and open_until[-1] <= span.began_ns:
                open_until.pop()
            if not open_until or span.ended_ns <= open_until[-1]:
                lane.append(span)
                open_until.append(span.ended_ns)
                break
        else:
            lanes.append(([span], [span.ended_ns]))
    return [lane for lane, _ in lanes]


class _Writer:
    """Writes packets; track numbers go up from 1."""

    def __init__(self, builder: Any, proto: Any) -> None:
        self._builder = builder
        self._event = proto.TrackEvent
        self._cleared = proto.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED
        self._first = True
        self._uuid = 0

    def write(self, timelines: Sequence[Timeline]) -> None:
        for pid, timeline in enumerate(timelines, start=1):
            process = self._process(pid, timeline)
            self._threads(pid, timeline.slices)
            self._events(process, timeline.events)
            if timeline.samples is not None:
                self._counters(process, timeline.samples)

    def _process(self, pid: int, timeline: Timeline) -> int:
        packet, uuid = self._track()
        packet.track_descriptor.process.pid = pid
        left_out = f" ({timeline.dropped:,} slices left out)" if timeline.dropped else ""
        packet.track_descriptor.process.process_name = timeline.name + left_out
        self._put(packet)
        return uuid

    def _threads(self, pid: int, slices: Sequence[Slice]) -> None:
        by_thread: dict[str, list[Slice]] = {}
        for each in slices:
            by_thread.setdefault(each.thread, []).append(each)
        others = OTHER_TID
        for name in sorted(by_thread, key=_thread_order):
            tid = CPU_TID + int(name[4:]) if _is_cpu(name) else (others := others + 1)
            packet, thread = self._track()
            packet.track_descriptor.thread.pid = pid
            packet.track_descriptor.thread.tid = tid
            packet.track_descriptor.thread.thread_name = name
            self._put(packet)
            first, *more = nested([_of_slice(each) for each in by_thread[name]])
            self._spans(thread, first)
            for lane in more:
                self._spans(self._named(thread, f"{name}, crossing"), lane)

    def _events(self, process: int, events: Sequence[Event]) -> None:
        tracks: dict[str, list[Span]] = {}
        for event in events:
            if event.what == "daemon":
                track, name = "pagedaemon passes", "pass"
            else:
                track = "redistributions" if event.cpu is None else f"redistributions of CPU {event.cpu}"
                name = f"redistribute: {event.cause}"
            span = Span(name, event.what, event.began_ns, event.ended_ns, (("pages", event.pages),))
            tracks.setdefault(track, []).append(span)
        for track in sorted(tracks):
            for lane in nested(tracks[track]):
                self._spans(self._named(process, track), lane)

    def _counters(self, process: int, samples: Samples) -> None:
        cached = [sum(row) for row in zip(*samples.cached, strict=True)]
        truth = [free - lag + held for free, lag, held in zip(samples.free, samples.lag, cached, strict=True)]
        columns: list[tuple[str, Sequence[int]]] = [
            ("uvmexp.free", samples.free),
            ("all free pages", truth),
            ("paging", samples.paging),
            ("waiters", samples.waiters),
            ("cached", cached),
            *((f"cached on CPU {cpu}", column) for cpu, column in enumerate(samples.cached)),
        ]
        for name, column in columns:
            packet, uuid = self._track()
            packet.track_descriptor.parent_uuid = process
            packet.track_descriptor.name = name
            packet.track_descriptor.counter.unit_name = "threads" if name == "waiters" else "pages"
            self._put(packet)
            for t_ns, value in zip(samples.t_ns, column, strict=True):
                packet = self._packet(samples.began_ns + t_ns, uuid, self._event.TYPE_COUNTER)
                packet.track_event.counter_value = value
                self._put(packet)

    def _spans(self, track: int, lane: Sequence[Span]) -> None:
        """Write the beginnings and ends of spans that nest."""
        open_until: list[int] = []
        for span in lane:
            while open_until and open_until[-1] <= span.began_ns:
                self._put(self._packet(open_until.pop(), track, self._event.TYPE_SLICE_END))
            packet = self._packet(span.began_ns, track, self._event.TYPE_SLICE_BEGIN)
            packet.track_event.name = span.name
            packet.track_event.categories.append(span.category)
            for name, value in span.notes:
                note = packet.track_event.debug_annotations.add()
                note.name = name
                if isinstance(value, int):
                    note.int_value = value
                else:
                    note.string_value = value
            self._put(packet)
            open_until.append(span.ended_ns)
        while open_until:
            self._put(self._packet(open_until.pop(), track, self._event.TYPE_SLICE_END))

    def _named(self, parent: int, name: str) -> int:
        packet, uuid = self._track()
        packet.track_descriptor.parent_uuid = parent
        packet.track_descriptor.name = name
        self._put(packet)
        return uuid

    def _track(self) -> tuple[Any, int]:
        self._uuid += 1
        packet = self._builder.create_packet()
        packet.track_descriptor.uuid = self._uuid
        return packet, self._uuid

    def _packet(self, timestamp_ns: int, track: int, kind: int) -> Any:
        packet = self._builder.create_packet()
        packet.timestamp = timestamp_ns
        packet.track_event.type = kind
        packet.track_event.track_uuid = track
        return packet

    def _put(self, packet: Any) -> None:
        packet.trusted_packet_sequence_id = 1
        if self._first:
            packet.sequence_flags = self._cleared
            self._first = False
        self._builder.write_packet(packet)


def _of_slice(each: Slice) -> Span:
    kind = "hold" if each.held else "wait"
    return Span(f"{kind} {each.lock}", f"lock.{kind}", each.began_ns, each.ended_ns, (("caller", each.caller),))


def _is_cpu(thread: str) -> bool:
    return thread.startswith("cpu/") and thread[4:].isdigit()


def _thread_order(thread: str) -> tuple[bool, int, str]:
    """CPUs first, by number."""
    return (not _is_cpu(thread), int(thread[4:]) if _is_cpu(thread) else 0, thread)
