"""A timeline's state is cleared once, by its first packet: a packet that clears it makes all before it unknown."""

from tests.layouts.test_perfetto import pb, read_back
from uvmfree.kern.eventlog import Event
from uvmfree.layouts.perfetto import Timeline


def test_only_the_first_packet_clears_it() -> None:
    event = Event("daemon", "", None, 10, 20, 3)
    packets = read_back(*(Timeline(name, (), (event,), None, 0) for name in ("percpu", "depot"))).packet
    assert len(packets) > 4
    flags = [packet.sequence_flags for packet in packets]
    assert flags == [pb.TracePacket.SEQ_INCREMENTAL_STATE_CLEARED] + [0] * (len(packets) - 1)
    assert {packet.trusted_packet_sequence_id for packet in packets} == {1}
