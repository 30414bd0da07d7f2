"""A block of line ends in a trace is passed over as a whole, unless it ends a line that began in the block before."""

from pathlib import Path

import pytest

from tests.workload.perf_lines import line
from uvmfree.workload import tracefile
from uvmfree.workload.trace import read_trace

BLOCK = 64


@pytest.mark.parametrize("before", ["", "# ", "# half a line"])
def test_what_comes_behind_begins_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: str) -> None:
    monkeypatch.setattr(tracefile, "BLOCK_BYTES", BLOCK)
    file = tmp_path / "blank.perf"
    filler = "#" * (BLOCK - 1 - len(before)) + "\n" + before
    file.write_text(filler + "\n" * 2 * BLOCK + line("alloc", hex(100)) + line("free", hex(100), us=5))
    trace = read_trace(file)
    assert (trace.counts.allocs, trace.counts.frees) == (1, 1)
    with tracefile.TraceFile(file) as read:
        assert [text for _, lines in read.blocks() for text in lines if text.strip("#")][:1] == (
            [before] if before.strip("#") else [line("alloc", hex(100)).rstrip("\n")]
        )
        assert read.lines == 1 + 2 * BLOCK + 2
