"""What a traced run left out is told by the timeline: slices of its locks, and events beside them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from uvmfree.cli.exports import Exports

pb = pytest.importorskip(
    "perfetto.protos.perfetto.trace.perfetto_trace_pb2", reason="the extra `trace` is not installed"
)


def test_both_are_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "timeline"
    dropped = {"percpu": (5, 7), "depot": (0, 0)}

    def traced(record: Any, workload: Any, design: str, stop: Any) -> Any:
        slices, events = dropped[design]
        return SimpleNamespace(events=(), samples=None, events_dropped=events), (), slices

    monkeypatch.setattr("uvmfree.measure.bench.traced", traced)
    record: Any = SimpleNamespace(designs=tuple(dropped), machine=SimpleNamespace(virtual=False))
    Exports(None, None, str(file), None).write_timeline(record, None, lambda: False)  # type: ignore[arg-type]
    trace = pb.Trace()
    trace.ParseFromString(file.read_bytes())
    names = [packet.track_descriptor.process.process_name for packet in trace.packet]
    assert names == ["percpu (12 slices left out)", "depot"]
